"""A database is read as it runs, over one connection; what refuses the audit is never clean."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from harness.audit import live
from harness.audit.auditing import audit_sources
from harness.audit.chain import Declared
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.errors import DatabaseRefusedError, ExitCode, UsageError
from harness.incident import PgbouncerConfig
from harness.stack import EmbeddedPostgres, Pgbouncer, wait_until
from tests.harness.audit.chains import chain, pool

SECRET = "canary-hunter2"
ROLES = ("shop", "watcher", "blind", "slow_auditor", "master")


@pytest.fixture
def admin(embedded_postgres: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    """A superuser's connection, and roles of a project's."""
    with psycopg.connect(embedded_postgres.admin_dsn, autocommit=True) as connection:
        for role in ROLES:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(SECRET)
                )
            )
        connection.execute("ALTER ROLE shop SET statement_timeout = '5s'")
        connection.execute("ALTER ROLE shop CONNECTION LIMIT 7")
        connection.execute("GRANT pg_monitor TO watcher, blind, master")
        connection.execute("ALTER ROLE master CREATEROLE")  # as a managed database's first user
        connection.execute("GRANT pg_use_reserved_connections TO watcher")
        connection.execute("ALTER ROLE slow_auditor SET lock_timeout = '3s'")
        try:
            yield connection
        finally:
            for role in ROLES:
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def as_role(server: EmbeddedPostgres, role: str) -> str:
    """The DSN of one of the project's roles."""
    return make_conninfo(server.dsn, user=role, password=SECRET, dbname="postgres")


def test_a_server_says_its_settings_sessions_and_roles(
    embedded_postgres: EmbeddedPostgres, admin: psycopg.Connection
) -> None:
    with psycopg.connect(as_role(embedded_postgres, "shop")) as holder:
        holder.execute("SELECT 1")  # and stays in its transaction
        found = live.read(as_role(embedded_postgres, "watcher"))
    (server,) = found.servers
    assert (server.max_connections.known, server.reserved.known, server.grant.known) == (100, 5, 92)
    assert server.statement_timeout_s.known == float("inf")
    assert server.statement_timeout_s.origin == "file", "the server says it; it is no default"
    assert (server.in_use.known or 0) >= 2
    assert "shop 1" in server.used_by
    assert (server.longest_idle_in_transaction_s.known or 0) > 0
    said = {(each.role, each.key): each.text for each in found.role_settings}
    assert said["shop", "statement_timeout"] == "5s"
    assert said["shop", "connection limit"] == "7"
    roles = {(each.role, each.member) for each in found.memberships}
    assert ("pg_use_reserved_connections", "watcher") in roles
    assert ("pg_use_reserved_connections", "blind") not in roles
    assert ("pg_monitor", "blind") in roles
    assert ("pg_monitor", "master") not in roles, "an administrator is no agent"
    assert server.place.file.startswith("postgres://127.0.0.1:")
    assert SECRET not in repr(found)


def test_what_the_audits_own_role_has_is_not_the_servers(
    embedded_postgres: EmbeddedPostgres, admin: psycopg.Connection
) -> None:
    (server,) = live.read(as_role(embedded_postgres, "slow_auditor")).servers
    assert "the role that audits" in server.lock_timeout_s.why
    assert "pg_monitor" in server.longest_idle_in_transaction_s.why


