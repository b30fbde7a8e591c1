"""PD119: a psycopg_pool that loses connections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.audit.chain import Chain
from harness.audit.finding import Finding
from harness.audit.parts import Package
from harness.audit.rules import pd119 as rule
from harness.audit.values import Place, Value
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, said, silent, unknown

WHERE = Place("uv.lock", 10, "psycopg-pool")


CODE = Place("api/app/db.py", 3)


def package(
    *, version: str | None = None, specifier: str | None = None, name: str = "psycopg-pool"
) -> Chain:
    def value(text: str | None) -> Value[str]:
        return NOT_KNOWN if text is None else Value.at(text, WHERE)

    said = Package(name=name, place=WHERE, version=value(version), specifier=value(specifier))
    return using(said)


def using(*packages: Package, implementation: str = "psycopg-pool") -> Chain:
    """A program with such a pool, in a file of ``api/app``."""
    return replace(chain(pool(implementation=implementation, place=CODE)), packages=packages)


def asked(place: Place, version: str = "3.1") -> Package:
    at, name = Value.at(version, place), "psycopg-pool"
    return Package(name=name, place=place, version=at, specifier=NOT_KNOWN)


@pytest.mark.parametrize("version", ["3.2.7", "3.1", "3.2.8rc1"])
def test_a_locked_version_that_leaks_is_found(version: str) -> None:
    found = finding(rule, package(version=version))
    assert (found.severity, found.place) == ("warning", WHERE)
    assert f"psycopg-pool {version} is locked" in found.message


@pytest.mark.parametrize("version", ["3.2.8", "3.3.0", "4.0", "no version"])
def test_a_newer_one_is_clean(version: str) -> None:
    assert silent(rule, package(version=version))


@pytest.mark.parametrize("specifier", ["<3.2", ">=3.1,<3.2.8", "==3.1.*", "~=3.1.4", "<=3.2.7"])
def test_what_allows_no_newer_one_is_found(specifier: str) -> None:
    assert "is allowed" in finding(rule, package(specifier=specifier)).message


@pytest.mark.parametrize(
    "specifier", ["", ">=3.1", "<=3.2.8", "~=3.2.1", "==3.3.77", ">=3.2.8,<3.2.9", "==3.*"]
)
def test_what_allows_a_newer_one_is_clean(specifier: str) -> None:
    assert silent(rule, package(specifier=specifier))


def test_other_packages_and_unknown_versions_are_none_of_its_business() -> None:
    assert silent(rule, package(version="3.1", name="psycopg"))
    assert silent(rule, package())
    assert silent(rule, chain())


def test_where_nobody_makes_such_a_pool_it_cannot_be_told() -> None:
    """Something that was not read may: a locked version alone loses nothing."""
    found = unknown(rule, using(asked(WHERE), implementation="sqlalchemy"))
    assert found.place == WHERE
    assert "none was seen" in found.needs
    assert silent(rule, using(asked(WHERE, "3.3.0"), implementation="sqlalchemy"))


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (["uv.lock"], {"uv.lock"}),
        (["api/requirements.txt", "mail/requirements.txt"], {"api/requirements.txt"}),
        (["uv.lock", "api/uv.lock", "mail/uv.lock"], {"uv.lock", "api/uv.lock"}),
        (["api/requirements/base.txt", "mail/uv.lock"], {"api/requirements/base.txt"}),
        (["api/build/requirements.txt", "mail/uv.lock"], {"api/build/requirements.txt"}),
    ],
)
def test_what_another_program_has_is_not_this_ones(declared: list[str], found: set[str]) -> None:
    packages = [asked(Place(file, 1, "psycopg-pool")) for file in declared]
    seen = said(rule.check(using(*packages)))
    assert all(isinstance(each, Finding) for each in seen)
    assert {each.place.file for each in seen if each.place} == found
