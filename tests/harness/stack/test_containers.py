"""Parts in containers: reached on loopback, watched, and gone without a trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness.errors import EngineError, ImageMissingError, PartStartError, PortTakenError
from harness.incident import DatabaseConfig, PgbouncerConfig
from harness.stack import ContainerPostgres, Engine, Pgbouncer, wait_until
from harness.stack.containers import Container, Plan
from harness.stack.images import POSTGRES, Image
from harness.stack.ports import free_port
from tests.harness.stack import engine as in_engine

CONFIG = DatabaseConfig(users=1, max_connections=14, reserved_connections=3)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine; what the test leaves in it is a failure."""
    with Engine.connect() as engine:
        yield engine
    assert in_engine.of(engine) == []


@pytest.fixture
def server(engine: Engine, tmp_path: Path) -> ContainerPostgres:
    return ContainerPostgres.start(CONFIG, engine=engine, log=tmp_path / "postgres.log")


def shell(engine: Engine, tmp_path: Path, script: str, **plan: object) -> Container:
    """A container of PostgreSQL's image that does what the script says."""
    words = Plan("script", POSTGRES.name, 5432, command=["bash", "-c", script], **plan)
    return Container.start(engine, words, port=free_port(), log=tmp_path / "script.log")


def setting(dsn: str, name: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


# -- PostgreSQL --------------------------------------------------------------------------------


@pytest.mark.docker
def test_a_server_comes_up_on_loopback_as_it_was_asked_for(
    engine: Engine, server: ContainerPostgres
) -> None:
    for dsn in (server.dsn, server.monitor_dsn, server.admin_dsn):
        assert setting(dsn, "max_connections") == "14"
    assert setting(server.dsn, "reserved_connections") == "3"
    assert setting(server.dsn, "fsync") == "off"
    published = in_engine.client().api.inspect_container(f"pooldrill-{engine.run}-postgres")
    assert published["NetworkSettings"]["Ports"]["5432/tcp"] == [
        {"HostIp": "127.0.0.1", "HostPort": str(server.port)}
    ]
    assert len(in_engine.of(engine)) == 3, "a container, a volume, a network"
    assert not [each for each in in_engine.client().containers.list() if "ryuk" in each.name]


@pytest.mark.docker
def test_it_goes_away_and_comes_back_with_its_data(server: ContainerPostgres) -> None:
    with psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    dsn = server.dsn
    held = psycopg.connect(dsn)
    restart = threading.Thread(target=server.restart, kwargs={"max_connections": 21, "down_s": 1})
    restart.start()
    wait_until("it to be away", lambda: not server.child.alive(), timeout_s=15)
    assert not server.child.died_unexpectedly(), "its absence is no alarm"
    restart.join(30)
    with pytest.raises(psycopg.OperationalError):
        held.execute("SELECT 1")
    assert server.dsn == dsn
    assert setting(dsn, "max_connections") == "21"
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (42,)


@pytest.mark.docker
def test_connecting_is_made_slow(engine: Engine, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"connect_delay_s": 1.0})
    server = ContainerPostgres.start(config, engine=engine, log=tmp_path / "postgres.log")
    server.slow_down_connecting()
    began = time.monotonic()
    psycopg.connect(server.dsn).close()
    assert time.monotonic() - began >= 1


@pytest.mark.docker
def test_its_death_is_seen_and_told_with_the_log(server: ContainerPostgres) -> None:
    in_engine.containers("postgres")[0].kill()
    wait_until("its death to be seen", server.child.died_unexpectedly, timeout_s=5)
    death = server.child.describe_death()
    assert death.startswith("postgres was ended by SIGKILL\n")
    assert "database system is ready to accept connections" in death
    server.restart()
    assert not server.child.died_unexpectedly()
    assert setting(server.dsn, "max_connections") == "14"


@pytest.mark.docker
def test_one_that_somebody_removes_has_died(server: ContainerPostgres) -> None:
    in_engine.containers("postgres")[0].remove(force=True)
    wait_until("its death to be seen", server.child.died_unexpectedly, timeout_s=5)
    server.stop()


