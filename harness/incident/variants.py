"""An incident as it would have gone under other actions. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.incident.events import (
    BlockAddresses,
    Event,
    FailOver,
    Fault,
    Lasting,
    LockTable,
    PauseRetries,
    RaiseMaxConnections,
    ReconnectNetwork,
    Redirect,
    Restart,
    RollBack,
    ScaleOut,
    SetPgbouncer,
    SetPool,
    Shed,
    TerminateSessions,
)
from harness.incident.expectations import Expectations, ExpectedShare
from harness.incident.load import Phase
from harness.incident.models import Counterfactuals, Incident, Row

NOTHING = "nothing"
"""The row in which nobody does anything."""

SECOND = "second-surge"
CALM = "calm"

ACTION_SETTLE_S, ACTION_PLATEAU_S = 22.0, 6.0
"""A rolling change of loaded replicas takes eight seconds, twelve on a busy machine. The queue
must be gone as well before a second of replay stands for minutes, or its last slow login would be
taken for hours of them."""
CALM_SETTLE_S, SECOND_SETTLE_S, END_PLATEAU_S = 6.0, 18.0, 2.0


def moment(incident: Incident) -> Counterfactuals:
    """The incident's own counterfactuals, else those at a quarter of its outage."""
    if incident.whatif is not None:
        return incident.whatif
    outage = incident.outage
    return Counterfactuals(at_s=outage.begin_s + (outage.end_s - outage.begin_s) / 4)


def rows(incident: Incident) -> tuple[Row, ...]:
    """Every row that can be tried: the definition's own, and each action that it permits.

    The row `NOTHING` has no actions and is not among them.
    """
    asked = moment(incident)
    own = {row.name: row for row in asked.rows}
    found = {event.do: event for event in _permitted(incident, asked.at_s)}
    default = {
        name: Row(name=name, actions=(event,)) for name, event in found.items() if name not in own
    }
    return (*own.values(), *default.values())


def under(incident: Incident, row: Row | None) -> Incident:
    """``incident`` with the actions of ``row`` and no other responses; None: with none at all.

    Behind the outage's end stand a calm stretch at the first phase's rate and a second surge: the
    surge's phase again, or, in an incident without one, its faults. The causes stay, and so do the
    signals of the world.
    """
    asked = moment(incident)
    end_s = incident.outage.end_s
    second_s = end_s + asked.calm_s
    duration_s = second_s + asked.second_surge_s
    world = [
        _within(event, duration_s)
        for event in incident.timeline
        if not event.response and event.at_s < end_s
    ]
    actions = [
        action.model_copy(
            update={
                "settle_s": ACTION_SETTLE_S if action.settle_s is None else action.settle_s,
                "plateau_s": ACTION_PLATEAU_S if action.plateau_s is None else action.plateau_s,
            }
        )
        for action in (row.actions if row else ())
    ]
    again = () if incident.surge else tuple(_again(incident, second_s - incident.outage.begin_s))
    later = [_within(event, duration_s) for event in again]
    timeline = sorted((*world, *actions, *later), key=lambda event: event.at_s)
    phases = tuple(phase for phase in incident.load.phases if phase.at_s < end_s)
    load = incident.load.model_copy(
        update={"phases": (*phases, *_after(incident, end_s, second_s))}
    )
    clock = incident.clock.model_copy(update={"duration_s": duration_s})
    # Whoever logs in last is waited for: a login that was cut off would say nothing.
    drain_s = max(incident.replay.drain_s, load.client.patience_s)
    replay = incident.replay.model_copy(update={"drain_s": drain_s})
    return incident.model_copy(
        update={
            "title": f"{incident.title} [{row.name if row else NOTHING}]",
            "clock": clock,
            "load": load,
            "timeline": tuple(timeline),
            "replay": replay,
            "expect": Expectations(users_affected=ExpectedShare(share=0.0)),
            "whatif": None,
        }
    )


def _after(incident: Incident, calm_s: float, second_s: float) -> Iterator[Phase]:
    first, surge = incident.load.phases[0], incident.surge
    calm = {"at_s": calm_s, "ramp_s": 0.0, "settle_s": CALM_SETTLE_S, "plateau_s": END_PLATEAU_S}
    second = {**calm, "at_s": second_s, "settle_s": SECOND_SETTLE_S}
    yield first.model_copy(update={"name": CALM, **calm})
    yield (surge or first).model_copy(update={"name": SECOND, **second})


def _within(event: Event, duration_s: float) -> Event:
    """``event``, cut off where the incident ends."""
    if isinstance(event, Lasting) and event.at_s + event.for_s > duration_s:
        return event.model_copy(update={"for_s": duration_s - event.at_s})
    return event


def _again(incident: Incident, later_s: float) -> Iterator[Event]:
    """The incident's faults once more, so much later."""
    for event in incident.timeline:
        if isinstance(event, Fault):
            assert isinstance(event, LockTable | FailOver)
            yield event.model_copy(update={"at_s": event.at_s + later_s})


def _permitted(incident: Incident, at_s: float) -> Iterator[Event]:
    """One of each action that the incident's parts permit, with the parameters of its fixes."""
    fixes = {event.do: event for event in incident.fixes}
    pool, load = incident.service.pool, incident.load
    fix = fixes.get("set-pool")
    if isinstance(fix, SetPool):
        yield fix.model_copy(
            update={"at_s": at_s, "bake_s": 0.0, "settle_s": None, "plateau_s": None}
        )
    elif pool.implementation != "none":
        yield SetPool(do="set-pool", at_s=at_s, size=min(1000, 4 * max(1, pool.size)))
    yield Restart(do="restart", at_s=at_s)
    yield RollBack(do="roll-back", at_s=at_s)
    yield ScaleOut(do="scale-out", at_s=at_s, add=min(4, incident.service.replicas))
    if load.phases[0].rate_per_s > 0:  # the rate that is known to be carried; none is, from nothing
        yield Shed(do="shed", at_s=at_s, rate_per_s=load.phases[0].rate_per_s)
    surge = incident.surge or load.phases[0]
    yield BlockAddresses(do="block-addresses", at_s=at_s, networks=load.networks_of(surge)[:1])
    if incident.service.backups:
        yield Redirect(do="redirect", at_s=at_s)
    yield RaiseMaxConnections(
        do="raise-max-connections",
        at_s=at_s,
        max_connections=4 * incident.database.max_connections,
    )
    if incident.pgbouncer is not None:
        yield SetPgbouncer(
            do="set-pgbouncer",
            at_s=at_s,
            default_pool_size=4 * incident.pgbouncer.default_pool_size,
        )
    terminate = fixes.get("terminate-sessions")
    if isinstance(terminate, TerminateSessions):
        yield terminate.model_copy(update={"at_s": at_s})
    else:
        yield TerminateSessions(do="terminate-sessions", at_s=at_s, which="idle", older_s=0.5)
    if load.client.attempts > 1:
        yield PauseRetries(do="pause-retries", at_s=at_s)
    yield ReconnectNetwork(do="reconnect-network", at_s=at_s)
