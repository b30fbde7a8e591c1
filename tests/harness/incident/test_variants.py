"""An incident under other actions: which rows there are, and what each run plays."""

from __future__ import annotations

from harness.incident import Incident, Lasting, Row, SetPool, load_incident
from harness.incident.variants import CALM, SECOND, moment, rows, under


def row(incident: Incident, name: str) -> Row:
    return next(row for row in rows(incident) if row.name == name)


def test_only_what_the_parts_permit_can_be_tried() -> None:
    undersized = {r.name for r in rows(load_incident("undersized-pool"))}
    assert "redirect" not in undersized, "there is no backup"
    assert "set-pgbouncer" not in undersized
    assert {"set-pool", "restart", "roll-back", "scale-out", "shed"} <= undersized
    assert "redirect" in {r.name for r in rows(load_incident("gateway-504"))}
    assert "set-pgbouncer" in {r.name for r in rows(load_incident("pgbouncer-saturated"))}


def test_responses_go_and_the_world_stays() -> None:
    incident = load_incident("flash-sale-deploy")
    tried = under(incident, None)
    assert [event.do for event in tried.timeline] == ["deploy"]
    assert [event.do for event in under(load_incident("lock-contention"), None).timeline] == [
        "lock-table",
        "lock-table",
    ], "the fault comes a second time, in place of a second surge"


def test_the_action_is_taken_at_the_common_moment() -> None:
    incident = load_incident("flash-sale-deploy")
    tried = under(incident, row(incident, "set-pool"))
    (action,) = [event for event in tried.timeline if event.response]
    assert action.at_s == moment(incident).at_s
    assert isinstance(action, SetPool)
    assert action.size == 8, "with the parameters of the definition's own fix"


def test_behind_the_outage_stand_a_calm_stretch_and_a_second_surge() -> None:
    incident = load_incident("flash-sale-deploy")
    tried = under(incident, None)
    *_, calm, second = tried.load.phases
    assert (calm.name, calm.rate_per_s) == (CALM, incident.load.phases[0].rate_per_s)
    surge = incident.surge
    assert surge is not None
    assert (second.name, second.rate_per_s, second.networks) == (
        SECOND,
        surge.rate_per_s,
        surge.networks,
    )
    assert calm.at_s == incident.outage.end_s < second.at_s < tried.clock.duration_s
    lasting = [event for event in tried.timeline if isinstance(event, Lasting)]
    assert all(event.at_s + event.for_s <= tried.clock.duration_s for event in lasting)
