"""The recorder's view of PostgreSQL or PgBouncer as a metric page (``python -m …``).

For a Prometheus that stands beside the stack for good. postgres_exporter would do but for what the
rules ask of locks, and it would count other sessions than the recorder does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NoReturn

import psycopg

from harness.recorder.database import DatabaseSampler
from harness.recorder.exposition import Reading
from harness.recorder.pgbouncer import PgbouncerSampler

PREFIX = "POOLDRILL_EXPORTER_"
EXIT_BAD_SETTINGS = 2
KINDS: Mapping[str, Callable[[str], DatabaseSampler | PgbouncerSampler]] = {
    "POSTGRES": DatabaseSampler,
    "PGBOUNCER": PgbouncerSampler,
}
"""What can be watched, by the variable that has its address."""


def page(readings: list[Reading]) -> str:
    """Readings in Prometheus's text format."""
    return "".join(
        f"{name}{{{labels}}} {value!r}\n" if labels else f"{name} {value!r}\n"
        for name, labels, value in readings
    )


class Exporter(ThreadingHTTPServer):
    """Serves ``GET /metrics``, asking at each; 503 when nobody answers, so that ``up`` is 0."""

    def __init__(self, address: tuple[str, int], sample: Callable[[], list[Reading]]) -> None:
        self._sample = sample
        self._one_at_a_time = threading.Lock()
        super().__init__(address, _Handler)

    def metrics(self) -> tuple[int, str]:
        """Status and page."""
        with self._one_at_a_time:
            try:
                return 200, page(self._sample())
            except psycopg.Error as error:
                # Without its text, which may have the address and what is in it.
                return 503, f"# no answer: {type(error).__name__}\n"


class _Handler(BaseHTTPRequestHandler):
    server: Exporter

    def do_GET(self) -> None:
        if self.path == "/metrics":
            status, text = self.server.metrics()
        elif self.path == "/healthz":
            status, text = 200, "ok\n"
        else:
            status, text = 404, "there are /metrics and /healthz\n"
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A line a second would say nothing."""


def exporter_of(environment: Mapping[str, str]) -> Exporter:
    """The exporter that the environment describes; raises ValueError with what is wrong."""
    given = {kind: environment[PREFIX + kind] for kind in KINDS if environment.get(PREFIX + kind)}
    if len(given) != 1:
        raise ValueError(f"give one of {', '.join(PREFIX + kind for kind in KINDS)}")
    port = environment.get(f"{PREFIX}PORT") or "0"
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{PREFIX}PORT: {port} is no port")
    ((kind, dsn),) = given.items()
    host = environment.get(f"{PREFIX}HOST") or "127.0.0.1"
    return Exporter((host, int(port)), KINDS[kind](dsn).sample)


def main() -> NoReturn:
    """Serve until SIGTERM or SIGINT; exit code 0, or 2 for bad settings."""
    try:
        exporter = exporter_of(os.environ)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"the exporter cannot begin: {error}\n")
        raise SystemExit(EXIT_BAD_SETTINGS) from None
    for number in (signal.SIGTERM, signal.SIGINT):
        # From another thread: shutdown() waits for the loop that the signal interrupts.
        signal.signal(
            number, lambda *_: threading.Thread(target=exporter.shutdown, daemon=True).start()
        )
    exporter.serve_forever()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
