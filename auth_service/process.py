"""How a process of the stack lives: binds, announces itself, logs JSON lines, drains, ends.

The service and the gateway share it. ``serve`` blocks until the process was asked to end, by a
signal or by the end of its standard input, and returns the exit code.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import json
import logging
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from starlette.types import ASGIApp

EXIT_OK = 0
EXIT_INFRASTRUCTURE = 4

KEEP_ALIVE_S = 75
"""How long an idle client connection stays open: longer than any client of the stack keeps one,
so that the server never closes a connection a request is already on its way through."""

OVERRUN_S = 2.0
"""What ending may take beyond the drain before the process is ended hard: a thread that waits for
the database cannot be cancelled."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listener:
    """One application on one port; ``key`` names the port in the announce file."""

    app: ASGIApp
    host: str = "127.0.0.1"
    port: int = 0
    key: str = "port"
    lifespan: bool = True


class CannotStart(Exception):  # noqa: N818 - named for what it tells the operator
    """The process cannot listen or announce itself; the message says where and why."""


def serve(
    listeners: Sequence[Listener],
    *,
    announce_path: Path | None = None,
    exit_with_stdin: bool = False,
    drain_s: float = 5.0,
) -> int:
    """Serve all ``listeners`` on one event loop until asked to end; return the exit code.

    When all of them listen, ``announce_path`` is written. SIGTERM, SIGINT and, with
    ``exit_with_stdin``, the end of a piped standard input stop accepting, let requests in flight
    finish for at most ``drain_s`` seconds and cancel what is left: exit code 0. A second signal
    does not wait. A port that cannot be had is said on standard error: exit code 4.
    """
    try:
        sockets = bind(listeners)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            process = _Process(listeners, sockets, drain_s)
            runner.run(process.run(announce_path, exit_with_stdin))
    except CannotStart as error:
        logger.error("%s", error)
        return EXIT_INFRASTRUCTURE
    return EXIT_OK


def bind(listeners: Iterable[Listener]) -> list[socket.socket]:
    """Bind a socket for each listener, all or none; they do not listen yet.

    Raises:
        CannotStart: a port is taken, or an address is not this machine's.
    """
    with contextlib.ExitStack() as bound:
        sockets = [bound.enter_context(_bind(each.host, each.port)) for each in listeners]
        bound.pop_all()
    return sockets


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}") from error
    try:
        # Without it a restart on the same port fails for as long as old connections linger.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(
                f"port {port} on {host} is taken: stop what listens there, or give port 0 for a"
                " free one"
            ) from error
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return bound


def announce(path: Path, facts: dict[str, int]) -> None:
    """Write ``facts`` to ``path`` as JSON, atomically: a reader sees all of it or no file.

    Raises:
        CannotStart: the file cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(facts) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise CannotStart(f"cannot announce itself in {path}: {error.strerror}") from error


class _Server(uvicorn.Server):
    """A uvicorn server that shares its process: signals are not its business, listening is news."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:
            # uvicorn leaves by sys.exit, which inside a task would tear down the event loop.
            raise CannotStart("the application did not start; the log says why") from error
        self.listening.set()


class _Process:
    """The servers of one process and their common end."""

    def __init__(
        self, listeners: Sequence[Listener], sockets: Sequence[socket.socket], drain_s: float
    ) -> None:
        self._listeners = listeners
        self._sockets = sockets
        self._drain_s = drain_s
        self._servers = [_Server(_uvicorn_config(each, drain_s)) for each in listeners]
        self._asked_to_end = False

    async def run(self, announce_path: Path | None, exit_with_stdin: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, signal.Signals(number).name)
        if exit_with_stdin:
            self._end_with_stdin(loop)
        try:
            async with asyncio.TaskGroup() as group:
                for server, bound in zip(self._servers, self._sockets, strict=True):
                    group.create_task(server.serve(sockets=[bound]))
                group.create_task(self._announce(announce_path))
        except ExceptionGroup as failures:
            first = failures.exceptions[0]
            raise first if isinstance(first, CannotStart) else failures from None
        logger.info("ended")

    async def _announce(self, path: Path | None) -> None:
        for server in self._servers:
            await server.listening.wait()
        ports = {
            listener.key: int(bound.getsockname()[1])
            for listener, bound in zip(self._listeners, self._sockets, strict=True)
        }
        if path is not None:
            announce(path, {"pid": os.getpid(), **ports})
        logger.info("listening", extra=ports)

    def _end(self, why: str) -> None:
        if self._asked_to_end:
            for server in self._servers:
                server.force_exit = True
            return
        self._asked_to_end = True
        logger.info("ending: %s", why, extra={"drain_s": self._drain_s})
        _end_hard_after(self._drain_s + OVERRUN_S)
        for server in self._servers:
            server.should_exit = True

    def _end_with_stdin(self, loop: asyncio.AbstractEventLoop) -> None:
        if not _is_pipe(sys.stdin.fileno() if sys.stdin else -1):
            logger.warning("standard input is not a pipe: its end will not end this process")
            return

        def at_end() -> None:
            # Here rather than in the loop, which may be stuck or gone.
            _end_hard_after(self._drain_s + OVERRUN_S)
            with contextlib.suppress(RuntimeError):  # the loop is closed: we are ending already
                loop.call_soon_threadsafe(self._end, "standard input ended")

        _on_end_of_file(sys.stdin.fileno(), at_end)


def _uvicorn_config(listener: Listener, drain_s: float) -> uvicorn.Config:
    return uvicorn.Config(
        listener.app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on" if listener.lifespan else "off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        # The peer is what the socket says; forwarded addresses are the gateway's business.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        # Typed as whole seconds, but used as asyncio.wait_for's timeout.
        timeout_graceful_shutdown=drain_s,  # type: ignore[arg-type]
    )


def _is_pipe(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _on_end_of_file(descriptor: int, then: Callable[[], None]) -> None:
    """Call ``then`` from a thread of its own when ``descriptor`` has been read to its end."""

    def read() -> None:
        with contextlib.suppress(OSError):
            while os.read(descriptor, 4096):
                pass
        then()

    threading.Thread(target=read, name="stdin", daemon=True).start()


def _end_hard_after(delay_s: float) -> None:
    """End the process after ``delay_s``, whatever still runs in it."""

    def end() -> None:
        logger.error("ending took too long: ended hard")
        os._exit(EXIT_OK)

    timer = threading.Timer(delay_s, end)
    timer.daemon = True
    timer.start()


def log_as_json(part: str, *, secrets: Iterable[str] = (), level: int = logging.INFO) -> None:
    """Send all logs of the process to standard error, one JSON object a line, under ``part``.

    Texts in ``secrets`` are starred out wherever they occur.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(part, secrets))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # A log that cannot be written (its reader has died) must not become more log.
    logging.raiseExceptions = False
    for chatty in ("uvicorn", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, part, logger, message, the extras, the traceback."""

    def __init__(self, part: str, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._part = part
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, tz=datetime.UTC)
        entry: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": self._part,
            "logger": record.name,
            "message": self._scrub(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _ORDINARY:
                entry[name] = value if isinstance(value, int | float) else self._scrub(str(value))
        if record.exc_info:
            entry["traceback"] = self._scrub(self.formatException(record.exc_info))
        return json.dumps(entry)

    def _scrub(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text
