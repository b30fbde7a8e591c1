"""What ships with Pooldrill: the documents' outages, the catalogue, the benign controls."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.incident import (
    Incident,
    dump_incident,
    library,
    load_incident,
    load_without,
    read_incident,
)
from harness.incident.variants import under
from harness.timemap import build_timemap

NAMES = sorted(library())
MOST_REPLAY_S = 150.0


@pytest.fixture(params=NAMES)
def incident(request: pytest.FixtureRequest) -> Incident:
    return load_incident(request.param)


def test_there_are_five_documents_fourteen_others_and_six_benign_runs() -> None:
    families = [load_incident(name).family for name in NAMES]
    assert [families.count(kind) for kind in ("postmortem", "catalogue", "benign")] == [5, 14, 6]


def test_its_name_is_its_files(incident: Incident) -> None:
    assert incident.name in library()


def test_it_survives_being_written_and_read_again(incident: Incident) -> None:
    assert read_incident(dump_incident(incident), file="again.yaml") == incident


def test_its_replay_fits_the_limit(incident: Incident) -> None:
    replay_s = build_timemap(incident).replay_length_s + incident.replay.drain_s
    assert replay_s <= MOST_REPLAY_S


def test_it_says_where_it_comes_from(incident: Incident) -> None:
    if incident.family == "postmortem":
        said = incident.postmortem
        assert said is not None
        assert said.document
        assert said.timeline
        assert said.resolution
        # The document's share is what the replay must measure, within five points.
        assert incident.expect.users_affected.share == said.users_affected
        assert incident.expect.users_affected.tolerance <= 0.05
        outage = incident.outage
        assert abs(outage.end_s - outage.begin_s - said.duration_s) <= 300
    elif incident.family == "catalogue":
        assert incident.seen_in


def test_without_its_defect_it_is_another_definition(incident: Incident) -> None:
    if incident.family == "benign":
        with pytest.raises(UsageError, match="cannot be run without"):
            load_without(incident.name, "defect", {})
        return
    assert load_without(incident.name, "defect", {}) != incident


def test_nobody_may_be_harmed_in_a_benign_run(incident: Incident) -> None:
    if incident.family == "benign":
        assert incident.expect.users_affected.share == 0
        assert incident.expect.users_affected.tolerance <= 0.002
        assert incident.expect.measured, "busy is a claim as well: it must be measured"


def test_it_can_be_tried_under_no_action(incident: Incident) -> None:
    if incident.family != "benign":
        tried = under(incident, None)
        assert not any(event.response for event in tried.timeline)
        assert read_incident(dump_incident(tried), file="tried.yaml") == tried


@pytest.mark.parametrize(
    ("name", "at_s", "size"),
    [
        ("flash-sale-deploy", 0.0, 8),
        ("flash-sale-deploy", 1200.0, 2),  # a deploy had shrunk it
        ("flash-sale-deploy", 9000.0, 8),
        ("undersized-pool", 600.0, 5),
        ("gateway-504", 15100.0, 8),  # one replica's alone was changed
    ],
)
def test_the_pool_by_an_instant_is_what_rolled_over_all_replicas(
    name: str, at_s: float, size: int
) -> None:
    assert load_incident(name).pool_at(at_s).size == size
