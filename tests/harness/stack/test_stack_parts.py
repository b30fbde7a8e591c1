"""Parts of their own kind: unequal replicas, backups, replicas added later, bystanders."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from harness.errors import PartStartError
from harness.incident import (
    ChattyClient,
    DatabaseConfig,
    DatabaseNoise,
    GatewayConfig,
    HashConfig,
    PacketLoss,
    PoolConfig,
    ServiceConfig,
)
from harness.stack import Replica, Stack, wait_until
from tests.harness.stack.logins import log_in, user_of
from tests.harness.stack.processes import is_gone

SERVICE = ServiceConfig.model_validate(
    {
        "replicas": 2,
        "backups": 1,
        "pool": {"size": 5, "max_overflow": 0},
        "hash": {"time_cost": 1, "memory_kib": 64},
        "exceptions": {
            "replica-2": {"weight": 0.5, "pool": {"size": 2}},
            "backup-1": {"pool": {"max_overflow": 3}},
        },
    }
)
DATABASE = DatabaseConfig(users=200, max_connections=60)
LOSS = PacketLoss(at_s=0, for_s=60, do="packet-loss", share=0.2)

Events = list[tuple[str, str, dict[str, Any]]]


@pytest.fixture(scope="module")
def events() -> Events:
    return []


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, events: Events) -> Iterator[Stack]:
    """Two replicas that differ, and a backup; tests add replicas and leave all serving."""
    with Stack.start(
        SERVICE,
        GatewayConfig(),
        DATABASE,
        directory=tmp_path_factory.mktemp("logs"),
        on_event=lambda name, state, detail: events.append((name, state, dict(detail))),
    ) as running:
        yield running


def targets(stack: Stack) -> list[str]:
    return [target.name for target in stack.metric_targets()]


def pool_limit(stack: Stack, name: str) -> float:
    """What the replica itself says."""
    page = httpx.get(stack.replicas[name].metrics_url, trust_env=False).text
    (line,) = [line for line in page.splitlines() if line.startswith("db_client_connection_max{")]
    return float(line.split()[-1])


def test_replicas_are_what_their_exceptions_say(stack: Stack) -> None:
    assert {name: pool_limit(stack, name) for name in stack.replicas} == {
        "replica-1": 5,
        "replica-2": 2,
        "backup-1": 8,
    }
    assert stack.replica_names == ("replica-1", "replica-2")
    upstreams = stack.gateway.control.state().upstreams
    assert [(u.name, u.weight, u.backup) for u in upstreams] == [
        ("replica-1", 1.0, False),
        ("replica-2", 0.5, False),
        ("backup-1", 1.0, True),
    ]
    assert {u.url for u in upstreams} == {replica.url for replica in stack.replicas.values()}


def test_the_backup_serves_when_it_is_called_for(stack: Stack) -> None:
    def serving() -> set[str]:
        answers = [log_in(stack, user) for user in range(12)]
        assert {answer.status_code for answer in answers} == {200}
        return {answer.headers["X-Replica"] for answer in answers}

    assert serving() == {"replica-1", "replica-2"}
    stack.gateway.control.redirect(True)
    try:
        assert serving() == {"backup-1"}
    finally:
        stack.gateway.control.redirect(False)


def test_a_replica_is_added_and_serves(stack: Stack, events: Events) -> None:
    before = stack.gateway.control.state().upstreams
    added = stack.scale_out(SERVICE.model_copy(update={"pool": PoolConfig(size=1, max_overflow=0)}))
    assert added.name == "replica-3"
    assert stack.replica_names == ("replica-1", "replica-2", "replica-3")
    after = stack.gateway.control.state().upstreams
    assert after[:-1] == before, "the others keep address, weight and kind"
    assert (after[-1].name, after[-1].url, after[-1].weight, after[-1].backup) == (
        "replica-3",
        added.url,
        1.0,
        False,
    )
    assert pool_limit(stack, "replica-3") == 1
    assert targets(stack) == ["replica-1", "replica-2", "backup-1", "replica-3", "gateway"]
    user_of(stack, "replica-3")
    (begin, end) = [event for event in events if event[0] == "scale-out"]
    assert begin == ("scale-out", "begin", {"part": "replica-3"})
    assert (end[1], end[2]["part"]) == ("end", "replica-3")
    stack.reconfigure("replica-3", added.config)
    stack.restart("replica-3")
    assert stack.replica_names[-1] == "replica-3"
    user_of(stack, "replica-3")


def test_a_replica_that_cannot_be_added_leaves_no_trace(
    stack: Stack, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is given again, and the next one must not read its announcement."""
    upstreams, names = stack.gateway.control.state().upstreams, stack.replica_names
    await_ready = Replica.await_ready

    def listen_and_fail(
        replica: Replica, client: httpx.Client, *, cancelled: threading.Event | None = None
    ) -> None:
        await_ready(replica, client, cancelled=cancelled)
        raise PartStartError("it listens, and is not ready")

    with monkeypatch.context() as patch:
        patch.setattr(Replica, "await_ready", listen_and_fail)
        with pytest.raises(PartStartError, match="is not ready"):
            stack.scale_out(SERVICE)
    assert (stack.replica_names, stack.gateway.control.state().upstreams) == (names, upstreams)
    assert stack.dead_parts() == ()
    assert "is not ready" in events[-1][2]["failed"]
    added = stack.scale_out(SERVICE)
    assert added.name == f"replica-{len(names) + 1}"
    user_of(stack, added.name)