def test_it_leaves_nothing_and_may_not_write(
    embedded_postgres: EmbeddedPostgres,
    admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live.read(embedded_postgres.dsn)

    def nothing_left() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        return admin.execute(query, [live.APPLICATION]).fetchone() == (0,)

    wait_until("the audit's session to end", nothing_left, timeout_s=5)
    monkeypatch.setattr(live, "_SESSIONS", "CREATE TABLE left_behind ()")
    with pytest.raises(DatabaseRefusedError, match="SQLSTATE 25006"):  # read_only_sql_transaction
        live.read(embedded_postgres.dsn)


def test_a_query_that_hangs_is_ended_by_the_server(
    embedded_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STATEMENT_MS", 20)
    monkeypatch.setattr(live, "_SESSIONS", "SELECT pg_sleep(60)")
    with pytest.raises(DatabaseRefusedError, match="did not answer in time"):
        live.read(embedded_postgres.dsn)


def test_a_server_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CONNECT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        with pytest.raises(DatabaseRefusedError, match="did not answer in time"):
            live.read(f"host=127.0.0.1 port={port}")


def test_the_rules_say_what_the_server_would_do(
    embedded_postgres: EmbeddedPostgres, admin: psycopg.Connection
) -> None:
    """Two processes with a pool of 60, of a server that grants 92."""
    reading = live.read(as_role(embedded_postgres, "watcher"))
    program = Reading(workloads=chain(pool(size=60.0)).workloads)
    found = audit_sources([], Declared(), live=[reading, program])
    assert any(each.id == "PD101" and "grants 92" in each.message for each in found.findings)
    assert found.files == (reading.servers[0].name,)
    lost = [each for each in found.findings if each.id == "PD134"]
    assert ["role blind" in each.message for each in lost] == [True]


def test_a_file_about_a_server_that_runs_says_nothing_more(
    embedded_postgres: EmbeddedPostgres,
) -> None:
    file = SourceFile(Path("postgresql.conf"), "postgresql.conf", "max_connections = 5\n")
    program = Reading(workloads=chain(pool(size=4.0)).workloads)
    alone = audit_sources([file], Declared(), live=[program])
    running = live.read(embedded_postgres.dsn)
    both = audit_sources([file], Declared(), live=[running, program])
    assert "PD101" in {each.id for each in alone.findings}
    assert "PD101" not in {each.id for each in (*both.findings, *both.unknown)}


@contextmanager
def full(dsn: str) -> Iterator[None]:
    """Every connection that ordinary roles may have is taken."""
    with ExitStack() as held:
        try:
            for _ in range(110):
                held.enter_context(closing(psycopg.connect(dsn)))
        except psycopg.OperationalError:
            yield
            return
        pytest.fail("the server took 110 connections of 100")


def test_a_full_server_is_no_clean_server(embedded_postgres: EmbeddedPostgres) -> None:
    dsn = embedded_postgres.dsn
    with full(dsn), pytest.raises(DatabaseRefusedError) as refused:
        live.read(dsn)
    assert "53300" in refused.value.message
    assert "pg_use_reserved_connections" in refused.value.remedy
    assert refused.value.exit_code == ExitCode.INFRASTRUCTURE


def test_a_reserved_slot_gets_in_when_the_server_is_full(
    embedded_postgres: EmbeddedPostgres, admin: psycopg.Connection
) -> None:
    with full(embedded_postgres.dsn):
        (server,) = live.read(as_role(embedded_postgres, "watcher")).servers
    # The fixture's own connection is a superuser's, which counts among those in use.
    assert (server.in_use.known or 0) >= (server.grant.known or 0)


def test_nobody_there(embedded_postgres: EmbeddedPostgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    with pytest.raises(DatabaseRefusedError, match=r"127\.0\.0\.1 cannot be reached"):
        live.read(f"postgresql://x:{SECRET}@127.0.0.1:{port}/x")


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://auth:{SECRET}@127.0.0.1:port/x",
        f"host=127.0.0.1 {SECRET}",
        f"postgresql://auth:a@{SECRET}@nowhere.invalid/x",
        SECRET,
    ],
)
def test_no_error_repeats_a_dsn(dsn: str) -> None:
    with pytest.raises((UsageError, DatabaseRefusedError)) as refused:
        live.read(dsn)
    assert SECRET not in str(refused.value)


def test_a_wrong_password_is_bad_input(embedded_postgres: EmbeddedPostgres) -> None:
    wrong = make_conninfo(embedded_postgres.dsn, password=SECRET)
    with pytest.raises(UsageError, match="does not take this user") as refused:
        live.read(wrong)
    assert SECRET not in str(refused.value)


def test_the_environment_gives_a_dsn() -> None:
    assert live.dsn_of(None, {}) is None
    assert live.dsn_of(None, {live.DSN: "service=prod"}) == "service=prod"
    assert live.dsn_of("", {live.DSN: "service=prod"}) == "", "libpq's own environment"


def test_a_dsn_that_a_ci_server_does_not_hand_out_is_no_wish_for_files_alone() -> None:
    for given in ("", " "):
        with pytest.raises(UsageError, match="POOLDRILL_AUDIT_DSN is empty"):
            live.dsn_of(None, {live.DSN: given})


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://shop:{SECRET[:3]}@{SECRET[3:]}/x@127.0.0.1:1/shop",
        f"postgresql://{SECRET}:a/b@127.0.0.1:1/shop",
    ],
)
def test_a_password_that_is_not_escaped_is_not_taken_for_a_host(dsn: str) -> None:
    with pytest.raises((UsageError, DatabaseRefusedError)) as refused:
        live.read(dsn)
    assert SECRET[3:] not in str(refused.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "host=127.0.0.1 port=1 sslmode=sometimes",
        "host=127.0.0.1 port=99999",
        "host=127.0.0.1 port=1 connect_timeout=soon",
        "service=there-is-none",
    ],
)
def test_a_dsn_that_cannot_be_used_is_bad_input(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="cannot be used"):
        live.read(dsn)


