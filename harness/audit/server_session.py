"""One session with a server that runs, within a time, and the code of what it refuses.

It stands on libpq itself. psycopg's connections say no SQLSTATE of a connection that is refused,
look names up ahead of libpq (so that ``PGHOST`` would hold over a service's host), and wait for up
to ten seconds more for a query that was given up.
"""

from __future__ import annotations

import os
import re
import select
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

import psycopg
from psycopg import pq
from psycopg.pq import ConnStatus, ExecStatus, PollingStatus, Trace, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

Row = Mapping[str, str | None]
"""A row as text, by its columns' names."""

Result = TypeVar("Result")

_STATE = re.compile(rb'^B\t\w+\tErrorResponse\t.*? C "(\w{5})"', re.MULTILINE)
"""An error of the server's in libpq's trace; its fields come in the order S, V, C, M, …"""


class Refused(Exception):  # noqa: N818 - what the server did, which is no error of ours
    """The server, or libpq, declined. ``text`` may repeat what was given, and is not to be shown.

    ``state`` is the SQLSTATE; "" where only libpq had something to say.
    """

    def __init__(self, state: str, text: str) -> None:
        super().__init__(state)
        self.state = state
        self.text = text


class ServerSession:
    """A session over one connection. A context manager.

    The connection is made within ``connect_s``, and all questions are answered within ``ask_s``.
    """

    def __init__(self, conninfo: str, *, connect_s: float, ask_s: float) -> None:
        """Raises `Refused`, and `TimeoutError` where nobody answers in time."""
        self._until_s = time.monotonic() + connect_s
        # Names are looked up in here, which nothing bounds: see `within`.
        self._libpq: PGconn = pq.PGconn.connect_start(conninfo.encode())
        try:
            self._connect()
            self._until_s = time.monotonic() + ask_s
        except BaseException:
            self._libpq.finish()
            raise

    def __enter__(self) -> ServerSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._libpq.finish()

    @property
    def host(self) -> str:
        """As it was given; a socket's folder where there is no host."""
        return self._libpq.host.decode(errors="replace")

    @property
    def port(self) -> str:
        return self._libpq.port.decode(errors="replace")

    @property
    def database(self) -> str:
        return self._libpq.db.decode(errors="replace")

    @property
    def version(self) -> int:
        """PostgreSQL's, as a number: 180004."""
        return self._libpq.server_version

    @property
    def product(self) -> str:
        """The version as words, which a PgBouncer's console ends with its own name."""
        return (self._libpq.parameter_status(b"server_version") or b"").decode(errors="replace")

    def ask(self, *statements: str) -> list[list[Row]]:
        """The rows of each statement that has some, all asked in one message.

        Raises `Refused` for the first that fails, and ends a transaction that it left behind: a
        pooler would throw its connection away.
        """
        try:
            return self._results("; ".join(statements))
        except Refused:
            if self._libpq.transaction_status == TransactionStatus.INERROR:
                with suppress(Refused, TimeoutError):
                    self._results("ROLLBACK")
            raise

    def _results(self, query: str) -> list[list[Row]]:
        libpq = self._libpq
        found: list[list[Row]] = []
        refused = None
        try:
            libpq.send_query(query.encode())
            while libpq.flush():
                self._wait(select.POLLIN | select.POLLOUT)
                libpq.consume_input()
            while True:
                while libpq.is_busy():
                    self._wait(select.POLLIN)
                    libpq.consume_input()
                result = libpq.get_result()
                if result is None:
                    break
                if result.status == ExecStatus.TUPLES_OK:
                    found.append(_rows(result))
                elif result.status == ExecStatus.FATAL_ERROR:
                    state = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
                    refused = Refused(state.decode(), result.get_error_message("utf-8"))
        except psycopg.OperationalError as error:  # the connection is gone
            raise refused or Refused("", str(error)) from None
        if refused is not None:
            raise refused
        return found

    def _connect(self) -> None:
        libpq, traced = self._libpq, _Traced(self._libpq)
        try:
            while libpq.status != ConnStatus.BAD:
                status = libpq.connect_poll()
                if status == PollingStatus.OK:
                    libpq.nonblocking = 1
                    return
                if status == PollingStatus.FAILED:
                    break
                self._wait(select.POLLIN if status == PollingStatus.READING else select.POLLOUT)
            raise Refused(traced.state(), libpq.get_error_message("utf-8"))
        finally:
            traced.end()

    def _wait(self, events: int) -> None:
        """Until something can be done on the connection; `TimeoutError` when time is up."""
        poll = select.poll()
        poll.register(self._libpq.socket, events)
        left_s = self._until_s - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise TimeoutError


class _Traced:
    """What libpq and the server say to each other while they connect, for the errors' codes.

    A message is in the server's language, and its code nowhere but here. Passwords may pass by: it
    is kept in memory, and gone when they have connected. Where libpq cannot trace that far (before
    PostgreSQL 18's), or the system has no such memory, there are no codes.
    """

    def __init__(self, libpq: PGconn) -> None:
        self._libpq = libpq
        self._file = -1
        if libpq.status == ConnStatus.BAD:
            return
        with suppress(psycopg.NotSupportedError, OSError, AttributeError):
            self._file = os.memfd_create("libpq's trace")
            libpq.trace(self._file)
            libpq.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS | Trace.REGRESS_MODE)

    def state(self) -> str:
        """The SQLSTATE of the last error; "" where there is none."""
        if self._file < 0:
            return ""
        self._libpq.untrace()  # what is written is in a buffer until then
        size = os.fstat(self._file).st_size
        found = _STATE.findall(os.pread(self._file, size, 0))
        return found[-1].decode() if found else ""

    def end(self) -> None:
        """Keep nothing, and trace no more."""
        if self._file >= 0:
            self._libpq.untrace()
            os.close(self._file)
            self._file = -1


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """What ``work`` returns or raises; `TimeoutError` where it has not come to its end by then.

    For what libpq does without a limit: names, Kerberos, a service's entry in LDAP. Its thread is
    left behind, and does not keep the process.
    """
    done: list[Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="audit of a database")
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError
    return done[0]


def _rows(result: PGresult) -> list[Row]:
    names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
    return [
        {name: _text(result.get_value(row, column)) for column, name in enumerate(names)}
        for row in range(result.ntuples)
    ]


def _text(value: bytes | None) -> str | None:
    # A database in SQL_ASCII has names in any encoding, or in none.
    return None if value is None else value.decode("utf-8", "replace")
