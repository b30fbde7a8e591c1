"""The incident: one frozen tree of typed values, complete before anything is started.

Its parts stand in their own modules: what is deployed (`service`), what is thrown at it (`load`),
what happens (`events`), what must be measured (`expectations`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from harness.incident.base import Model, Name, Share
from harness.incident.events import (
    Action,
    Deploy,
    Event,
    RollBack,
    Rolling,
    ScaleOut,
    SetPool,
    TimelineEntry,
)
from harness.incident.expectations import Expectations
from harness.incident.load import Load, Phase
from harness.incident.service import (
    DatabaseConfig,
    GatewayConfig,
    PgbouncerConfig,
    PoolConfig,
    ServiceConfig,
)
from harness.incident.units import Seconds


class Clock(Model):
    """Incident time 0 on the document's clock, and the incident's length."""

    starts_at: datetime
    duration_s: Seconds = Field(gt=0, alias="duration")


class Outage(Model):
    """The stretch of incident time that the document calls the outage."""

    begin_s: Seconds = Field(alias="begin")
    end_s: Seconds = Field(alias="end")


class Replay(Model):
    """How the incident is shortened: true speed for ``settle`` after an event, then ``plateau``."""

    settle_s: Seconds = Field(15.0, alias="settle")
    plateau_s: Seconds = Field(5.0, alias="plateau")
    drain_s: Seconds = Field(5.0, alias="drain")


class Slo(Model):
    """Breached when, over ``window``, fewer than ``success`` of the logins that ended were good."""

    success: Share = 0.99
    latency_s: Seconds = Field(5.0, alias="latency")
    window_s: Seconds = Field(5.0, gt=0, alias="window")


class DocumentEntry(Model):
    """One line of the document's own timeline, by its own clock."""

    time: str
    says: str


class Question(Model):
    """What a document leaves open, and what the replays say to it.

    ``{ROW.COLUMN}`` in the answer stands for a figure of the counterfactuals, such as
    ``{roll-back.affected}``.
    """

    asks: str
    answer: str


class Postmortem(Model):
    """The facts as the document states them; measured values stand beside them in reports."""

    document: str
    title: str
    date: str
    begins: str = ""
    ends: str = ""
    duration_s: Seconds = Field(alias="duration")
    users_affected: Share
    impact: str
    symptoms: tuple[str, ...] = ()
    theories: tuple[str, ...] = ()
    escalations: tuple[str, ...] = ()
    root_cause: str
    resolution: str
    timeline: tuple[DocumentEntry, ...] = ()
    measures: tuple[str, ...] = ()
    open_questions: tuple[Question, ...] = ()


class Citation(Model):
    """A public account of the same failure."""

    title: str = Field(min_length=1)
    where: str = Field(min_length=1)


class Cause(Model):
    """A part of what was wrong, and the fields to override for an incident without it."""

    says: str = Field(min_length=1)
    without: dict[str, Any] = Field(default_factory=dict)


class CapacityDefect(Cause):
    """What was wrong all along. It must be removable: without it nothing may reproduce."""

    without: dict[str, Any] = Field(min_length=1)


class Truth(Model):
    """What really was wrong: trigger, sustaining loop and capacity defect kept apart."""

    trigger: Cause
    sustaining_loop: Cause | None = None
    capacity_defect: CapacityDefect
    accepted_fixes: tuple[str, ...] = Field(min_length=1)
    traps: tuple[str, ...] = ()

    @property
    def causes(self) -> dict[str, Cause]:
        """The parts by the names that ``--without`` takes."""
        parts = {
            "trigger": self.trigger,
            "loop": self.sustaining_loop,
            "defect": self.capacity_defect,
        }
        return {name: cause for name, cause in parts.items() if cause is not None}


class Row(Model):
    """One row of the counterfactuals: these actions, at these instants, and no other responses.

    An action without ``at`` is taken at the counterfactuals' own ``at``.
    """

    name: Name
    says: str = ""
    actions: tuple[Event, ...] = Field(min_length=1)


