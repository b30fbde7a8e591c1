"""The grid of thresholds and waits, its front, and what it recommends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.alerts.rules import Rule, load_rules
from harness.alerts.score import Subject
from harness.alerts.series import labels_of
from harness.alerts.sweep import Cell, Grid, first_firings, judge_grid, recommend
from harness.alerts.timelines import Answer
from harness.report.sweep_grid import grid_dict, heat_map, recommended_rule

OUTAGE = Subject(
    incident="outage", seed=1, source="replay", benign=False, begin_s=0, end_s=900, onset_s=300,
    outage_end_s=800, first_pool_timeout_s=400, slo_breach_s=None, recovered_s=820, sight_s=30,
)  # fmt: skip
CALM = replace(OUTAGE, incident="calm", benign=True, first_pool_timeout_s=None)


def cells(fired: list[list[list[float | None]]]) -> tuple[Cell, ...]:
    """Thresholds 1, 2, …; waits 0 s, 60 s; recordings: the outage and the calm one."""
    thresholds = [float(number + 1) for number in range(len(fired))]
    return judge_grid(thresholds, [0.0, 60.0], fired, [OUTAGE, CALM], group_wait_s=30)


def test_a_cell_counts_catches_leads_and_false_pages() -> None:
    found = cells([[[310.0, 370.0], [100.0, None]], [[900.0, None], [None, None]]])
    assert [(c.caught, c.false_pages, c.lead_s) for c in found] == [
        (1, 1, 60), (1, 0, 0), (0, 0, None), (0, 0, None),
    ]  # fmt: skip


def test_the_front_is_what_nothing_dominates() -> None:
    found = cells([[[310.0, 370.0], [100.0, None]], [[340.0, 400.0], [None, None]]])
    front = {(c.threshold, c.for_s) for c in found if c.on_front}
    # The earliest, although it pages for nothing; and the earliest that does not.
    assert front == {(1.0, 0.0), (2.0, 0.0)}


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(-100, 100)),
        min_size=1,
        max_size=30,
    )
)
def test_no_cell_of_the_front_is_dominated(points: list[tuple[int, int, float]]) -> None:
    from harness.alerts.sweep import _with_front

    plain = [Cell(n, 0, c, 3, f, 3, lead, lead, lead) for n, (c, f, lead) in enumerate(points)]
    marked = _with_front(plain)
    for cell in marked:
        better = [
            other
            for other in marked
            if (other.caught, -other.false_pages, other.lead_s)
            != (cell.caught, -cell.false_pages, cell.lead_s)
            and other.caught >= cell.caught
            and other.false_pages <= cell.false_pages
            and (other.lead_s or 0) >= (cell.lead_s or 0)
        ]
        assert cell.on_front == (not better and cell.caught > 0)


def test_it_recommends_silence_first_then_catches_then_lead() -> None:
    found = cells([[[310.0, 370.0], [100.0, None]], [[340.0, 400.0], [None, None]]])
    choice = recommend(Grid("A", ">", "x", found))
    assert choice is not None
    assert (choice.cell.threshold, choice.cell.for_s) == (2.0, 0.0)
    assert "1 of 1 incident recordings caught, 0 of 1 benign ones paged for" in choice.why[0]
    assert "median lead 30s" in choice.why[1]


def test_among_equals_the_longest_wait_and_the_most_asked_wins() -> None:
    same = [[[310.0, 310.0], [None, None]]] * 3
    choice = recommend(Grid("A", ">", "x", cells(same)))
    assert choice is not None
    assert (choice.cell.threshold, choice.cell.for_s) == (3.0, 60.0)
    below = recommend(Grid("A", "<", "x", cells(same)))
    assert below is not None
    assert below.cell.threshold == 1.0


def test_nothing_is_recommended_where_nothing_is_caught() -> None:
    assert recommend(Grid("A", ">", "x", cells([[[None, None], [None, None]]]))) is None


def test_first_firings_are_one_a_wait() -> None:
    there = np.array([[False, True, True, True, False], [True, False, False, False, False]])
    labels = (labels_of({"i": "a"}), labels_of({"i": "b"}))
    answer = Answer(labels, there.astype(float), there, np.arange(5) * 15.0)
    assert first_firings(answer, [0, 15, 30, 45], 0) == [0, 30, 45, None]
    empty = Answer((), np.zeros((0, 5)), np.zeros((0, 5), bool), np.arange(5) * 15.0)
    assert first_firings(empty, [0, 15], 0) == [None, None]


@pytest.fixture
def grid() -> Grid:
    return Grid(
        "A", ">", "x", cells([[[310.0, 370.0], [100.0, None]], [[340.0, 400.0], [None] * 2]])
    )


def test_the_recommended_rule_is_a_rule_file_with_its_reasons(
    grid: Grid, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rule = Rule(
        expr="x > 9", file="mine.yml", line=4, group="g", alert="A", for_s=300,
        labels={"severity": "page"}, annotations={"summary": "{{ $value }}"},
    )  # fmt: skip
    choice = recommend(grid)
    assert choice is not None
    text = recommended_rule(rule, grid, choice, recordings=2)
    path = tmp_path_factory.mktemp("rules") / "chosen.yml"
    path.write_text(text, "utf-8")
    (chosen,) = load_rules([path])
    assert (chosen.expr, chosen.for_s, dict(chosen.labels)) == ("x > 2", 0, {"severity": "page"})
    assert "# The rule as it was: > 9, for 5m (mine.yml:4)." in text
    assert "median lead 30s" in text


def test_the_grid_as_json_and_as_a_picture(grid: Grid) -> None:
    choice = recommend(grid)
    data = grid_dict(grid, choice)
    assert len(data["cells"]) == 4
    assert data["recommended"]["threshold"] == 2.0
    page = heat_map(grid, choice)
    assert "Median lead before the first harm" in page
    assert 'src="http' not in page
