"""Which runs an experiment makes, and what becomes of one that fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import replays, whatif
from harness.errors import UsageError
from harness.incident import library, load_incident
from harness.verdicts.counterfactual import RowResult
from harness.whatif import WhatIf, planned


def asked(name: str, *actions: str, everything: bool = False, out: Path = Path("runs")) -> WhatIf:
    return WhatIf(
        incident=load_incident(name),
        source=name,
        actions=None if everything else actions,
        out=out,
    )


def test_nothing_is_always_tried_first() -> None:
    assert [row.name for row in planned(asked("undersized-pool", "restart"))] == [
        "nothing",
        "restart",
    ]


def test_everything_is_each_action_and_the_incident_without_each_cause() -> None:
    names = [row.name for row in planned(asked("gateway-504", everything=True))]
    assert {"nothing", "set-pool", "redirect", "roll-back"} <= set(names)
    assert names[-3:] == ["without-trigger", "without-loop", "without-defect"]


@pytest.mark.parametrize(
    "name", [name for name in library() if load_incident(name).kind == "incident"]
)
def test_every_incident_can_be_tried_with_everything(name: str) -> None:
    """One of them begins without any login, so there is no rate to shed down to."""
    assert len(planned(asked(name, everything=True))) > 8


def test_without_a_cause_the_definition_is_another() -> None:
    rows = {row.name: row for row in planned(asked("flash-sale-deploy", everything=True))}
    nothing, healthy = rows["nothing"].incident, rows["without-defect"].incident
    assert nothing.timeline != healthy.timeline
    assert rows["without-defect"].at_s is None


def test_a_row_that_the_incident_does_not_permit_is_refused_with_the_choices() -> None:
    with pytest.raises(UsageError) as refused:
        planned(asked("undersized-pool", "redirect", "pray"))
    assert "redirect, pray" in refused.value.message
    assert "set-pool" in refused.value.remedy


def test_a_run_that_fails_makes_its_row_invalid_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs are replaced by a program that ends at once with the code of a missing part."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no such part >&2\nexit 4\n")
    program.chmod(0o755)
    monkeypatch.setattr(replays.sys, "executable", str(program))
    said: list[RowResult] = []
    experiment = asked("undersized-pool", "restart", out=tmp_path / "runs")
    experiment = WhatIf(**{**experiment.__dict__, "said": lambda row, done, of: said.append(row)})
    matrix, folder = whatif.whatif(experiment)
    assert [row.outcome for row in matrix.rows] == ["invalid", "invalid"]
    assert all("exit code 4" in row.why and "no such part" in row.why for row in matrix.rows)
    assert len(said) == 2
    written = json.loads((folder / "whatif.json").read_text("utf-8"))
    assert [row["name"] for row in written["rows"]] == ["nothing", "restart"]
    assert (folder / "restart" / "incident.yaml").exists()
