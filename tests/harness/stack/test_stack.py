"""The whole stack, for real: it serves, it can be changed, and nothing of it survives."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from harness.errors import (
    InfrastructureError,
    PartStartError,
    PrometheusMissingError,
    UsageError,
)
from harness.incident import DatabaseConfig, GatewayConfig, PoolConfig, ServiceConfig
from harness.stack import Stack, Upstream, wait_until
from harness.stack.pgbouncer_process import find_program
from tests.harness.stack.logins import log_in, user_of
from tests.harness.stack.processes import family, is_gone

SERVICE = ServiceConfig(replicas=2)
BAD_SERVICE = SERVICE.model_copy(update={"session_ttl_s": 0.0})
"""What the service refuses; an incident refuses it too, but copying does not validate."""

DATABASE = DatabaseConfig(users=500, max_connections=60)
Events = list[tuple[str, str, dict[str, Any]]]


@pytest.fixture(scope="module")
def events() -> Events:
    return []


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, events: Events) -> Iterator[Stack]:
    """A stack that the tests of this module share; each leaves it serving."""
    with Stack.start(
        SERVICE,
        GatewayConfig(),
        DATABASE,
        directory=tmp_path_factory.mktemp("logs"),
        on_event=lambda name, state, detail: events.append((name, state, dict(detail))),
    ) as running:
        yield running


def test_users_log_in_at_both_replicas(stack: Stack) -> None:
    before = dict(stack.sessions().rows())
    answers = [log_in(stack, user) for user in range(100, 112)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["X-Replica"] for answer in answers} == {"replica-1", "replica-2"}
    after = dict(stack.sessions().rows())
    assert after == before | dict.fromkeys(range(100, 112), 1)


def test_the_environment_names_versions_and_no_passwords(stack: Stack) -> None:
    environment = stack.environment()
    assert environment["postgres"].startswith("18.")
    assert environment["ready_s"] > 0
    assert set(environment["addresses"]) >= {"gateway", "postgres", "replica-1", "replica-2"}
    for dsn in (stack.postgres.dsn, stack.postgres.admin_dsn, stack.postgres.monitor_dsn):
        assert httpx.URL(dsn).password not in str(environment)


def test_two_replicas_are_replaced_at_once_and_no_process_is_seen_twice(stack: Stack) -> None:
    """A process under two names, or under none, would be counted twice or not at all."""
    names = stack.replica_names
    seen: list[list[str]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            targets = stack.metric_targets()
            seen.append([target.url for target in targets])
            done.wait(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(len(names)) as workers:
            configs = [stack.replicas[name].config for name in names]
            list(workers.map(stack.reconfigure, names, configs))
    finally:
        done.set()
        watcher.join()
    assert all(len(urls) == len(set(urls)) for urls in seen)
    assert max(len(urls) for urls in seen) == 5, "both old ones retired at the same time"
    assert min(len(urls) for urls in seen) == 3
    assert stack.dead_parts() == ()


def test_a_restart_may_bring_another_configuration(stack: Stack) -> None:
    config = stack.replicas["replica-2"].config
    changed = config.model_copy(update={"pool": PoolConfig(size=3, max_overflow=0)})
    new = stack.restart("replica-2", changed)
    assert stack.replicas["replica-2"] is new
    assert new.config.pool.size == 3
    assert log_in(stack, user_of(stack, "replica-2")).status_code == 200
    stack.restart("replica-2", config)


def test_a_replica_is_replaced_without_an_error(stack: Stack, events: Events) -> None:
    user = user_of(stack, "replica-1")
    old = stack.replicas["replica-1"]
    failures: list[httpx.Response] = []
    seen: set[str] = set()
    answered = threading.Event()
    done = threading.Event()

    def keep_logging_in() -> None:
        while not done.is_set():
            answer = log_in(stack, user)
            seen.update(target.name for target in stack.metric_targets())
            answered.set()
            if answer.status_code != 200:
                failures.append(answer)

    client = threading.Thread(target=keep_logging_in)
    client.start()
    assert answered.wait(10)
    try:
        changed = old.config.model_copy(update={"pool": PoolConfig(size=2, max_overflow=1)})
        new = stack.reconfigure("replica-1", changed)
    finally:
        done.set()
        client.join()
    assert failures == []
    assert "replica-1-retiring" in seen, "the old one is observed until it has ended"
    assert stack.replicas["replica-1"] is new
    assert new.config.pool.size == 2
    assert not old.child.alive()
    assert stack.dead_parts() == ()
    assert "db_client_connection_max" in httpx.get(new.metrics_url, trust_env=False).text
    assert [t.name for t in stack.metric_targets()] == ["replica-1", "replica-2", "gateway"]
    assert stack.metric_targets()[0].url == new.metrics_url
    assert [(name, state) for name, state, _ in events[-2:]] == [
        ("reconfigure", "begin"),
        ("reconfigure", "end"),
    ]


@pytest.mark.prometheus
def test_prometheus_follows_a_replica_under_its_name(stack: Stack) -> None:
    prometheus = stack.prometheus
    assert prometheus is not None, stack.why_no_prometheus
    limit = 4.0
    before = stack.replicas["replica-2"].generation
    # It reads changed targets once in some seconds: a process that is replaced sooner than that
    # was never one of its targets.
    wait_until(
        "Prometheus to see the old process",
        lambda: prometheus.query(
            f'db_client_connection_max{{instance="replica-2",generation="{before}"}}'
        ),
        timeout_s=20,
    )
    stack.reconfigure("replica-2", ServiceConfig(pool=PoolConfig(size=3, max_overflow=1)))
    series = wait_until(
        "Prometheus to see the new pool",
        lambda: prometheus.query(f"db_client_connection_max == {limit}"),
        timeout_s=20,
    )
    assert [(item.labels["job"], item.labels["instance"]) for item in series] == [
        ("auth", "replica-2")
    ]
    at_epoch = series[0].points[0][0]
    history = prometheus.query_range(
        'db_client_connection_max{instance="replica-2"}',
        from_epoch=at_epoch - 60,
        to_epoch=at_epoch,
    )
    generations = [item.labels["generation"] for item in history]
    assert len(generations) == len(set(generations)), "one series a process"
    assert {str(before), str(before + 1)} <= set(generations)
    assert any(item.points[-1] == (at_epoch, limit) for item in history)
    with pytest.raises(InfrastructureError, match="refused 'sum by'"):
        prometheus.query("sum by")


def test_a_killed_replica_is_reported_and_restarts(stack: Stack) -> None:
    stack.kill("replica-2", signal.SIGKILL)
    wait_until("the death to be seen", stack.dead_parts, timeout_s=5)
    ((part, why),) = stack.dead_parts()
    assert part == "replica-2"
    assert "replica-2 was ended by SIGKILL" in why
    stack.restart("replica-2")
    assert stack.dead_parts() == ()
    user_of(stack, "replica-2")


def test_a_bad_configuration_leaves_the_old_replica_serving(stack: Stack, events: Events) -> None:
    old = stack.replicas["replica-1"]
    with pytest.raises(PartStartError, match="AUTH_SESSION_TTL_S"):
        stack.reconfigure("replica-1", BAD_SERVICE)
    assert stack.replicas["replica-1"] is old
    assert "AUTH_SESSION_TTL_S" in events[-1][2]["failed"]
    user_of(stack, "replica-1")
    assert stack.dead_parts() == ()


def test_unknown_parts_are_named(stack: Stack) -> None:
    with pytest.raises(UsageError, match="no replica is called replica-9: replica-1, replica-2"):
        stack.reconfigure("replica-9", SERVICE)
    with pytest.raises(UsageError, match="no part is called nginx: gateway, postgres"):
        stack.kill("nginx")


def test_the_gateways_control(stack: Stack) -> None:
    control = stack.gateway.control
    before = control.state()
    try:
        control.timeout(7)
        control.shedding(max_in_flight=1000, rate_per_s=500)
        control.set_weight("replica-1", 0.5)
        control.set_backup("replica-2", True)
        control.redirect(True)
        control.block(["10.0.0.0/8"])
        control.reconnect()
        state = control.state()
        assert state.timeout_s == 7
        assert (state.shedding.max_in_flight, state.shedding.rate_per_s) == (1000, 500)
        assert [(u.weight, u.backup) for u in state.upstreams] == [(0.5, False), (1, True)]
        assert state.redirect.to_backup
        assert state.blocked.addresses == ("10.0.0.0/8",)
    finally:
        control.redirect(False)
        control.block([])
        control.shedding()
        control.timeout(before.timeout_s)
        control.upstreams(before.upstreams)
    assert control.state() == before
    with pytest.raises(InfrastructureError, match="refused PUT /control/timeout: 422"):
        control.timeout(-1)
    with pytest.raises(InfrastructureError, match="refused PUT /control/upstreams: 422"):
        control.upstreams([Upstream(name="replica-1", url="ftp://nowhere")])


def test_a_part_that_fails_to_start_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(family(psutil.Process().pid))
    with pytest.raises(PartStartError, match="AUTH_SESSION_TTL_S"):
        Stack.start(
            BAD_SERVICE.model_copy(update={"replicas": 1}),
            GatewayConfig(),
            DATABASE,
            directory=tmp_path / "logs",
            prometheus=False,
        )
    assert set(family(psutil.Process().pid)) <= before
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_required_prometheus_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrometheusMissingError, match="no program called prometheus"):
        Stack.start(
            SERVICE, GatewayConfig(), DATABASE, directory=tmp_path / "logs", require_prometheus=True
        )


HARNESS = """
import signal, sys
from pathlib import Path
from harness.incident import DatabaseConfig, GatewayConfig, PacketLoss, PgbouncerConfig
from harness.incident import ServiceConfig
from harness.stack import Stack
from harness.stack.pgbouncer_process import find_program

