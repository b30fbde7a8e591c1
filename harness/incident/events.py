"""What stands on a timeline: notes, what responders do, what the world does, what breaks.

An *action* changes the running stack. A *decoy* is a signal that is true and beside the point, or
an action that does not help. A *fault* is broken on purpose and heals after its ``for``.

Responses are what people do about an outage; a counterfactual leaves them out and plays one of its
own instead. Everything else belongs to the world and stays.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from harness.incident.base import Model
from harness.incident.load import Network
from harness.incident.service import PoolChange, PoolConfig, ServiceChange
from harness.incident.units import PerSecond, Seconds

EventKind = Literal["note", "action", "decoy", "fault"]


class TimelineEntry(Model):
    """Something that stands on the timeline."""

    disturbs: ClassVar[bool] = True
    """Whether the system is to be watched at true speed after it."""

    do: str
    at_s: Seconds = Field(alias="at")
    says: str = ""
    by: str = ""
    clock: Literal["detected"] | None = None
    settle_s: Seconds | None = Field(None, alias="settle")
    plateau_s: Seconds | None = Field(None, alias="plateau")

    @property
    def kind(self) -> EventKind:
        """As what it stands in the recording."""
        return "action"

    @property
    def response(self) -> bool:
        """Whether it is something that people do about the outage."""
        return True

    def instants_s(self, targets: int) -> tuple[float, ...]:
        """Incident seconds at which it does something, for so many replicas it is about."""
        return (self.at_s,)


class Note(TimelineEntry):
    """People looking, talking, escalating: it is shown and changes nothing."""

    disturbs: ClassVar[bool] = False
    do: Literal["note"]

    @property
    def kind(self) -> EventKind:
        return "note"


# -- what responders do ------------------------------------------------------------------------


class Action(TimelineEntry):
    """Changes the stack. ``fix`` ends the outage, ``decoy`` changes nothing that counts."""

    fix: bool = False
    decoy: bool = False

    @model_validator(mode="after")
    def _not_both(self) -> Action:
        if self.fix and self.decoy:
            raise ValueError("a fix is no decoy: one of the two")
        return self

    @property
    def kind(self) -> EventKind:
        return "decoy" if self.decoy else "action"


class Rolling(Action):
    """One replica after the other, ``bake`` apart (0: all at once); ``only`` these, else all but
    the backups.

    A replica is replaced without a gap, its successor started beside it. With ``recreate`` it ends
    first, so that its connections are free: where the database is full no successor could start.
    """

    only: tuple[str, ...] = ()
    bake_s: Seconds = Field(0.0, alias="bake")
    recreate: bool = False

    def instants_s(self, targets: int) -> tuple[float, ...]:
        return tuple(self.at_s + number * self.bake_s for number in range(targets))


class SetPool(Rolling, PoolChange):
    """Rolls a new pool configuration over the replicas."""

    do: Literal["set-pool"]

    @model_validator(mode="after")
    def _changes_something(self) -> SetPool:
        if not self.changes():
            raise ValueError("set-pool changes nothing: give size, max_overflow, timeout or others")
        return self

    def applied_to(self, pool: PoolConfig) -> PoolConfig:
        """``pool`` with what this action names replaced."""
        return PoolChange.applied_to(self, pool)


class Restart(Rolling):
    """Ends each replica and starts it again as it was; its users get errors meanwhile."""

    do: Literal["restart"]


class RollBack(Rolling):
    """Back to the configuration before the last deploy; without a deploy, a restart by rolling.

    It helps where the deploy was the cause, and nowhere else.
    """

    do: Literal["roll-back"]


class Deploy(Rolling):
    """A new release rolls over the replicas; without ``service`` its configuration is the old.

    It belongs to the world, unless it is the fix.
    """

    do: Literal["deploy"]
    service: ServiceChange = ServiceChange()

    @property
    def response(self) -> bool:
        return self.fix


class ScaleOut(Action):
    """More replicas, configured as the first one is by then."""

    do: Literal["scale-out"]
    add: int = Field(1, ge=1, le=8)


class Shed(Action):
    """The gateway turns away what exceeds a rate or a number in flight; neither: nothing."""

    do: Literal["shed"]
    rate_per_s: PerSecond | None = Field(None, gt=0, alias="rate")
    max_in_flight: int | None = Field(None, ge=1)


class BlockAddresses(Action):
    """The gateway refuses clients from these address blocks; none: everybody may come."""

    do: Literal["block-addresses"]
    networks: tuple[Network, ...] = ()


class Redirect(Action):
    """Everybody is sent to the backup replicas, or back (``to: replicas``)."""

    do: Literal["redirect"]
    to: Literal["backup", "replicas"] = "backup"


class RaiseMaxConnections(Action):
    """The server's max_connections, which takes a restart of the server."""

    do: Literal["raise-max-connections"]
    max_connections: int = Field(ge=10, le=5000)


