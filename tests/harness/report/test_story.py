"""The words of a report follow from the verdict and the recording."""

from __future__ import annotations

from dataclasses import replace

from harness.recording import Recording
from harness.report import words
from harness.report.comparison import comparisons
from harness.report.setup import environment_rows, reproduce_commands
from harness.report.story import clock_rows, key_figures, lead, outcome_sentence, tell
from harness.report.timeline import event_rows
from harness.verdicts import Verdict

Run = tuple[Recording, Verdict]


def figures(run: Run) -> dict[str, str]:
    return {key.label: key.value for key in key_figures(tell(*run))}


def test_a_reproduced_outage_is_told_with_its_numbers(passed: Run) -> None:
    story = tell(*passed)
    sentence = outcome_sentence(story)
    assert words.percent(passed[1].users.affected_ratio) in sentence
    assert "2 replicas × 5+0) were full" in sentence
    assert "where 140 were asked for" in sentence


def test_a_pool_that_was_large_enough_is_told_as_such(failed: Run) -> None:
    story = tell(*failed)
    assert outcome_sentence(story).startswith("Every user could log in; ")
    assert "were never full" in outcome_sentence(story)
    assert "SLO held throughout" in outcome_sentence(story)
    assert lead(story).startswith("Not as expected: ")
    assert "pool timeouts" in lead(story)


def test_missing_pools_are_not_measured_everywhere(unmeasured: Run) -> None:
    story = tell(*unmeasured)
    shown = figures(unmeasured)
    assert shown["Pool timeouts"] == shown["Waiting at once"] == words.NOT_MEASURED
    assert shown["Capacity when full"] == words.NOT_MEASURED
    rows = {row.key: row.clock for row in clock_rows(story)}
    assert rows["first_pool_timeout"] == rows["first_waiter"] == words.NOT_MEASURED
    assert "was not measured" in outcome_sentence(story)
    assert lead(story).startswith("The measurement cannot be trusted: ")


def test_what_a_partial_run_did_not_reach_is_not_denied(partial: Run) -> None:
    story = tell(*partial)
    rows = {row.key: row.clock for row in clock_rows(story)}
    assert rows["mitigated"] == rows["recovered"] == "not reached"
    assert outcome_sentence(story).startswith("The run ended early, at ")
    assert "of outage" not in outcome_sentence(story)


def test_clocks_are_counted_from_the_surge(passed: Run) -> None:
    rows = {row.key: row for row in clock_rows(tell(*passed))}
    assert rows["surge_start"].clock == "09:00:00"
    assert rows["first_pool_timeout"].since_surge.endswith("s after the surge")
    assert rows["detected"].since_surge == "with the surge"


def test_an_instant_in_a_plateau_says_how_coarsely_it_is_known(passed: Run) -> None:
    recording, verdict = passed
    moved = verdict.model_copy(
        update={"clocks_s": verdict.clocks_s.model_copy(update={"slo_breach": 1500.0})}
    )
    rows = {row.key: row for row in clock_rows(tell(recording, moved))}
    assert "shortened plateau" in rows["slo_breach"].precision
    assert rows["surge_start"].precision == "to 1 s"


def test_the_document_stands_beside_what_was_measured(passed: Run) -> None:
    rows = {row.what: row for row in comparisons(tell(*passed))}
    assert rows["Outage"].document == "2 h 30 min (09:00–11:30)"
    assert rows["Users unable to log in"].document == "about 30 %"
    assert "percentage points" in rows["Theory: reconnect-network"].measured
    assert "pool timeouts" in rows["Root cause"].measured


def test_an_incident_without_a_document_compares_nothing(passed: Run) -> None:
    recording, verdict = passed
    bare = recording.incident.model_copy(update={"postmortem": None})
    assert comparisons(tell(replace(recording, incident=bare), verdict)) == ()


def test_a_rollout_is_a_row_a_replica_with_its_length(passed: Run) -> None:
    rows = [row for row in event_rows(tell(*passed)) if row.kind == "action"]
    assert [row.short for row in rows] == ["set-pool replica-1", "set-pool replica-2"]
    assert [row.clock for row in rows] == ["11:00:00", "11:25:00"]
    assert all(row.end_s is not None and row.end_s > row.t_s for row in rows)


def test_environment_and_commands(passed: Run) -> None:
    story = tell(*passed)
    assert ("versions.postgresql", "18.0") in environment_rows(story)
    commands = [command for command, _ in reproduce_commands(story)]
    assert "pooldrill run undersized-pool --seed 1" in commands
    assert not any(str(passed[0].directory.parent) in command for command in commands)
