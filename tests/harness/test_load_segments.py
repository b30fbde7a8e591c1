"""An incident's phases as pieces of the load in replay time."""

from __future__ import annotations

from harness.incident import Incident, Phase, load_incident
from harness.load import RateSegment, compile_arrivals, rate_segments
from harness.timemap import build_timemap

INCIDENT = load_incident("undersized-pool")


def pieces(*phases: Phase, **load: object) -> tuple[RateSegment, ...]:
    changed = INCIDENT.load.model_copy(update={"phases": phases, **load})
    incident: Incident = INCIDENT.model_copy(update={"load": changed})
    return rate_segments(incident, build_timemap(incident))


def test_pieces_carry_their_phases_clients() -> None:
    """Networks of the phase, else the load's; mistakes of the phase alone."""
    found = pieces(
        Phase(name="baseline", at_s=0, rate_per_s=30, wrong_passwords=0.01),
        Phase(
            name="attack",
            at_s=600,
            rate_per_s=140,
            ramp_s=60,
            wrong_passwords=0.5,
            networks=("203.0.113.0/24", "2001:db8::/64"),
        ),
        networks=("10.20.0.0/16",),
    )
    assert {(s.phase, s.wrong_password_ratio, s.networks) for s in found} == {
        ("baseline", 0.01, ("10.20.0.0/16",)),
        ("attack", 0.5, ("203.0.113.0/24", "2001:db8::/64")),
    }


def test_a_load_that_says_nothing_of_its_clients_has_the_schedules_own() -> None:
    """No mistakes, and one default network in the incident and in the schedule."""
    (found, *_) = pieces(Phase(name="baseline", at_s=0, rate_per_s=30))
    plain = RateSegment("baseline", 0.0, 1.0, 30.0, 30.0)
    assert found.networks == plain.networks
    assert found.wrong_password_ratio == plain.wrong_password_ratio == 0.0
    assert not compile_arrivals([found], seed=1, users=10)["wrong_password"].any()
