"""PD107: a request keeps its connection after its work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Package, Use
from harness.audit.rules import pd107 as rule
from harness.audit.values import Place, Value
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, silent

WHERE = Place("app/routes.py", 30, "session-over-teardown")


def streaming(*versions: Value[str]) -> Chain:
    uses = (Use("session-over-teardown", WHERE),)
    packages = [Package(name="fastapi", place=Place("uv.lock", 3), version=v) for v in versions]
    return replace(chain(workload={"uses": uses}), packages=tuple(packages))


def locked(version: str) -> Value[str]:
    return Value.at(version, Place("uv.lock", 4))


def test_what_outlasts_its_request_is_found() -> None:
    found = finding(rule, streaming())
    assert (found.severity, found.place) == ("warning", WHERE)
    assert "keeps its connection" in found.message


@pytest.mark.parametrize("version", ["0.106", "0.112.1", "0.117.9"])
def test_some_versions_end_dependencies_early(version: str) -> None:
    assert silent(rule, streaming(locked(version)))


@pytest.mark.parametrize("version", ["0.105.0", "0.118.0", "0.121", "no version"])
def test_others_do_not(version: str) -> None:
    assert not silent(rule, streaming(locked(version)))


def test_one_of_several_that_does_not_is_enough() -> None:
    assert not silent(rule, streaming(locked("0.110"), locked("0.120")))
    assert not silent(rule, streaming(NOT_KNOWN))


def test_ordinary_requests_are_clean() -> None:
    assert silent(rule, chain())
