"""What each action does to the running stack: a change that is described before it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.incident import (
    Action,
    BlockAddresses,
    Deploy,
    PauseRetries,
    PoolConfig,
    RaiseMaxConnections,
    ReconnectNetwork,
    Redirect,
    Restart,
    RollBack,
    Rolling,
    ScaleOut,
    ServiceConfig,
    SetPgbouncer,
    SetPool,
    Shed,
    TerminateSessions,
)
from harness.stack import Stack

Found = Mapping[str, Any]
"""What is known only after it was done."""


class Clients(Protocol):
    """The load, as far as an action reaches it."""

    def pause_retries(self) -> None:
        """Tell every client not to try again."""


@dataclass(frozen=True)
class Change:
    """Something that can be done: what it changes, said beforehand, and the doing of it."""

    do: Callable[[], Found | None]
    before: str = ""
    after: str = ""

    @property
    def words(self) -> dict[str, str]:
        """For the recording."""
        return {"before": self.before, "after": self.after} if self.before or self.after else {}


@dataclass
class Surroundings:
    """What actions act upon. ``releases`` are each replica's configurations before its deploys."""

    stack: Stack
    clients: Clients
    releases: dict[str, list[ServiceConfig]] = field(default_factory=dict)


def change(action: Action, target: str, around: Surroundings) -> Change:
    """What ``action`` does now, to the replica ``target`` where it is a rolling one."""
    stack, control = around.stack, around.stack.gateway.control
    match action:
        case SetPool():
            return _set_pool(action, target, stack)
        case Deploy():
            return _deploy(action, target, around)
        case RollBack():
            return _roll_back(action, target, around)
        case Restart():
            return Change(lambda: _nothing(stack.restart(target)))
        case ScaleOut():
            return _scale_out(action, stack)
        case Shed():
            rate, most = action.rate_per_s, action.max_in_flight
            return Change(
                lambda: control.shedding(max_in_flight=most, rate_per_s=rate),
                *_shed_words(control.state().shedding, rate, most),
            )
        case BlockAddresses():
            before = ", ".join(control.state().blocked.addresses)
            return Change(
                lambda: control.block(action.networks),
                before or "nobody is blocked",
                ", ".join(action.networks) or "nobody is blocked",
            )
        case Redirect():
            to_backup = action.to == "backup"
            was = control.state().redirect.to_backup
            return Change(
                lambda: control.redirect(to_backup), _served_by(was), _served_by(to_backup)
            )
        case RaiseMaxConnections():
            most = action.max_connections
            return Change(
                lambda: stack.restart_database(max_connections=most),
                after=f"max_connections {most}",
            )
        case SetPgbouncer():
            size = action.default_pool_size
            return Change(
                lambda: stack.set_pgbouncer(default_pool_size=size),
                after=f"default_pool_size {size}",
            )
        case TerminateSessions():
            return Change(
                lambda: {"terminated": stack.terminate_sessions(action.which, action.older_s)}
            )
        case PauseRetries():
            return Change(
                around.clients.pause_retries, "clients try again", "clients do not try again"
            )
        case ReconnectNetwork():
            return Change(control.reconnect)
    raise AssertionError(f"no such action: {action!r}")


def _set_pool(action: SetPool, name: str, stack: Stack) -> Change:
    before = stack.replicas[name].config
    after = before.model_copy(update={"pool": action.applied_to(before.pool)})
    return _rolled(action, name, before, after, stack)


def _deploy(action: Deploy, name: str, around: Surroundings) -> Change:
    before = around.stack.replicas[name].config
    changed = action.service.applied_to(before)
    after = changed.model_copy(update={"release": before.release + 1})
    around.releases.setdefault(name, []).append(before)
    return _rolled(action, name, before, after, around.stack)


def _roll_back(action: RollBack, name: str, around: Surroundings) -> Change:
    before = around.stack.replicas[name].config
    releases = around.releases.get(name)
    return _rolled(action, name, before, releases.pop() if releases else before, around.stack)


def _rolled(
    action: Rolling, name: str, before: ServiceConfig, after: ServiceConfig, stack: Stack
) -> Change:
    replace = stack.restart if action.recreate else stack.reconfigure
    return Change(
        lambda: _nothing(replace(name, after)),
        _service_words(before),
        _service_words(after),
    )


def _scale_out(action: ScaleOut, stack: Stack) -> Change:
    config = stack.replicas[stack.replica_names[0]].config

    def add() -> Found:
        return {"added": [stack.scale_out(config).name for _ in range(action.add)]}

    count = len(stack.replica_names)
    return Change(add, f"{count} replicas", f"{count + action.add} replicas")


def _service_words(service: ServiceConfig) -> str:
    words = [f"release {service.release}", pool_words(service.pool)]
    if service.defects:
        words.append(", ".join(service.defects))
    return ": ".join((words[0], ", ".join(words[1:])))


def pool_words(pool: PoolConfig) -> str:
    """A pool's limit and timeout, ``5+0, timeout 2 s``."""
    return f"{pool.size}+{pool.max_overflow}, timeout {pool.timeout_s:g} s"


def _shed_words(before: Any, rate: float | None, most: int | None) -> tuple[str, str]:
    def told(rate: float | None, most: int | None) -> str:
        limits = [f"{rate:g}/s" if rate else "", f"{most} in flight" if most else ""]
        return ", ".join(limit for limit in limits if limit) or "everybody is let in"

    return told(before.rate_per_s, before.max_in_flight), told(rate, most)


def _served_by(backup: bool) -> str:
    return "served by the backup" if backup else "served by the replicas"


def _nothing(_: object) -> None:
    """Nothing more is known of it than that it was done."""
