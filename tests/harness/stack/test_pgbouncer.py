"""PgBouncer for real: the service goes through it, nobody else does, and nothing of it stays."""

from __future__ import annotations

import signal
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from harness.errors import InfrastructureError, PartStartError, PgbouncerMissingError
from harness.incident import (
    DatabaseConfig,
    GatewayConfig,
    HashConfig,
    PgbouncerConfig,
    ServiceConfig,
)
from harness.recorder import PgbouncerSampler
from harness.stack import (
    EmbeddedPostgres,
    Pgbouncer,
    Stack,
    pgbouncer,
    pgbouncer_process,
    wait_until,
)
from harness.stack.ports import free_port
from tests.harness.stack.logins import log_in, user_of
from tests.harness.stack.processes import is_gone

SERVICE = ServiceConfig(replicas=2, hash=HashConfig(time_cost=1, memory_kib=64))
DATABASE = DatabaseConfig(users=100, max_connections=40)
CONFIG = PgbouncerConfig(default_pool_size=2, max_client_conn=4, query_wait_timeout_s=30)

Start = Callable[..., Pgbouncer]
PREFIX = "pgbouncer_pools_"


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's temporary directory for this test, so that leftovers show."""
    with tempfile.TemporaryDirectory(prefix="pd-test-") as name:
        place = Path(name)
        place.chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield place


@pytest.fixture
def start(embedded_postgres: EmbeddedPostgres, temporary: Path, tmp_path: Path) -> Iterator[Start]:
    """A PgBouncer in front of the session's server."""
    with ExitStack() as running:

        def start(config: PgbouncerConfig = CONFIG, dsn: str = embedded_postgres.dsn) -> Pgbouncer:
            started = Pgbouncer.start(config, dsn, logs=tmp_path / "logs")
            running.callback(started.stop)
            return started

        yield start


def figures(sampler: PgbouncerSampler) -> dict[str, float]:
    """The service's pool, without the labels that all of its figures share."""
    every = sampler.sample()
    limits = {name: value for name, labels, value in every if not labels}
    assert limits.pop("pgbouncer_config_max_client_connections") > 0
    assert limits == {"pgbouncer_config_max_user_connections": 0}
    readings = [reading for reading in every if reading[1]]
    assert {labels for _, labels, _ in readings} <= {'database="auth",user="auth"'}
    return {name.removeprefix(PREFIX): value for name, _, value in readings}


@pytest.mark.pgbouncer
def test_the_service_goes_through_it_and_nobody_else_does(tmp_path: Path) -> None:
    events: list[tuple[str, str, dict[str, Any]]] = []
    with Stack.start(
        SERVICE,
        GatewayConfig(),
        DATABASE,
        directory=tmp_path / "logs",
        prometheus=False,
        pgbouncer=PgbouncerConfig(default_pool_size=7),
        on_event=lambda name, state, detail: events.append((name, state, dict(detail))),
    ) as stack:
        assert stack.pgbouncer is not None
        assert stack.pgbouncer_dsn is not None
        assert {log_in(stack, user).status_code for user in range(20)} == {200}
        with psycopg.connect(stack.postgres.admin_dsn) as admin:
            rows = admin.execute(
                "SELECT application_name, client_port FROM pg_stat_activity"
                " WHERE usename = 'auth' AND application_name LIKE 'replica-%'"
            ).fetchall()
        assert {name for name, _ in rows} == {"replica-1", "replica-2"}
        servers = {
            connection.laddr.port
            for connection in psutil.Process(stack.pgbouncer.child.pid).net_connections("tcp")
            if connection.raddr and connection.raddr.port == int(_port(stack.postgres.dsn))
        }
        assert {port for _, port in rows} <= servers, "every session is one of PgBouncer's"
        with closing(PgbouncerSampler(stack.pgbouncer_dsn)) as sampler:
            assert figures(sampler)["client_active_connections"] >= 2
        environment = stack.environment()
        assert environment["pgbouncer"].count(".") == 2
        assert environment["addresses"]["pgbouncer"] == stack.pgbouncer.address
        for dsn in (stack.pgbouncer.dsn, stack.pgbouncer_dsn):
            assert str(conninfo_to_dict(dsn)["password"]) not in str(environment)
        stack.restart("replica-1")
        stack.reconfigure("replica-2", SERVICE)
        added = stack.scale_out(SERVICE)
        user_of(stack, added.name)
        stack.set_pgbouncer(default_pool_size=9)
        assert [(name, state, detail["part"]) for name, state, detail in events[-2:]] == [
            ("set-pgbouncer", "begin", "pgbouncer"),
            ("set-pgbouncer", "end", "pgbouncer"),
        ]
        stack.kill("pgbouncer", signal.SIGKILL)
        wait_until("the death to be seen", stack.dead_parts, timeout_s=5)
        ((part, why),) = stack.dead_parts()
        assert part == "pgbouncer"
        assert "SIGKILL" in why
        pid = stack.pgbouncer.child.pid
    assert is_gone(pid)


