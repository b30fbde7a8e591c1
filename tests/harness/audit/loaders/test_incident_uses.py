"""An incident's defects are uses, on the line that deploys them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.audit.loaders import incident
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile

INCIDENTS = Path(__file__).parents[4] / "scenarios" / "incidents"


def read(name: str, change: tuple[str, str] = ("", "")) -> Reading:
    text = (INCIDENTS / f"{name}.yaml").read_text("utf-8").replace(*change)
    return incident.load(SourceFile(Path(f"{name}.yaml"), f"{name}.yaml", text))


@pytest.mark.parametrize(("name", "connections"), [("pool-lock", 2), ("session-over-teardown", 1)])
def test_a_defect_is_a_use_on_its_line(name: str, connections: int) -> None:
    found = read(name)
    assert found.unread == ()
    (use,) = found.workloads[0].uses
    lines = (INCIDENTS / f"{name}.yaml").read_text("utf-8").splitlines()
    assert "defects:" in lines[use.place.line - 1]
    assert use.connections == connections


def test_a_connection_is_held_over_the_teardown() -> None:
    hold_s = read("session-over-teardown").workloads[0].hold_s
    assert hold_s.known == pytest.approx(0.58)
    sound = read("session-over-teardown", ("[session-over-teardown]", "[]")).workloads[0]
    assert sound.hold_s.known == pytest.approx(0.08)
    assert sound.uses == ()


def test_defects_that_code_does_not_show_are_no_uses() -> None:
    assert read("hash-while-holding").workloads[0].uses == ()