def test_a_service_and_a_password_file_lead_to_the_server(
    embedded_postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's host holds over PGHOST, as libpq has it."""
    given = conninfo_to_dict(embedded_postgres.dsn)
    words = "".join(f"{key}={given[key]}\n" for key in ("host", "port", "user", "dbname"))
    (tmp_path / "services").write_text(f"[prod]\n{words}")
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    passwords.write_text(f"*:{given['port']}:*:{given['user']}:{given['password']}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    monkeypatch.setenv("PGHOST", "elsewhere.invalid")
    assert live.read("service=prod").servers[0].max_connections.known == 100
    monkeypatch.setenv("PGSERVICE", "prod")
    assert live.read("").servers[0].max_connections.known == 100


def test_names_that_are_no_unicode_are_read(
    embedded_postgres: EmbeddedPostgres, admin: psycopg.Connection
) -> None:
    """A database in SQL_ASCII has bytes, and says so of itself."""
    admin.execute("CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0")
    try:
        found = live.read(make_conninfo(as_role(embedded_postgres, "watcher"), dbname="bytes"))
        assert found.servers[0].max_connections.known == 100
        assert ("shop", "5s") in {(each.role, each.text) for each in found.role_settings}
    finally:
        admin.execute("DROP DATABASE bytes WITH (FORCE)")


def test_transactions_that_have_an_end_are_read(
    embedded_postgres: EmbeddedPostgres, admin: psycopg.Connection
) -> None:
    admin.execute("ALTER ROLE shop SET transaction_timeout = '30s'")
    found = live.read(as_role(embedded_postgres, "watcher"))
    assert found.servers[0].transaction_timeout_s.known == float("inf")
    said = {(each.role, each.key): each.text for each in found.role_settings}
    assert said["shop", "transaction_timeout"] == "30s"


@pytest.fixture
def bouncer(embedded_postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Pgbouncer]:
    """A PgBouncer that takes two clients."""
    config = PgbouncerConfig(default_pool_size=7, max_client_conn=2, query_wait_timeout_s=30)
    started = Pgbouncer.start(config, embedded_postgres.dsn, logs=tmp_path / "logs")
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.pgbouncer
def test_the_console_of_a_pgbouncer_is_read(bouncer: Pgbouncer) -> None:
    found = live.read(bouncer.console_dsn)
    (pooler,) = found.poolers
    assert (pooler.default_pool_size.known, pooler.max_client_conn.known) == (7, 2)
    assert pooler.query_wait_timeout_s.known == 30
    assert pooler.max_db_connections.known == float("inf"), "0 is no limit"
    assert pooler.server_login_retry_s.is_known
    (database,) = pooler.databases
    assert (database.name, database.host.known) == ("auth", "127.0.0.1")
    assert database.user.known == "auth"
    assert pooler.place.file.startswith("pgbouncer://127.0.0.1:")
    password = str(conninfo_to_dict(bouncer.console_dsn)["password"])
    assert password not in repr(found)


@pytest.mark.pgbouncer
def test_through_a_pgbouncer_the_server_behind_is_read(bouncer: Pgbouncer) -> None:
    (server,) = live.read(bouncer.dsn).servers
    assert server.max_connections.known == 100


@pytest.mark.pgbouncer
def test_a_full_pgbouncer_is_no_clean_server(bouncer: Pgbouncer) -> None:
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(closing(psycopg.connect(bouncer.dsn)))
        with pytest.raises(DatabaseRefusedError, match="is full"):
            live.read(bouncer.dsn)


def test_a_host_is_told_from_a_machines_name_for_itself(
    embedded_postgres: EmbeddedPostgres,
) -> None:
    assert conninfo_to_dict(embedded_postgres.dsn)["host"] == "127.0.0.1"
    (server,) = live.read(embedded_postgres.dsn).servers
    assert server.hosts == ()
