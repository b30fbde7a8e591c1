"""Mappings: what becomes of names, labels and values, and which files are refused."""

from __future__ import annotations

from collections.abc import Mapping as Pairs
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from harness.alerts.naming import Mapping, Names, load_mapping
from harness.alerts.series import NAME, Grid, SeriesTable, labels_of
from harness.errors import RulesError

GRID = Grid(0.0, 15.0, 3)
POOL = "db_client_connection_pool_name"


def table(*series: tuple[str, Pairs[str, str], list[float | None]]) -> SeriesTable:
    """A series is a name, its labels, and its values; None where it is absent."""
    shape = (len(series), GRID.count)
    return SeriesTable(
        GRID,
        tuple(labels_of({**labels, NAME: name}) for name, labels, _ in series),
        np.array([[v or 0.0 for v in values] for *_, values in series]).reshape(shape),
        np.array([[v is not None for v in values] for *_, values in series], bool).reshape(shape),
    )


def mapping(*entries: object, keep: bool = False, title: str = "theirs") -> Mapping:
    return Mapping.model_validate(
        {"schema": 1, "title": title, "series": list(entries), "keep": keep}
    )


def renamed(before: SeriesTable, *mappings: Mapping) -> dict[str, list[float | None]]:
    """The series afterwards, as PromQL would select them."""
    after = Names(mappings).apply(before)
    found = {}
    for labels, values, present in zip(after.labels, after.values, after.present, strict=True):
        own = dict(labels)
        name = own.pop(NAME)
        text = ",".join(f'{key}="{value}"' for key, value in own.items())
        shown = [v if there else None for v, there in zip(values.tolist(), present, strict=True)]
        found[f"{name}{{{text}}}"] = shown
    return found


def test_without_mappings_series_keep_their_names() -> None:
    before = table(("up", {"job": "auth"}, [1, 1, 0]))
    assert Names().apply(before) is before


def test_a_series_is_renamed_and_keeps_its_labels_and_gaps() -> None:
    before = table(("ours", {"job": "auth"}, [1, None, 3]), ("other", {}, [5, 5, 5]))
    assert renamed(before, mapping({"from": "ours", "to": "theirs"})) == {
        'theirs{job="auth"}': [1, None, 3]
    }


def test_ours_stay_unless_any_mapping_says_otherwise() -> None:
    before = table(("ours", {}, [1, 2, 3]))
    entry = {"from": "ours", "to": "theirs"}
    kept = renamed(before, mapping(entry, keep=True))
    assert list(kept) == ["ours{}", "theirs{}"]
    also = {"from": "ours", "to": "third"}
    assert list(renamed(before, mapping(entry, keep=True), mapping(also))) == [
        "theirs{}",
        "third{}",
    ]


def test_where_selects_by_labels_and_leaves_them_out() -> None:
    before = table(
        ("ours", {"state": "used", "job": "auth"}, [1, 1, 1]),
        ("ours", {"state": "idle", "job": "auth"}, [2, 2, 2]),
    )
    entry = {"from": "ours", "where": {"state": "used"}, "to": "theirs"}
    assert renamed(before, mapping(entry)) == {'theirs{job="auth"}': [1, 1, 1]}


def test_where_takes_a_regular_expression_for_the_whole_value() -> None:
    before = table(*(("ours", {"code": code}, [1, 1, 1]) for code in ("200", "503", "1503", "50")))
    entry = {
        "from": "ours",
        "where": {"code": "=~5.."},
        "to": "theirs",
        "labels": {"status": "$code"},
    }
    assert list(renamed(before, mapping(entry))) == ['theirs{status="503"}']


def test_where_takes_a_label_that_is_not_there_for_an_empty_one() -> None:
    before = table(("ours", {}, [1, 1, 1]), ("ours", {"replica": "a"}, [2, 2, 2]))
    entry = {"from": "ours", "where": {"replica": ""}, "to": "theirs"}
    assert renamed(before, mapping(entry)) == {"theirs{}": [1, 1, 1]}


def test_labels_are_renamed_fixed_overwritten_and_dropped() -> None:
    before = table(("ours", {POOL: "primary", "job": "gateway", "zone": "a"}, [1, 1, 1]))
    entry = {
        "from": "ours",
        "to": "theirs",
        "labels": {"pool": f"${POOL}", "job": "auth", "server": "db:5432", "none": "$missing"},
        "drop": ["zone"],
    }
    assert list(renamed(before, mapping(entry))) == [
        'theirs{job="auth",pool="primary",server="db:5432"}'
    ]


def test_scale_multiplies_values() -> None:
    before = table(("wait_seconds_sum", {}, [0.5, None, 2]))
    entry = {"from": "wait_seconds_sum", "to": "wait_milliseconds_sum", "scale": 1000}
    assert renamed(before, mapping(entry)) == {"wait_milliseconds_sum{}": [500, None, 2000]}


def test_scale_multiplies_the_bounds_of_buckets_and_not_their_counts() -> None:
    bounds = ("0.0005", "0.07", "1.0", "60.0", "+Inf", "odd")
    before = table(*(("wait_seconds_bucket", {"le": le}, [3, 4, 5]) for le in bounds))
    entry = {"from": "wait_seconds_bucket", "to": "wait_milliseconds_bucket", "scale": 1000}
    after = renamed(before, mapping(entry))
    scaled = ("0.5", "70", "1000", "60000", "+Inf", "odd")
    assert list(after) == [f'wait_milliseconds_bucket{{le="{le}"}}' for le in scaled]
    assert all(values == [3, 4, 5] for values in after.values())


