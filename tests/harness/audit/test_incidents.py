"""The incidents' own configurations: each is found out before it runs, and clean after its fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.audit import Declared, audit_files
from harness.incident import load_without
from harness.incident.loader import dump_incident

SCENARIOS = Path(__file__).parents[3] / "scenarios"

CAUSES = {
    "undersized-pool": "PD142",
    "outgrown-pool": "PD142",
    "mismanaged-connections": "PD101",
    "gateway-504": "PD142",
    "flash-sale-deploy": "PD142",
    "too-many-clients": "PD101",
    "pool-wait-beyond-gateway": "PD103",
    "hidden-queue": "PD105",
    "pgbouncer-saturated": "PD120",
    "monitoring-locked-out": "PD134",
    "pool-lock": "PD106",
    "session-over-teardown": "PD107",
}
"""The rule that names the real cause, of incidents whose configuration shows it."""


@pytest.mark.parametrize(("name", "rule"), CAUSES.items())
def test_an_incident_is_found_out(name: str, rule: str) -> None:
    file = SCENARIOS / "incidents" / f"{name}.yaml"
    found = audit_files([file], Declared())
    assert rule in {finding.id for finding in found.findings}
    assert found.unread == ()
    for finding in found.findings:
        assert finding.place.line, "every finding stands on a line"


@pytest.mark.parametrize(("name", "rule"), CAUSES.items())
def test_it_is_clean_after_its_fix(name: str, rule: str, tmp_path: Path) -> None:
    fixed = tmp_path / f"{name}.yaml"
    fixed.write_text(dump_incident(load_without(name, "defect", {})), "utf-8")
    found = audit_files([fixed], Declared())
    assert found.files == (str(fixed),)
    assert rule not in {finding.id for finding in found.findings}


@pytest.mark.parametrize(
    "file", sorted((SCENARIOS / "benign").glob("*.yaml")), ids=lambda f: f.stem
)
def test_a_benign_control_is_clean(file: Path) -> None:
    found = audit_files([file], Declared())
    assert found.files == (str(file),)
    assert [f.id for f in found.findings if f.severity != "note"] == []


def test_our_own_stacks_are_sound() -> None:
    """What we tell others to run is held against our own rules; notes are habits."""
    root = SCENARIOS.parent
    found = audit_files(
        [root / name for name in ("docker-compose.yml", ".env", "deploy", "dashboards")],
        Declared(),
    )
    grave = [(f.id, str(f.place)) for f in found.findings if f.severity != "note"]
    assert grave == []
    assert all(chain.pools() and chain.servers for chain in found.chains)
    assert len(found.chains) == 3, "one an overlay"