@pytest.mark.prometheus
def test_prometheus_is_told_of_who_comes_and_goes(stack: Stack) -> None:
    prometheus = stack.prometheus
    assert prometheus is not None, stack.why_no_prometheus
    with stack.bystander(LOSS) as bystander:
        wait_until(
            "Prometheus to see the bystander",
            lambda: prometheus.query(f'up{{job="bystander",instance="{bystander.name}"}} == 1'),
            timeout_s=20,
        )


def test_a_bystander_is_watched_while_it_is_there(stack: Stack) -> None:
    before = targets(stack)
    with stack.bystander(LOSS) as bystander:
        assert targets(stack) == [*before, bystander.name]
        assert httpx.get(stack.metric_targets()[-1].url, trust_env=False).status_code == 200
        assert stack.dead_parts() == ()
        pid = bystander.child.pid
    assert targets(stack) == before
    assert stack.dead_parts() == ()
    assert is_gone(pid)


def test_two_bystanders_are_told_apart(stack: Stack) -> None:
    noise = DatabaseNoise(at_s=0, for_s=60, do="database-noise", share=0.1)
    chatty = ChattyClient(at_s=0, for_s=60, do="chatty-client", rate_per_s=5)
    with stack.bystander(noise) as one, stack.bystander(chatty) as other:
        assert one.name != other.name
        wait_until("the batch job to be in the database", lambda: _batch_jobs(stack), timeout_s=10)
    wait_until("the batch job to be gone", lambda: not _batch_jobs(stack), timeout_s=10)


def test_a_bystander_that_dies_is_reported_until_it_is_over(stack: Stack) -> None:
    with stack.bystander(LOSS) as bystander:
        stack.kill(bystander.name, signal.SIGKILL)
        wait_until("the death to be seen", stack.dead_parts, timeout_s=5)
        assert [part for part, _ in stack.dead_parts()] == [bystander.name]
    assert stack.dead_parts() == ()


def test_bystanders_end_with_the_stack(tmp_path: Path) -> None:
    service = ServiceConfig(replicas=1, hash=HashConfig(time_cost=1, memory_kib=64))
    stack = Stack.start(
        service, GatewayConfig(), DATABASE, directory=tmp_path / "logs", prometheus=False
    )
    with stack.bystander(LOSS) as bystander:
        stack.stop()
        assert is_gone(bystander.child.pid)
        assert stack.dead_parts() == ()


def _batch_jobs(stack: Stack) -> int:
    with psycopg.connect(stack.postgres.admin_dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nightly-report'"
        ).fetchone()
    assert row is not None
    return int(row[0])
