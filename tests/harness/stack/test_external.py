"""A database of the user's: refused where it should be, and left as it was found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from harness.errors import PartStartError, TargetRefusedError
from harness.incident import DatabaseConfig, GatewayConfig, HashConfig, PgbouncerConfig
from harness.incident import ServiceConfig as Service
from harness.stack import EmbeddedPostgres, Stack, wait_until
from harness.stack.external import ExternalPostgres
from harness.stack.schema_removal import drop_schema
from tests.harness.run.small import running
from tests.harness.stack.logins import log_in

SERVICE = Service(replicas=1, hash=HashConfig(time_cost=1, memory_kib=64))
DATABASE = DatabaseConfig(users=10)
TABLES = "CREATE TABLE users (id int); CREATE TABLE sessions (id int)"


@pytest.fixture
def dsn(embedded_postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of its own on the session's server."""
    with psycopg.connect(embedded_postgres.admin_dsn, autocommit=True) as admin:
        admin.execute("CREATE DATABASE somebodys OWNER auth")
        try:
            yield embedded_postgres.dsn.rpartition("/")[0] + "/somebodys"
        finally:
            admin.execute("DROP DATABASE somebodys WITH (FORCE)")


def of(dsn: str, user: str, password: str) -> str:
    """The same database for somebody else."""
    return f"postgresql://{user}:{password}@{dsn.rpartition('@')[2]}"


def schemas(dsn: str) -> list[str]:
    """Those of ours that are in the database."""
    with psycopg.connect(dsn) as connection:
        query = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pooldrill%'"
        return [name for (name,) in connection.execute(query)]


# -- what is refused ---------------------------------------------------------------------------


def test_a_database_elsewhere_is_refused() -> None:
    with pytest.raises(TargetRefusedError, match=r"db\.example\.com, which is not this machine"):
        ExternalPostgres.attach("postgresql://user@db.example.com/db")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:secret@192.0.2.1/db",
        "host=127.0.0.1,192.0.2.1 password=secret",
        "host=localhost hostaddr=192.0.2.1 password=secret",
        "host=localhost.example.invalid password=secret",
        "service=production password=secret",
        "postgresql://u:secret@[::1/db",
        "postgresql://u:with@secret@127.0.0.1/db",
    ],
)
def test_a_database_that_may_be_elsewhere_is_refused_and_the_password_kept(dsn: str) -> None:
    with pytest.raises(TargetRefusedError) as caught:
        ExternalPostgres.attach(dsn)
    assert "secret" not in str(caught.value)


def test_the_environment_does_not_lead_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "192.0.2.1")
    with pytest.raises(TargetRefusedError, match=r"192\.0\.2\.1"):
        ExternalPostgres.attach("dbname=x")


def test_only_the_host_that_is_vouched_for_is_permitted() -> None:
    with pytest.raises(TargetRefusedError):
        ExternalPostgres.attach("postgresql://u@192.0.2.1/db", allowed_host="192.0.2.2")