@pytest.mark.docker
def test_a_server_that_dies_at_start_shows_its_log(engine: Engine, tmp_path: Path) -> None:
    impossible = DatabaseConfig(users=1, max_connections=10, reserved_connections=50)
    with pytest.raises(
        PartStartError, match=r"(?s)exit code 1.*reserved_connections.*must be less"
    ):
        ContainerPostgres.start(impossible, engine=engine, log=tmp_path / "postgres.log")


@pytest.mark.docker
def test_a_start_is_called_off(engine: Engine, tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(PartStartError, match="called off"):
        ContainerPostgres.start(
            CONFIG, engine=engine, log=tmp_path / "postgres.log", cancelled=cancelled
        )


@pytest.mark.docker
def test_a_taken_port_is_refused(engine: Engine, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"127.0.0.1:{port}"):
            ContainerPostgres.start(CONFIG, engine=engine, log=tmp_path / "log", port=port)
        plan = Plan("script", POSTGRES.name, 5432, command=["sleep", "60"])
        with pytest.raises(PortTakenError, match=f"script cannot listen on 127.0.0.1:{port}"):
            Container.start(engine, plan, port=port, log=tmp_path / "log")
    assert not in_engine.containers("script"), "nor is what was made of it left"


@pytest.mark.docker
def test_a_port_lost_in_a_race_is_chosen_anew(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.stack import postgres

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr(postgres, "free_port", lambda: next(ports))
        ContainerPostgres.start(CONFIG, engine=engine, log=tmp_path / "postgres.log")


# -- PgBouncer ---------------------------------------------------------------------------------


@pytest.mark.docker
def test_pgbouncer_finds_the_server_and_is_resized(
    engine: Engine, server: ContainerPostgres, tmp_path: Path
) -> None:
    config = PgbouncerConfig(default_pool_size=2)
    pgbouncer = Pgbouncer.start(config, server.dsn, logs=tmp_path, engine=engine)
    assert setting(pgbouncer.dsn, "max_connections") == "14"
    pgbouncer.resize(5)
    with psycopg.connect(pgbouncer.console_dsn, autocommit=True) as console:
        rows = {row[0]: row[1] for row in console.execute("SHOW CONFIG").fetchall()}
    assert rows["default_pool_size"] == "5"
    assert pgbouncer.version.count(".") == 2
    server.restart()
    wait_until(
        "the server to answer through it again",
        lambda: _answers(pgbouncer.dsn),
        timeout_s=20,
        watching=[pgbouncer.child],
    )
    in_engine.containers("pgbouncer")[0].kill()
    wait_until("its death to be seen", pgbouncer.child.died_unexpectedly, timeout_s=5)
    assert "pgbouncer was ended by SIGKILL" in pgbouncer.child.describe_death()


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


# -- any container -----------------------------------------------------------------------------


@pytest.mark.docker
def test_it_is_asked_to_end_and_then_made_to(engine: Engine, tmp_path: Path) -> None:
    trap = "trap 'echo bye; exit 0' TERM; echo here; while :; do sleep 0.1; done"
    polite = shell(engine, tmp_path, trap)
    wait_until("its first line", lambda: "here" in polite.log_tail(), timeout_s=10)
    assert polite.stop(5)
    assert polite.stop(5), "a second stop changes nothing"
    assert polite.log.read_text() == "here\nbye\n"
    stubborn = shell(engine, tmp_path, trap.replace("exit 0", ":").replace("here", "hello"))
    wait_until("its first line", lambda: "hello" in stubborn.log_tail(), timeout_s=10)
    assert not stubborn.stop(1)
    assert not stubborn.died_unexpectedly()


@pytest.mark.docker
def test_a_signal_reaches_it_and_files_are_put_into_it(engine: Engine, tmp_path: Path) -> None:
    script = "trap 'cat /tmp/it' HUP; cat /tmp/it; while :; do sleep 0.1; done"
    container = shell(engine, tmp_path, script, files={"/tmp/it": "first\n"})
    wait_until("the file", lambda: "first" in container.log_tail(), timeout_s=10)
    container.write({"/tmp/it": "second\n"})
    container.send(signal.SIGHUP)
    wait_until("the other file", lambda: "second" in container.log_tail(), timeout_s=10)


@pytest.mark.docker
def test_a_program_that_is_not_there_is_named(engine: Engine, tmp_path: Path) -> None:
    """The image's entry point looks for it, and what that says is in the log."""
    container = shell(engine, tmp_path, "exec /nonexistent")
    with pytest.raises(PartStartError, match=r"(?s)script ended with exit code 127.*/nonexistent"):
        wait_until("nothing", lambda: False, timeout_s=20, watching=[container])


# -- the engine --------------------------------------------------------------------------------


@pytest.mark.docker
def test_an_image_that_is_not_there_is_named_with_its_remedy(engine: Engine) -> None:
    image = Image("POOLDRILL_TEST_IMAGE", "pooldrill.invalid/nothing:1")
    with pytest.raises(ImageMissingError, match="nothing:1 is not on this machine") as caught:
        engine.require_image(image)
    assert caught.value.remedy.startswith("`docker pull pooldrill.invalid/nothing:1`")
    assert "POOLDRILL_TEST_IMAGE" in caught.value.remedy


def test_the_environment_names_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POSTGRES.variable, "registry.example.com/postgres:18.1")
    assert POSTGRES.name == "registry.example.com/postgres:18.1"
    monkeypatch.setenv(POSTGRES.variable, "")
    assert POSTGRES.name == POSTGRES.pinned


def test_no_engine_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(EngineError, match="does not answer") as caught:
        Engine.connect()
    assert "DOCKER_HOST" in caught.value.remedy


def test_a_socket_that_is_not_an_engines_is_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "closed.sock"))  # and never listens
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/closed.sock")
        with pytest.raises(EngineError, match="does not answer"):
            Engine.connect()