class SetPgbouncer(Action):
    """PgBouncer's pool size, changed while it runs."""

    do: Literal["set-pgbouncer"]
    default_pool_size: int = Field(ge=1, le=1000)


class TerminateSessions(Action):
    """Ends the service's sessions in the database that have been so for longer than ``older``.

    ``idle-in-transaction`` and ``idle`` are states of pg_stat_activity; ``blocking`` are sessions
    of anybody that others wait for.
    """

    do: Literal["terminate-sessions"]
    which: Literal["idle-in-transaction", "idle", "blocking"]
    older_s: Seconds = Field(0.0, alias="older")


class PauseRetries(Action):
    """Clients are told, by their remote configuration, not to try again."""

    do: Literal["pause-retries"]


class ReconnectNetwork(Action):
    """The network theory acted out: the edge drops its connections and takes fresh paths."""

    do: Literal["reconnect-network"]
    decoy: bool = True


# -- what the world does -----------------------------------------------------------------------


class Lasting(TimelineEntry):
    """Goes on for ``for``, and ends by itself."""

    for_s: Seconds = Field(gt=0, alias="for")

    @property
    def response(self) -> bool:
        return False

    def instants_s(self, targets: int) -> tuple[float, ...]:
        return (self.at_s, self.at_s + self.for_s)


class Signal(Lasting):
    """A bystander that does something real and shows it, and harms nobody."""

    @property
    def kind(self) -> EventKind:
        return "decoy"


class PacketLoss(Signal):
    """Probes on a path that no login takes lose ``share`` of their packets."""

    do: Literal["packet-loss"]
    share: float = Field(0.2, gt=0, lt=1)


class NoisyLog(Signal):
    """A neighbour logs warnings at ``rate``; all of them are harmless."""

    do: Literal["noisy-log"]
    rate_per_s: PerSecond = Field(20.0, gt=0, le=200, alias="rate")


class DatabaseNoise(Signal):
    """A batch job keeps the database's processor busy for ``share`` of the time."""

    do: Literal["database-noise"]
    share: float = Field(0.3, gt=0, le=0.9)


class ChattyClient(Signal):
    """A client asks ``GET /session`` at ``rate``, over and over, as a badly written one does."""

    do: Literal["chatty-client"]
    rate_per_s: PerSecond = Field(20.0, gt=0, le=200, alias="rate")


class Fault(Lasting):
    """Broken on purpose; it always heals."""

    @property
    def kind(self) -> EventKind:
        return "fault"


class LockTable(Fault):
    """A migration holds a lock on the users' table that every login needs."""

    do: Literal["lock-table"]


class FailOver(Fault):
    """The database goes away, with every connection to it, and is back after ``for``."""

    do: Literal["fail-over"]


Event = Annotated[
    Note
    | SetPool
    | Restart
    | RollBack
    | Deploy
    | ScaleOut
    | Shed
    | BlockAddresses
    | Redirect
    | RaiseMaxConnections
    | SetPgbouncer
    | TerminateSessions
    | PauseRetries
    | ReconnectNetwork
    | PacketLoss
    | NoisyLog
    | DatabaseNoise
    | ChattyClient
    | LockTable
    | FailOver,
    Field(discriminator="do"),
]
