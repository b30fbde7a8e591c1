"""Each action does to the stack what it says, and says it in the recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from harness.incident import ServiceConfig, load_incident
from harness.recording import TimelineEvent
from harness.responder import Responder, plan
from harness.timemap import build_timemap


class FakeControl:
    """The gateway's control, as far as actions use it."""

    def __init__(self, did: list[Any]) -> None:
        self._did = did

    def state(self) -> Any:
        return SimpleNamespace(
            shedding=SimpleNamespace(rate_per_s=None, max_in_flight=None),
            blocked=SimpleNamespace(addresses=()),
            redirect=SimpleNamespace(to_backup=False),
        )

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **named: self._did.append((name, args, named))


class FakeStack:
    """Keeps the replicas' configurations and a list of what was done."""

    def __init__(self, service: ServiceConfig) -> None:
        self.did: list[Any] = []
        self.replica_names = list(service.replica_names)
        self.replicas = {
            name: SimpleNamespace(name=name, config=service.of_replica(name))
            for name in (*service.replica_names, *service.backup_names)
        }
        self.gateway = SimpleNamespace(control=FakeControl(self.did))

    def reconfigure(self, name: str, service: ServiceConfig, **named: Any) -> None:
        self.replicas[name].config = service
        self.did.append(("reconfigure", name))

    def restart(self, name: str) -> None:
        self.did.append(("restart", name))

    def scale_out(self, config: ServiceConfig) -> Any:
        name = f"replica-{len(self.replica_names) + 1}"
        self.replica_names.append(name)
        self.replicas[name] = SimpleNamespace(name=name, config=config)
        self.did.append(("scale_out", name))
        return self.replicas[name]

    def terminate_sessions(self, which: str, older_s: float) -> int:
        self.did.append(("terminate_sessions", which, older_s))
        return 3

    def restart_database(self, **named: Any) -> None:
        self.did.append(("restart_database", named))

    @contextmanager
    def locked_users(self) -> Iterator[None]:
        self.did.append("locked")
        try:
            yield
        finally:
            self.did.append("unlocked")


class FakeClients:
    def __init__(self, did: list[Any]) -> None:
        self._did = did

    def pause_retries(self) -> None:
        self._did.append("pause_retries")


def play(timeline: str, **overrides: str) -> tuple[FakeStack, list[TimelineEvent]]:
    """Everything on ``timeline``, at once."""
    values = {
        "timeline": timeline,
        "truth.capacity_defect.without": "{service.pool.size: 9}",
        "expect": "{users_affected: {share: 0.7}}",
        "service.backups": "1",
        **overrides,
    }
    incident = load_incident("flash-sale-deploy", values)
    stack = FakeStack(incident.service)
    events: list[TimelineEvent] = []
    steps = plan(incident, build_timemap(incident))
    with Responder(
        steps,
        stack,  # type: ignore[arg-type]
        FakeClients(stack.did),
        clock=lambda: 1e9,
        emit=events.append,
    ) as responder:
        responder.play_due()
        responder.finish(timeout_s=5.0)
    return stack, [event for event in events if event.kind != "phase"]


@pytest.mark.parametrize(
    ("action", "did"),
    [
        ("do: restart", [("restart", "replica-1"), ("restart", "replica-2")]),
        ("do: restart, only: [backup-1]", [("restart", "backup-1")]),
        ("do: scale-out, add: 2", [("scale_out", "replica-3"), ("scale_out", "replica-4")]),
        (
            "do: shed, rate: 20/s",
            [("shedding", (), {"max_in_flight": None, "rate_per_s": 20.0})],
        ),
        ("do: block-addresses, networks: [10.0.0.0/9]", [("block", (("10.0.0.0/9",),), {})]),
        ("do: redirect", [("redirect", (True,), {})]),
        ("do: redirect, to: replicas", [("redirect", (False,), {})]),
        (
            "do: raise-max-connections, max_connections: 300",
            [("restart_database", {"max_connections": 300})],
        ),
        (
            "do: terminate-sessions, which: idle, older: 2s",
            [("terminate_sessions", "idle", 2.0)],
        ),
        ("do: pause-retries", ["pause_retries"]),
        ("do: reconnect-network", [("reconnect", (), {})]),
        ("do: fail-over, for: 2s", [("restart_database", {"down_s": 2.0})]),
        ("do: lock-table, for: 2s", ["locked", "unlocked"]),
    ],
)
def test_each_action_does_what_it_says(action: str, did: list[Any]) -> None:
    stack, events = play(f"[{{at: 1h, {action}}}]")
    assert stack.did == did
    assert [event.state for event in events[:2]] == ["begin", "end"]


