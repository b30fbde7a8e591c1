"""Why a database lets nobody in: from its code, whatever language it speaks; never its words."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from harness.audit import live
from harness.audit.refusals import refuse
from harness.audit.server_session import Refused, ServerSession, within
from harness.errors import DatabaseRefusedError, PooldrillError, UsageError
from harness.stack import EmbeddedPostgres

SECRET = "canary-hunter2"
FOREIGN = f"FATAL:  Passwort-Authentifizierung für Benutzer »{SECRET}« fehlgeschlagen"

traced = pytest.mark.skipif(pq.version() < 180000, reason="an older libpq traces no refusals")


def why(state: str, text: str = FOREIGN) -> PooldrillError:
    """What is said of it."""
    with pytest.raises(PooldrillError) as refused:
        refuse(Refused(state, text), "db.example.org")
    assert SECRET not in str(refused.value)
    return refused.value


def state_of(dsn: str) -> str:
    """The SQLSTATE of a connection that is refused."""
    with pytest.raises(Refused) as refused:
        ServerSession(dsn, connect_s=4.0, ask_s=1.0)
    return refused.value.state


@traced
@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"password": SECRET}, "28P01"),
        ({"dbname": "there-is-none"}, "3D000"),
        ({"dbname": "template0"}, "55000"),
    ],
)
def test_a_refusal_has_its_code(
    embedded_postgres: EmbeddedPostgres, changes: dict[str, str], state: str
) -> None:
    """libpq itself says it in the server's language and nowhere else."""
    assert state_of(make_conninfo(embedded_postgres.admin_dsn, **changes)) == state


@traced
def test_the_code_needs_no_word_of_english(
    embedded_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Foreign(Refused):
        def __init__(self, state: str, text: str) -> None:
            super().__init__(state, FOREIGN)

    monkeypatch.setattr("harness.audit.server_session.Refused", Foreign)
    with pytest.raises(UsageError, match="this user with this password"):
        live.read(make_conninfo(embedded_postgres.dsn, password=SECRET))


@pytest.mark.parametrize(
    ("state", "kind", "said"),
    [
        ("53300", DatabaseRefusedError, "is full and refused the audit"),
        ("28P01", UsageError, "this user with this password"),
        ("28000", UsageError, "pg_hba.conf"),
        ("3D000", UsageError, "no such database"),
        ("42501", UsageError, "does not let the audit's role"),
        ("57P03", DatabaseRefusedError, "starting up"),
        ("57P02", DatabaseRefusedError, "ended the audit's session"),
        ("57014", DatabaseRefusedError, "did not answer in time"),
        ("XX000", DatabaseRefusedError, "SQLSTATE XX000"),
    ],
)
def test_a_code_decides_what_is_said(state: str, kind: type[PooldrillError], said: str) -> None:
    found = why(state)
    assert isinstance(found, kind)
    assert said in found.message
    assert found.remedy


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("FATAL:  sorry, too many clients already", DatabaseRefusedError, "53300"),
        ("FATAL:  no more connections allowed (max_client_conn)", DatabaseRefusedError, "53300"),
        ('FATAL:  role "x" does not exist', UsageError, "no such role"),
        ("fe_sendauth: no password supplied", UsageError, "this user with this password"),
        ("FATAL: query_wait_timeout", DatabaseRefusedError, "did not answer in time"),
        ("unsupported startup parameter: options", UsageError, "does not take a setting"),
        ("pgbouncer cannot connect to server", DatabaseRefusedError, "behind it"),
        (
            "transaction blocks not allowed in statement pooling mode",
            UsageError,
            "its PgBouncer has statements for transactions",
        ),
        (
            'could not translate host name "ssl-db" to address: Name or service not known',
            DatabaseRefusedError,
            "its name leads nowhere",
        ),
        (
            'connection to server at "ssl-db", port 1 failed: Connection refused',
            DatabaseRefusedError,
            "nothing listens there",
        ),
        (
            'connection to server on socket "/x/.s.PGSQL.1" failed: No such file or directory',
            DatabaseRefusedError,
            "nothing listens there",
        ),
        (
            "server does not support SSL, but SSL was required",
            DatabaseRefusedError,
            "over TLS as sslmode asks for",
        ),
        (
            "received invalid response to SSL negotiation: H",
            DatabaseRefusedError,
            "does not answer as PostgreSQL does",
        ),
        ("session is read-only", DatabaseRefusedError, "target_session_attrs"),
        (
            'root certificate file "/x/root.crt" does not exist',
            UsageError,
            "a file of the DSN cannot be used",
        ),
        ("something else", DatabaseRefusedError, "cannot be reached, or refused the audit"),
    ],
)
def test_words_decide_where_there_is_no_code(
    text: str, kind: type[PooldrillError], said: str
) -> None:
    """Of libpq itself, of a PgBouncer, and with a libpq that traces nothing."""
    for state in ("", "08P01"):
        found = why(state, text)
        if state and said not in found.message:
            assert "SQLSTATE 08P01" in found.message, "what is libpq's has no code"
            continue
        assert isinstance(found, kind)
        assert said in found.message


@contextmanager
def relay(dsn: str, hears: Callable[[bytes], bool]) -> Iterator[str]:
    """The server's DSN through a relay that passes nothing on from where it is not to hear."""
    given = conninfo_to_dict(dsn)
    there = (str(given["host"]), int(str(given["port"])))
    deaf = threading.Event()

    def pass_on(source: socket.socket, target: socket.socket, of_client: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if of_client and not hears(data):
                    deaf.wait()
                target.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    server = socket.create_connection(there)
                    for ends in ((client, server, True), (server, client, False)):
                        threading.Thread(target=pass_on, args=ends, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield make_conninfo(dsn, port=listening.getsockname()[1])
        finally:
            deaf.set()


def test_a_server_that_goes_deaf_is_left_within_a_second(
    embedded_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "ASK_S", 0.1)
    with relay(embedded_postgres.dsn, lambda data: b"BEGIN READ ONLY" not in data) as deaf:
        begin_s = time.monotonic()
        with pytest.raises(DatabaseRefusedError, match="let the audit in and did not answer"):
            live.read(deaf)
        assert time.monotonic() - begin_s < live.CONNECT_S


def test_what_libpq_waits_for_without_an_end_is_left() -> None:
    """A name server that does not answer, for instance."""
    ended = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.02, ended.wait)
    ended.set()
    assert within(5.0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda: 1 / 0)


def test_a_transaction_that_failed_is_ended(embedded_postgres: EmbeddedPostgres) -> None:
    """Else a pooler would throw its connection to the server away."""
    with ServerSession(embedded_postgres.dsn, connect_s=4.0, ask_s=4.0) as session:
        with pytest.raises(Refused) as refused:
            session.ask("BEGIN READ ONLY", "SELECT 1 / 0", "ROLLBACK")
        assert refused.value.state == "22012"
        ((row,),) = session.ask("SELECT now() = statement_timestamp() AS fresh, NULL AS nothing")
        assert row == {"fresh": "t", "nothing": None}


def test_a_server_that_hangs_up_has_refused(embedded_postgres: EmbeddedPostgres) -> None:
    with ServerSession(embedded_postgres.admin_dsn, connect_s=4.0, ask_s=4.0) as session:
        with psycopg.connect(embedded_postgres.admin_dsn, autocommit=True) as other:
            ((row,),) = session.ask("SELECT pg_backend_pid() AS id")
            other.execute("SELECT pg_terminate_backend(%s::int, 4000)", [row["id"]])
        with pytest.raises(Refused) as refused:
            session.ask("SELECT 1")
    assert refused.value.state in ("57P01", "")