class Counterfactuals(Model):
    """What `pooldrill whatif` tries: each row's actions, then a calm stretch, then a second surge.

    Without ``rows`` the actions that the definition permits are tried, one a row.
    """

    at_s: Seconds = Field(alias="at")
    calm_s: Seconds = Field(60.0, alias="calm")
    second_surge_s: Seconds = Field(120.0, alias="second_surge")
    rows: tuple[Row, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _rows_begin_at_the_moment(cls, data: Any) -> Any:
        """An action without an instant of its own is taken at the common moment."""
        if not isinstance(data, dict) or "at" not in data:
            return data
        rows = data.get("rows")
        for row in rows if isinstance(rows, list) else ():
            actions = row.get("actions") if isinstance(row, dict) else None
            for action in actions if isinstance(actions, list) else ():
                if isinstance(action, dict):
                    action.setdefault("at", data["at"])
        return data


Family = Literal["postmortem", "catalogue", "benign"]
FAMILIES: tuple[Family, ...] = get_args(Family)
"""What an incident is: one of the documents' outages, another way a pool dies, a healthy run."""


class Incident(Model):
    """A connection-pool outage, whole: service, load, faults, timeline, truth, expectations.

    ``kind: benign`` is a healthy busy run: it has no outage, no defect and no truth, and nobody may
    be harmed in it.
    """

    schema_version: Literal[1] = Field(alias="schema")
    kind: Literal["incident", "benign"] = "incident"
    name: Name
    title: str
    summary: str
    postmortem: Postmortem | None = None
    seen_in: tuple[Citation, ...] = ()
    clock: Clock
    outage: Outage
    service: ServiceConfig = ServiceConfig()
    gateway: GatewayConfig = GatewayConfig()
    database: DatabaseConfig = DatabaseConfig()
    pgbouncer: PgbouncerConfig | None = None
    load: Load
    timeline: tuple[Event, ...] = ()
    replay: Replay = Replay()
    slo: Slo = Slo()
    truth: Truth | None = None
    expect: Expectations
    whatif: Counterfactuals | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_benign_run_is_counted_whole(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("kind") == "benign" and "outage" not in data:
            clock = data.get("clock")
            if isinstance(clock, dict) and "duration" in clock:
                data = {**data, "outage": {"begin": "0s", "end": clock["duration"]}}
        return data

    @model_validator(mode="after")
    def _truth_goes_with_the_kind(self) -> Incident:
        if self.kind == "incident" and self.truth is None:
            raise ValueError("an incident has a truth: what really was wrong")
        if self.kind == "benign" and self.truth is not None:
            raise ValueError("a benign run has no truth: nothing is wrong in it")
        return self

    @property
    def family(self) -> Family:
        """Where it belongs in the library."""
        if self.kind == "benign":
            return "benign"
        return "catalogue" if self.postmortem is None else "postmortem"

    @property
    def surge(self) -> Phase | None:
        """The phase named ``surge``, else the one with the highest rate after the first."""
        later = self.load.phases[1:]
        named = next((phase for phase in later if phase.name == "surge"), None)
        return named or max(later, key=lambda phase: phase.rate_per_s, default=None)

    @property
    def fixes(self) -> tuple[Action, ...]:
        """The timeline's actions that are meant to end the outage."""
        return tuple(event for event in self.timeline if isinstance(event, Action) and event.fix)

    def serving(self, at_s: float) -> tuple[str, ...]:
        """The replicas that serve by then, those added by scaling out included."""
        added = sum(
            event.add
            for event in self.timeline
            if isinstance(event, ScaleOut) and event.at_s <= at_s
        )
        begin = self.service.replicas + 1
        return (
            *self.service.replica_names,
            *(f"replica-{number}" for number in range(begin, begin + added)),
        )

    def pool_at(self, at_s: float) -> PoolConfig:
        """The replicas' pool as it is by then, with all that has rolled over every one of them."""
        pool = self.service.pool
        releases: list[PoolConfig] = []
        for event in self.timeline:
            if event.at_s > at_s or (isinstance(event, Rolling) and event.only):
                continue
            if isinstance(event, Deploy):
                releases.append(pool)
                pool = event.service.pool.applied_to(pool) if event.service.pool else pool
            elif isinstance(event, RollBack):
                pool = releases.pop() if releases else pool
            elif isinstance(event, SetPool):
                pool = event.applied_to(pool)
        return pool

    def targets(self, event: TimelineEntry) -> tuple[str, ...]:
        """The replicas that ``event`` changes, one after the other; none for other events."""
        if not isinstance(event, Rolling):
            return ()
        return event.only or self.serving(event.at_s)

    def instants_s(self, event: TimelineEntry) -> tuple[float, ...]:
        """Incident seconds at which ``event`` does something."""
        return event.instants_s(len(self.targets(event)))

    def disturbances(self) -> Iterator[tuple[float, float, float]]:
        """``(at_s, settle_s, plateau_s)`` of every instant after which things change."""
        replay = self.replay
        for phase in self.load.phases:
            yield (
                phase.at_s,
                replay.settle_s if phase.settle_s is None else phase.settle_s,
                replay.plateau_s if phase.plateau_s is None else phase.plateau_s,
            )
        for event in self.timeline:
            if event.disturbs:
                for at_s in self.instants_s(event):
                    yield (
                        at_s,
                        replay.settle_s if event.settle_s is None else event.settle_s,
                        replay.plateau_s if event.plateau_s is None else event.plateau_s,
                    )