service, database = ServiceConfig(replicas=1), DatabaseConfig(users=10)
pgbouncer = PgbouncerConfig() if find_program() else None
loss = PacketLoss(at_s=0, for_s=600, do="packet-loss")
print("starting", flush=True)
with (
    Stack.start(
        service, GatewayConfig(), database, directory=Path(sys.argv[1]), pgbouncer=pgbouncer
    ) as stack,
    stack.bystander(loss),
):
    print("ready", flush=True)
    signal.pause()
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary directory for a harness of its own, open to PostgreSQL's user."""
    with tempfile.TemporaryDirectory(prefix="pd-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def harness(temporary: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that starts a stack, says so on its output, and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", HARNESS, str(tmp_path / "logs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(temporary)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "starting\n"
        yield process
        process.kill()


def test_nothing_survives_a_killed_harness(harness: subprocess.Popen[str], temporary: Path) -> None:
    """kill -9 of the harness: processes, PostgreSQL's own children and folders go in 5 s."""
    assert harness.stdout is not None
    assert harness.stdout.readline() == "ready\n"
    pids = family(harness.pid)
    names = {psutil.Process(pid).name() for pid in pids}
    assert names >= {"postgres", *(["pgbouncer"] if find_program() else [])}
    assert len(pids) > 9, "guard, gateway, replica, bystander, PostgreSQL and its children"
    assert list(temporary.iterdir())
    harness.kill()
    wait_until("all to be gone", lambda: all(map(is_gone, pids)), timeout_s=5)
    assert list(temporary.iterdir()) == []


def test_nothing_survives_an_interrupted_start(
    harness: subprocess.Popen[str], temporary: Path
) -> None:
    """Ctrl-C while parts are being started from other threads."""
    wait_until("the first parts", lambda: len(family(harness.pid)) >= 3, timeout_s=30)
    pids = family(harness.pid)
    harness.send_signal(signal.SIGINT)
    harness.wait(20)
    wait_until("all to be gone", lambda: all(map(is_gone, pids)), timeout_s=5)
    assert list(temporary.iterdir()) == []