@pytest.mark.parametrize(
    "create", ["TABLE invoices (id int)", "MATERIALIZED VIEW invoices AS SELECT 1"]
)
def test_a_database_in_use_is_refused_until_it_is_vouched_for(dsn: str, create: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(f"CREATE {create}")
    with pytest.raises(TargetRefusedError, match=r"not empty: public\.invoices") as refused:
        ExternalPostgres.attach(dsn)
    assert "--i-own-this-database" in refused.value.remedy
    assert schemas(dsn) == []
    ExternalPostgres.attach(dsn, allow_tables=True).stop()


def test_what_cannot_be_used_says_why_without_the_password(
    dsn: str, embedded_postgres: EmbeddedPostgres
) -> None:
    with psycopg.connect(embedded_postgres.admin_dsn, autocommit=True) as admin:
        admin.execute("CREATE ROLE guest LOGIN PASSWORD 'secret'")
    try:
        port = embedded_postgres.port
        for address, why in (
            ("postgresql://user:secret@127.0.0.1:1/db", "cannot be used.*refused"),
            (of(dsn, "guest", "secret2"), "password authentication failed"),
            (f"postgresql://guest:secret@127.0.0.1:{port}/nosuch", "nosuch"),
            (f"postgresql://guest:secret@127.0.0.1:{port}/{'a' * 3}?port=none", "none"),
            (of(dsn, "guest", "secret"), "user guest may not create a schema in.* somebodys"),
        ):
            with pytest.raises(PartStartError, match=f"(?s){why}") as caught:
                ExternalPostgres.attach(address)
            assert "secret" not in str(caught.value)
        assert "GRANT CREATE ON DATABASE somebodys TO guest;" in caught.value.remedy
    finally:
        with psycopg.connect(embedded_postgres.admin_dsn, autocommit=True) as admin:
            admin.execute("DROP ROLE guest")


# -- our schema --------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [False, True], ids=["as a URL", "as words"])
def test_all_that_is_ours_goes_and_nothing_else(dsn: str, words: bool) -> None:
    """Tables of the service's own names are somebody else's outside of our schema."""
    with psycopg.connect(dsn) as connection:
        connection.execute(f"{TABLES}; INSERT INTO users VALUES (1)")
    given = make_conninfo(dsn) if words else dsn
    database = ExternalPostgres.attach(given, allow_tables=True)
    assert database.dsn.startswith("postgresql://auth:")
    assert "@127.0.0.1:" in database.dsn
    with psycopg.connect(database.dsn) as connection:
        connection.execute(TABLES)
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
    database.stop()
    database.stop()
    assert schemas(dsn) == []
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (1,)


def test_two_runs_share_an_empty_database(dsn: str) -> None:
    first, second = ExternalPostgres.attach(dsn), ExternalPostgres.attach(dsn)
    for each in (first, second):
        with psycopg.connect(each.dsn) as connection:
            connection.execute(TABLES)
    first.stop()
    assert schemas(dsn) == [second.schema]
    second.stop()


def test_a_schema_that_a_forgotten_session_holds_goes_as_well(dsn: str) -> None:
    database = ExternalPostgres.attach(dsn)
    with closing(psycopg.connect(database.dsn)) as forgotten:
        forgotten.execute(TABLES)
        forgotten.commit()
        forgotten.execute("LOCK TABLE users")
        database.stop()
        assert schemas(dsn) == []
    drop_schema(dsn, database.schema, 0.0)  # as the guard might: it is gone, and that is fine


KILLED = """
import os, sys, psycopg
from harness.stack.external import ExternalPostgres
database = ExternalPostgres.attach(sys.stdin.readline().strip())
with psycopg.connect(database.dsn) as connection:
    connection.execute("CREATE TABLE users (id int)")
print(database.schema, flush=True)
sys.stdin.readline()
os.kill(os.getpid(), 9)
"""


def test_the_schema_goes_behind_a_killed_harness(dsn: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as harness:
        assert harness.stdin is not None
        assert harness.stdout is not None
        harness.stdin.write(f"{dsn}\n")
        harness.stdin.flush()
        made = harness.stdout.readline().strip()
        assert schemas(dsn) == [made]
        password = dsn.partition("//")[2].partition("@")[0].partition(":")[2]
        assert len(password) > 20
        for process in psutil.process_iter(["cmdline"]):
            assert password not in " ".join(process.info["cmdline"] or [])
        harness.stdin.write("\n")
        harness.stdin.flush()
    wait_until("the schema to be dropped", lambda: schemas(dsn) == [], timeout_s=10)


# -- with a stack over it ----------------------------------------------------------------------


def everything(stack: Stack) -> None:
    """What reads and writes the service's tables finds them where they are."""
    assert log_in(stack, 1).status_code == 200
    assert stack.sessions()["user"].to_list() == [1]
    with stack.locked_users():
        pass


def test_a_stack_lives_in_its_schema(dsn: str, tmp_path: Path) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(TABLES)
    with pytest.raises(TargetRefusedError, match="not empty"):
        Stack.start(SERVICE, GatewayConfig(), DATABASE, directory=tmp_path / "no", postgres=dsn)
    with Stack.start(
        SERVICE,
        GatewayConfig(),
        DATABASE,
        directory=tmp_path / "logs",
        prometheus=False,
        postgres=dsn,
        allow_tables=True,
    ) as stack:
        everything(stack)
    assert schemas(dsn) == []


@pytest.mark.pgbouncer
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pgbouncer_before_it_keeps_to_the_schema(dsn: str, tmp_path: Path, mode: str) -> None:
    """It passes no search path on, and cleans its sessions between two clients."""
    with Stack.start(
        SERVICE,
        GatewayConfig(),
        DATABASE,
        directory=tmp_path / "logs",
        prometheus=False,
        postgres=dsn,
        pgbouncer=PgbouncerConfig(pool_mode=mode, default_pool_size=2),
    ) as stack:
        everything(stack)
        stack.restart("replica-1")  # another client on the same server connections
        assert log_in(stack, 2).status_code == 200
        for _ in range(3):
            with psycopg.connect(stack.pgbouncer.dsn, autocommit=True) as client:
                assert client.execute("SELECT count(*) FROM users").fetchone() == (10,)
                if mode == "session":
                    client.execute("SET search_path TO nowhere")
    assert schemas(dsn) == []


@pytest.mark.slow
def test_a_whole_run_on_it_passes_and_leaves_nothing(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named in the environment, where nobody reads the password, and nobody's log has it."""
    monkeypatch.setenv("POOLDRILL_STACK", dsn)
    with running(tmp_path / "runs", "--json") as command:
        command.wait_for("the surge", lambda: command.event_seen('"surge"'))
        assert len(schemas(dsn)) == 1
        code, stdout, stderr = command.judged()
    checks = json.loads(stdout)["checks"]
    not_passed = [check for check in checks if check["outcome"] != "pass"]
    assert (code, not_passed) == (0, []), stderr
    assert schemas(dsn) == []
    password = dsn.partition("//")[2].partition("@")[0].partition(":")[2].encode()
    assert command.directory is not None
    for path in command.directory.rglob("*"):
        assert path.is_dir() or password not in path.read_bytes(), path