@pytest.mark.parametrize(("how", "both"), [("sum", 7), ("max", 5)])
def test_series_are_combined_where_both_are_there(how: str, both: float) -> None:
    before = table(
        ("ours", {"state": "used"}, [2, 2, None]), ("ours", {"state": "idle"}, [5, None, None])
    )
    entry = {"from": "ours", "to": "theirs", "drop": ["state"], "combine": how}
    assert renamed(before, mapping(entry)) == {"theirs{}": [both, 2, None]}


def test_different_metrics_are_combined() -> None:
    before = table(("timeouts", {}, [1, 2, 3]), ("refusals", {}, [10, 10, 10]))
    entries = [
        {"from": name, "to": "errors", "combine": "sum"} for name in ("timeouts", "refusals")
    ]
    assert renamed(before, mapping(*entries)) == {"errors{}": [11, 12, 13]}


def test_series_that_become_one_unasked_are_refused() -> None:
    before = table(("ours", {"state": "used"}, [1, 1, 1]), ("ours", {"state": "idle"}, [1, 1, 1]))
    entry = {"from": "ours", "to": "theirs", "drop": ["state"]}
    with pytest.raises(RulesError) as refused:
        Names((mapping(entry, title="A pack"),)).apply(before)
    assert [str(problem) for problem in refused.value.problems] == [
        "A pack: several series become one theirs, the last of them of ours"
    ]
    assert "combine: sum" in refused.value.remedy


def test_a_name_of_ours_is_not_taken_by_another_series() -> None:
    before = table(("ours", {}, [1, 1, 1]), ("other", {}, [2, 2, 2]))
    entry = {"from": "ours", "to": "other"}
    with pytest.raises(RulesError, match="several series become one other"):
        Names((mapping(entry, keep=True),)).apply(before)


def test_what_two_mappings_have_in_common_counts_once() -> None:
    before = table(("up", {}, [1, 1, 1]), ("ours", {"state": "used"}, [2, 2, 2]))
    shared = [
        {"from": "up", "to": "pgbouncer_up"},
        {"from": "ours", "to": "theirs", "drop": ["state"], "combine": "sum"},
    ]
    assert renamed(before, mapping(*shared), mapping(*shared, title="another")) == {
        "pgbouncer_up{}": [1, 1, 1],
        "theirs{}": [2, 2, 2],
    }


def test_a_metric_is_needed_under_its_own_name_or_theirs() -> None:
    names = Names((mapping({"from": "ours", "to": "theirs"}),))
    assert names.needs("ours", lambda name: name == "theirs")
    assert names.needs("ours", lambda name: name == "ours")
    assert not names.needs("other", lambda name: name == "theirs")


def test_an_empty_table_stays_empty() -> None:
    after = Names((mapping({"from": "ours", "to": "theirs"}),)).apply(table())
    assert after.labels == ()
    assert after.values.shape == after.present.shape == (0, GRID.count)


# -- files


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mapping.yaml"
    path.write_text(dedent(text), "utf-8")
    return path


def problems(path: Path) -> list[tuple[int | None, str]]:
    with pytest.raises(RulesError) as refused:
        load_mapping(path)
    assert all(problem.file == str(path) for problem in refused.value.problems)
    return [(problem.line, problem.message) for problem in refused.value.problems]


def test_a_file_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
        schema: 1
        title: Somebody's exporter
        series:
          - from: ours
            where: {state: used}
            to: theirs
            labels: {pool: $db_client_connection_pool_name}
            drop: [job]
            scale: 1000
            combine: max
        keep: false
        """,
    )
    found = load_mapping(path)
    assert (found.title, found.keep) == ("Somebody's exporter", False)
    (entry,) = found.series
    assert (entry.source, entry.to, entry.where) == ("ours", "theirs", {"state": "used"})
    assert (entry.drop, entry.scale, entry.combine) == (("job",), 1000.0, "max")


def test_every_problem_of_a_file_has_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
        schema: 1
        title: Somebody's exporter
        series:
          - from: ours
            to: not a name
            where:
              code: 200
          - from: ours
            to: theirs
            labels: {pool: $pool-name}
            combine: mean
          - from: ours
            to: theirs
            where: {code: "=~5("}
            renamed: true
        """,
    )
    found = problems(path)
    assert [line for line, _ in found] == [5, 7, 10, 11, 14, 15]
    messages = [message for _, message in found]
    assert "valid string" in messages[1]
    assert messages[2] == "'$pool-name': after $ stands the name of a label of ours, alone"
    assert "'sum' or 'max'" in messages[3]
    assert messages[4].startswith("'=~5(' is no regular expression: ")
    assert messages[5] == "Extra inputs are not permitted"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("- from: ours", 1),
        ("schema: 1\ntitle: 'open", 2),
        ("schema: 1\nschema: 1\ntitle: twice\nseries: []\n", 2),
        ("schema: 2\ntitle: later\nseries: []\n", 1),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, line: int) -> None:
    found = problems(write(tmp_path, text))
    assert [where for where, _ in found] == [line]


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml") == [(None, "cannot be read: No such file or directory")]
    path = tmp_path / "latin.yaml"
    path.write_bytes("title: Größe".encode("latin-1"))
    assert problems(path) == [(None, "cannot be read: it is not UTF-8 text")]