@pytest.mark.parametrize("address", ["tcp://192.0.2.1:2375", "ssh://somebody@192.0.2.1"])
def test_an_engine_elsewhere_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(EngineError, match=r"is on 192\.0\.2\.1, which is not this machine"):
        Engine.connect()


NOBODY = """
import os, sys
import docker.transport, testcontainers.core.docker_client
from harness.errors import EngineError
from harness.stack import Engine
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    Engine.connect()
except EngineError as error:
    print(error)
"""


def test_a_socket_that_is_closed_to_this_user_is_said(tmp_path: Path) -> None:
    place = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        place.chmod(0)
        for above in tmp_path.parents[:3]:
            if above.stat().st_uid == os.getuid():
                above.chmod(above.stat().st_mode | 0o011)
        tmp_path.chmod(0o711)
        done = subprocess.run(
            [sys.executable, "-c", NOBODY],
            env={**os.environ, "DOCKER_HOST": f"unix://{place}", "HOME": "/"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert "PD016" in done.stdout, done.stderr
    assert "permission denied" in done.stdout
    assert "Join the group of its socket" in done.stdout


def test_without_testcontainers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "testcontainers.core.docker_client", None)
    with pytest.raises(EngineError, match="testcontainers, which is not installed") as caught:
        Engine.connect()
    assert "pip install 'pooldrill[docker]'" in caught.value.remedy


KILLED = """
import os, sys
from pathlib import Path
from harness.incident import DatabaseConfig
from harness.stack import ContainerPostgres, Engine
engine = Engine.connect()
ContainerPostgres.start(DatabaseConfig(users=1), engine=engine, log=Path(sys.argv[1]))
print(engine.run, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.docker
def test_nothing_stays_in_the_engine_behind_a_killed_harness(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "postgres.log")],
        stdout=subprocess.PIPE,
        text=True,
        timeout=90,
        check=False,
    )
    run = done.stdout.strip()
    assert run
    wait_until("all of it to be gone", lambda: not in_engine.leftovers(run), timeout_s=10)
