"""How a bystander lives: logs JSON lines, shows its metrics, announces itself, ends."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import logging
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server

EXIT_OK = 0
HARD_END_AFTER_S = 1.0
"""What ending may take: a database that does not answer must not keep the process."""

_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

logger = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """One JSON object a record, with the keys that the service's log has."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, tz=datetime.UTC)
        entry: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": self._part,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _ORDINARY:
                entry[name] = value if isinstance(value, int | float) else str(value)
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def log_as_json(part: str) -> None:
    """Send all logs of the process to standard error, one JSON object a line, under ``part``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(part))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # A log that cannot be written (its reader has died) must not become more log.
    logging.raiseExceptions = False


def serve_metrics(registry: CollectorRegistry) -> int:
    """Serve ``/metrics`` on a free loopback port from a thread; the port."""
    server, _ = start_http_server(0, "127.0.0.1", registry)
    return int(server.server_port)


def announce(path: Path, port: int) -> None:
    """Write process id and port to ``path``, atomically: a reader sees all of it or no file."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps({"pid": os.getpid(), "port": port}) + "\n", encoding="utf-8")
    unfinished.replace(path)


def cancel_when_asked_to_end(task: asyncio.Task[None], *, exit_with_stdin: bool) -> None:
    """Cancel ``task`` on SIGTERM, SIGINT or at the end of a piped standard input.

    From then on the process has `HARD_END_AFTER_S` to end by itself.
    """
    loop = asyncio.get_running_loop()

    def end(why: str) -> None:
        if not task.cancelling():
            logger.info("ending: %s", why)
            _end_hard_after(HARD_END_AFTER_S)
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, signal.Signals(number).name)
    if exit_with_stdin:
        _at_end_of_stdin(lambda: loop.call_soon_threadsafe(end, "standard input ended"))


def _at_end_of_stdin(then: Callable[[], object]) -> None:
    descriptor = sys.stdin.fileno() if sys.stdin else -1
    if not _is_pipe(descriptor):
        logger.warning("standard input is not a pipe: its end will not end this process")
        return

    def read() -> None:
        with contextlib.suppress(OSError):
            while os.read(descriptor, 4096):
                pass
        # Here rather than in the loop, which may be stuck or gone.
        _end_hard_after(HARD_END_AFTER_S)
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are ending already
            then()

    threading.Thread(target=read, name="stdin", daemon=True).start()


def _is_pipe(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _end_hard_after(delay_s: float) -> None:
    """End the process after ``delay_s``, whatever still runs in it."""
    timer = threading.Timer(delay_s, os._exit, [EXIT_OK])
    timer.daemon = True
    timer.start()
