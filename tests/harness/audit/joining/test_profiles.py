"""A deployment may activate another profile than production's."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.audit.chain import Declared
from harness.audit.joining.join import joined
from harness.audit.joining.profiles import ACTIVE
from harness.audit.loaders import spring
from harness.audit.parts import Pool
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from tests.harness.audit.joining.pieces import deployment

BASE = (
    "spring.datasource.url=jdbc:postgresql://db/a\nspring.datasource.hikari.maximum-pool-size=5\n"
)
PROD = "spring.datasource.hikari.maximum-pool-size=20\n"
SECTIONS = """\
spring:
  datasource: {url: "jdbc:postgresql://db/a"}
---
spring:
  config.activate.on-profile: prod
  datasource.hikari.maximum-pool-size: 20
"""


def pool(folder: Path, **variables: str) -> Pool:
    """The program's pool, as a deployment with these variables has it."""
    (file, *_) = sorted(folder.glob("application.*"))
    reading = spring.load(SourceFile(file, f"srv/{file.name}", file.read_text("utf-8")))
    where = deployment("srv", folder="srv", variables=variables)
    (chain,) = joined((reading, Reading(deployments=(where,))), Declared())
    ((_, found),) = chain.pools()
    return found


@pytest.fixture(params=["files", "sections"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "sections":
        (tmp_path / "application.yml").write_text(SECTIONS, "utf-8")
    else:
        (tmp_path / "application.properties").write_text(BASE, "utf-8")
        (tmp_path / "application-prod.properties").write_text(PROD, "utf-8")
    return tmp_path


@pytest.mark.parametrize("active", ["prod", "prod,metrics", "${PROFILES}", ""])
def test_productions_is_what_runs(program: Path, active: str) -> None:
    assert pool(program, **{ACTIVE: active}).size.known == 20
    assert pool(program).size.known == 20


def test_another_one_is_not_read(program: Path) -> None:
    found = pool(program, **{ACTIVE: "staging"})
    assert "another profile is active" in found.size.why
    assert not found.timeout_s.is_known
    said = pool(program, **{ACTIVE: "staging", "SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE": "7"})
    assert said.size.known == 7, "a variable holds over every profile"


def test_one_for_which_there_is_nothing_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "application.properties").write_text(BASE, "utf-8")
    assert pool(tmp_path, **{ACTIVE: "metrics"}).size.known == 5
    (tmp_path / "application-metrics.properties").write_text(PROD, "utf-8")
    assert not pool(tmp_path, **{ACTIVE: "metrics"}).size.is_known
