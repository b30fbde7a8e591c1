"""PD119: a psycopg_pool that loses connections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Package
from harness.audit.rules import pd119 as rule
from harness.audit.values import Place, Value
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, silent

WHERE = Place("uv.lock", 10, "psycopg-pool")


def package(
    *, version: str | None = None, specifier: str | None = None, name: str = "psycopg-pool"
) -> Chain:
    def value(text: str | None) -> Value[str]:
        return NOT_KNOWN if text is None else Value.at(text, WHERE)

    said = Package(name=name, place=WHERE, version=value(version), specifier=value(specifier))
    return replace(chain(), packages=(said,))


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