@pytest.mark.pgbouncer
def test_its_pools_are_sampled(start: Start) -> None:
    server = start()

    def ask() -> None:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("SELECT 1")

    with closing(PgbouncerSampler(server.console_dsn)) as sampler, ThreadPoolExecutor(1) as pool:
        with ExitStack() as holders:
            for _ in range(CONFIG.default_pool_size):
                holder = holders.enter_context(psycopg.connect(server.dsn))
                holder.execute("SELECT 1")
            assert figures(sampler) == {
                "server_used_connections": 0,
                "client_active_connections": 2,
                "client_waiting_connections": 0,
                "server_active_connections": 2,
                "server_idle_connections": 0,
                "client_maxwait_seconds": 0,
            }
            waiting = pool.submit(ask)
            wait_until(
                "a wait to be told, with fractions of a second",
                lambda: figures(sampler)["client_maxwait_seconds"] % 1 > 0,
                timeout_s=5,
            )
            assert figures(sampler)["client_waiting_connections"] == 1
            assert not waiting.done()
        waiting.result(5)
        wait_until(
            "a server connection to be free",
            lambda: figures(sampler)["server_idle_connections"] >= 1,
            timeout_s=5,
        )
        for _ in range(10):
            figures(sampler)  # the console knows no prepared statements


@pytest.mark.pgbouncer
def test_its_pool_grows_under_those_who_wait(start: Start) -> None:
    server = start(CONFIG.model_copy(update={"default_pool_size": 1}))

    def ask() -> None:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("SELECT 1")

    with (
        closing(PgbouncerSampler(server.console_dsn)) as sampler,
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(server.dsn) as holder,
    ):
        holder.execute("SELECT 1")
        waiting = pool.submit(ask)
        wait_until(
            "a client to wait",
            lambda: figures(sampler)["client_waiting_connections"] == 1,
            timeout_s=5,
        )
        server.resize(2)
        waiting.result(10)
        holder.execute("SELECT 1")
    server.child.expect_end()
    server.child.send(signal.SIGKILL)
    with pytest.raises(InfrastructureError, match="PgBouncer to read its configuration"):
        server.resize(3)


@pytest.mark.pgbouncer
def test_a_full_house_still_has_a_place_for_the_recorder(start: Start) -> None:
    server = start(CONFIG.model_copy(update={"max_client_conn": 2, "default_pool_size": 5}))
    with ExitStack() as clients:
        for _ in range(2):
            clients.enter_context(closing(psycopg.connect(server.dsn)))
        with pytest.raises(psycopg.OperationalError, match="no more connections allowed"):
            psycopg.connect(server.dsn)
        with closing(PgbouncerSampler(server.console_dsn)) as sampler:
            assert figures(sampler)["client_active_connections"] == 2


@pytest.mark.pgbouncer
def test_what_psycopg_sends_is_let_through(start: Start) -> None:
    server = start()
    with psycopg.connect(
        server.dsn, options="-c statement_timeout=5000", application_name="replica-1"
    ) as connection:
        shown = connection.execute(
            "SELECT current_setting('application_name'), current_setting('statement_timeout')"
        ).fetchone()
    assert shown == ("replica-1", "0"), "PgBouncer keeps no track of options, and drops them"


