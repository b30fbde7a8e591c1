"""The summary on a terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from harness.recording import Recording
from harness.report import summary
from harness.verdicts import Check, Verdict

Run = tuple[Recording, Verdict]


def shown(run: Run, width: int) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=False)
    console.print(summary(*run))
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("name", ["passed", "failed", "unmeasured", "partial"])
def test_every_check_stands_whole_within_the_width(
    name: str, width: int, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(name)
    text = shown(run, width)
    assert max(map(len, text.splitlines())) <= width
    assert run[1].outcome.upper() in text
    for check in run[1].checks:
        assert check.id in text


def test_missing_data_is_said(unmeasured: Run) -> None:
    lines = shown(unmeasured, 100).splitlines()
    (timeouts,) = [line for line in lines if line.strip().startswith("Pool timeouts")]
    assert "not measured" in timeouts


def test_a_reason_is_given_once_with_all_its_checks(partial: Run) -> None:
    text = shown(partial, 140)
    assert text.count("what it did not reach was not measured") == 2  # the lead, the reason
    assert "reproduction.users_affected, reproduction.pool_timeouts" in text


def test_brackets_of_a_recording_are_no_markup(passed: Run) -> None:
    check = Check(id="run.x", outcome="fail", expected="[bold]", measured="[/red]", why="[blink]")
    verdict = passed[1].model_copy(update={"checks": (check,)})
    text = shown((passed[0], verdict), 100)
    assert "[bold]" in text
    assert "[/red]" in text
    assert "[blink]" in text