def test_the_recording_says_what_was_before_and_after() -> None:
    _, events = play("[{at: 1h, do: set-pool, size: 20, by: dba, says: More, fix: true}]")
    first = events[1]
    assert (first.kind, first.name, first.state) == ("action", "set-pool", "end")
    assert first.detail["before"] == "release 1: 8+0, timeout 1.5 s"
    assert first.detail["after"] == "release 1: 20+0, timeout 1.5 s"
    assert first.detail["replica"] == "replica-1"
    assert (first.detail["step"], first.detail["steps"], first.detail["fix"]) == (1, 2, True)
    assert (first.detail["by"], first.detail["says"]) == ("dba", "More")


def test_what_is_known_only_afterwards_stands_at_the_end() -> None:
    _, events = play("[{at: 1h, do: terminate-sessions, which: blocking}]")
    assert "terminated" not in events[0].detail
    assert events[1].detail["terminated"] == 3


def test_a_roll_back_restores_the_configuration_before_the_deploy() -> None:
    deploy = "{at: 1h, do: deploy, service: {pool: {size: 2}}}"
    stack, _ = play(f"[{deploy}]")
    assert [stack.replicas[n].config.pool.size for n in stack.replica_names] == [2, 2]
    assert stack.replicas["replica-1"].config.release == 2

    stack, _ = play(f"[{deploy}, {{at: 80m, do: roll-back}}]")
    assert [stack.replicas[n].config.pool.size for n in stack.replica_names] == [8, 8]
    assert stack.replicas["replica-1"].config.release == 1


def test_a_roll_back_without_a_deploy_only_rolls_the_replicas() -> None:
    stack, _ = play("[{at: 1h, do: roll-back}]")
    assert stack.did == [("reconfigure", "replica-1"), ("reconfigure", "replica-2")]
    assert stack.replicas["replica-1"].config.pool.size == 8


def test_a_decoy_is_recorded_as_one() -> None:
    _, events = play("[{at: 1h, do: restart, decoy: true}]")
    assert {event.kind for event in events} == {"decoy"}


def test_a_fault_that_still_holds_is_healed_when_the_run_ends() -> None:
    incident = load_incident("lock-contention", {"timeline.1.fix": "true"})
    stack = FakeStack(incident.service)
    lock = [s for s in plan(incident, build_timemap(incident)) if s.replay_s == 8.0]
    events: list[TimelineEvent] = []
    with Responder(
        tuple(lock),
        stack,  # type: ignore[arg-type]
        FakeClients(stack.did),
        clock=lambda: 9.0,
        emit=events.append,
    ) as responder:
        responder.play_due()
        responder.finish(timeout_s=5.0)
        assert stack.did == ["locked"]
    assert stack.did == ["locked", "unlocked"]
    assert [event.state for event in events] == ["begin", "end"]


def test_an_action_that_fails_is_raised_where_the_run_is_watched() -> None:
    incident = load_incident("undersized-pool")
    stack = FakeStack(incident.service)
    stack.replicas.clear()
    with Responder(
        plan(incident, build_timemap(incident)),
        stack,  # type: ignore[arg-type]
        FakeClients(stack.did),
        clock=lambda: 1e9,
        emit=lambda event: None,
    ) as responder:
        responder.play_due()
        with pytest.raises(KeyError):
            responder.finish(timeout_s=5.0)
