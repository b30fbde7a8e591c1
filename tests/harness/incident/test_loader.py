"""Incident files: read whole or refused whole, with everything that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import IncidentError, UnknownIncidentError
from harness.incident import (
    dump_incident,
    json_schema,
    library,
    load_incident,
    read_incident,
)
from tests.recordings import UNDERSIZED_YAML


def problems_of(text: str, overrides: dict[str, str] | None = None) -> dict[str, str]:
    """Field path -> message of every problem with ``text``."""
    with pytest.raises(IncidentError) as caught:
        read_incident(text, file="bad.yaml", overrides=overrides)
    return {problem.field or "": str(problem) for problem in caught.value.problems}


@pytest.mark.parametrize("name", sorted(library()))
def test_every_shipped_incident_is_whole_and_survives_a_round_trip(name: str) -> None:
    incident = load_incident(name)
    assert incident.name == name
    assert read_incident(dump_incident(incident), file="dumped.yaml") == incident


def test_all_problems_are_reported_at_once_with_file_line_and_field() -> None:
    text = (
        UNDERSIZED_YAML.replace("timeout: 3s}", "timeout: 3}")
        .replace("size: 5,", "siez: 5,")
        .replace("share: 0.30", "share: 30")
        .replace("at: 20m", "at: 5m")
        .replace("do: reconnect-network", "do: restart-dba")
    )
    found = problems_of(text)
    assert set(found) == {
        "service.pool.timeout",
        "service.pool.siez",
        "expect.users_affected.share",
        "timeline[1].at",
        "timeline[2]",
    }
    line = 1 + next(n for n, words in enumerate(text.splitlines()) if "siez" in words)
    assert found["service.pool.siez"].startswith(f"bad.yaml:{line}: ")
    assert "did you mean 'size'?" in found["service.pool.siez"]
    assert "3 has no unit" in found["service.pool.timeout"]
    assert "out of order" in found["timeline[1].at"]
    assert "restart-dba" in found["timeline[2]"]
    assert "set-pool" in found["timeline[2]"]


@pytest.mark.parametrize(
    ("old", "new", "field", "said"),
    [
        ("replicas: 2", "replicas: 0", "service.replicas", "greater than or equal to 1"),
        ("replicas: 2", "replicas: two", "service.replicas", "valid integer"),
        ("timeout: 3s}", "timeout: -3s}", "service.pool.timeout", "not a duration"),
        ("rate: 140/s", "rate: 140", "load.phases[1].rate", "140 has no unit"),
        ("at: 0s,", "at: 3s,", "load.phases[0].at", "begins at 0s"),
        ("name: surge", "name: baseline", "load.phases[1].name", "came before"),
        ("end: 2h40m", "end: 5m", "outage", "before it begins"),
        ("end: 2h40m", "end: 9h", "outage.end", "after the incident"),
        ("at: 2h10m", "at: 9h", "timeline[5].at", "after the end of the incident"),
        ("    size: 20\n", "", "timeline[5]", "changes nothing"),
        ("success: 0.99", "success: 99", "slo.success", "less than or equal to 1"),
        ("success: 0.99", "success: .nan", "slo.success", "finite"),
        ("size: 5,", "size: 5, min_size: 2,", "service.pool", "min_size is known to psycopg-pool"),
        ("timeout: 3s}", "timeout: 0s}", "service.pool.timeout", "greater than 0"),
        (
            "memory_kib: 1024, parallelism: 1",
            "memory_kib: 64, parallelism: 9",
            "service.hash",
            "72",
        ),
        ("schema: 1", "schema: 2", "schema", "Input should be 1"),
    ],
)
def test_impossible_values_are_refused(old: str, new: str, field: str, said: str) -> None:
    assert UNDERSIZED_YAML.count(old) >= 1
    found = problems_of(UNDERSIZED_YAML.replace(old, new, 1))
    assert said in found[field]


def test_truth_must_name_a_defect() -> None:
    start = UNDERSIZED_YAML.index("  capacity_defect")
    end = UNDERSIZED_YAML.index("  accepted_fixes")
    found = problems_of(UNDERSIZED_YAML[:start] + UNDERSIZED_YAML[end:])
    assert "required" in found["truth.capacity_defect"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a mapping of fields"),
        ("- 1", "a mapping of fields"),
        ("a: [", "not valid YAML"),
        ("a: &x 1\nb: *x", "aliases"),
        ("schema: 1\nschema: 1", "stands here twice"),
        ("a: " + "x" * 1_000_001, "larger than"),
        ("[" * 5000, "not valid YAML"),
    ],
)
def test_what_is_no_incident_is_refused_without_being_built(text: str, said: str) -> None:
    assert any(said in message for message in problems_of(text).values())


@given(st.text(max_size=200))
def test_no_text_crashes_the_reader(text: str) -> None:
    with pytest.raises(IncidentError):
        read_incident(text, file="fuzz.yaml")


def test_set_overrides_any_field_by_path_number_or_name() -> None:
    incident = read_incident(
        UNDERSIZED_YAML,
        file="x.yaml",
        overrides={
            "service.pool.size": "40",
            "service.pool.recycle": "10m",
            "load.phases[1].rate": "200/s",
            "load.phases.baseline.rate": "10/s",
        },
    )
    assert incident.service.pool.size == 40
    assert incident.service.pool.recycle_s == 600
    assert [phase.rate_per_s for phase in incident.load.phases] == [10, 200]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("service.pool.siez", "4", "did you mean 'size'?"),
        ("load.phases.surgee.rate", "4/s", "there is no load.phases.surgee"),
        ("name.x", "1", "there is no name"),
        ("service.pool.size", "[", "not a YAML value"),
        ("service.pool.timeout", "30", "30 has no unit"),
    ],
)
def test_a_bad_override_is_refused_like_a_bad_file(key: str, value: str, said: str) -> None:
    assert any(said in text for text in problems_of(UNDERSIZED_YAML, {key: value}).values())


def test_an_unknown_name_is_answered_with_the_nearest_ones() -> None:
    with pytest.raises(UnknownIncidentError) as caught:
        load_incident("undersize-pool")
    assert "undersized-pool" in caught.value.remedy


def test_a_file_of_ones_own_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(UNDERSIZED_YAML, "utf-8")
    assert load_incident(str(path)).name == "undersized-pool"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(IncidentError, match="not UTF-8"):
        load_incident(str(path))
    with pytest.raises(UnknownIncidentError, match="No such file"):
        load_incident(str(tmp_path / "absent.yaml"))


def test_the_schema_speaks_the_files_language() -> None:
    schema = json_schema()
    text = json.dumps(schema)
    assert "timeout_s" not in text
    assert schema["additionalProperties"] is False
    assert "size" in schema["$defs"]["PoolConfig"]["properties"]