@pytest.mark.pgbouncer
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pool_that_is_not_of_sessions_serves_more_clients_than_connections(
    mode: str, start: Start
) -> None:
    server = start(CONFIG.model_copy(update={"pool_mode": mode, "default_pool_size": 1}))
    with ExitStack() as clients:
        backends = set()
        for _ in range(3):
            client = clients.enter_context(
                psycopg.connect(server.dsn, autocommit=True, prepare_threshold=None)
            )
            backends.add(client.execute("SELECT pg_backend_pid()").fetchone())
    assert len(backends) == 1


@pytest.mark.pgbouncer
def test_a_wait_ends_when_the_configuration_says_so(start: Start) -> None:
    server = start(CONFIG.model_copy(update={"query_wait_timeout_s": 1.0, "default_pool_size": 1}))
    with psycopg.connect(server.dsn) as holder:
        holder.execute("SELECT 1")
        with (
            closing(psycopg.connect(server.dsn)) as late,
            pytest.raises(psycopg.OperationalError, match="query_wait_timeout"),
        ):
            late.execute("SELECT 1")


@pytest.mark.pgbouncer
def test_names_and_passwords_may_have_any_character(
    start: Start, embedded_postgres: EmbeddedPostgres
) -> None:
    role, password = 'o\'brien "x"', 'it\'s a \\ "secret" # ; %20'
    with psycopg.connect(embedded_postgres.admin_dsn, autocommit=True) as admin:
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        admin.execute(create.format(sql.Identifier(role), sql.Literal(password)))
        try:
            where = make_conninfo(embedded_postgres.dsn, user=role, password=password)
            with psycopg.connect(start(dsn=where).dsn) as connection:
                assert connection.execute("SELECT current_user").fetchone() == (role,)
        finally:
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
                [role],
            )
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.mark.pgbouncer
def test_its_files_are_private_and_go_with_it(start: Start, temporary: Path) -> None:
    server = start()
    (folder,) = temporary.iterdir()
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert psutil.Process(server.child.pid).uids().effective == folder.stat().st_uid
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(server.child.pid).net_connections("all")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]
    server.stop()
    server.stop()
    assert is_gone(server.child.pid)
    assert list(temporary.iterdir()) == []


@pytest.mark.pgbouncer
def test_a_port_lost_in_a_race_is_chosen_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        lost = taken.getsockname()[1]
        ports = iter([lost, free_port()])
        monkeypatch.setattr(pgbouncer, "free_port", lambda: next(ports))
        assert not start().address.endswith(f":{lost}")


@pytest.mark.pgbouncer
def test_a_refused_configuration_shows_the_log_and_leaves_nothing(
    start: Start, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impossible = CONFIG.model_copy(update={"pool_mode": "sometimes"})
    with pytest.raises(PartStartError, match=r"(?s)exit code 1.*pool_mode"):
        start(impossible)
    assert list(temporary.iterdir()) == []


def test_a_database_that_is_not_there_is_named(temporary: Path, tmp_path: Path) -> None:
    program = Path("/bin/true")
    assert program.exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pgbouncer_process, "find_program", lambda: str(program))
        with pytest.raises(PartStartError, match="the database behind PgBouncer"):
            Pgbouncer.start(CONFIG, "postgresql://auth@127.0.0.1:1/auth", logs=tmp_path / "logs")
    assert list(temporary.iterdir()) == []


def test_a_missing_program_is_told_before_anything_starts(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(pgbouncer_process, "OTHER_PLACES", ())
    with pytest.raises(PgbouncerMissingError, match="no program called pgbouncer") as caught:
        Stack.start(
            SERVICE, GatewayConfig(), DATABASE, directory=tmp_path / "logs", pgbouncer=CONFIG
        )
    assert "apt-get install pgbouncer" in caught.value.remedy
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "logs").exists()


def _port(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["port"])
