"""Each bystander really does what it says, in a process of its own, and goes when told to."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from harness.recorder.exposition import MetricPage
from harness.stack.announced import clean_environment
from harness.stack.process import wait_until
from scenarios.bystander.database_noise import MOST_ROWS, QUERY_S, next_rows
from scenarios.bystander.settings import PREFIX
from tests import load_targets

COMMAND = [sys.executable, "-m", "scenarios.bystander"]
PATH = 'path="office-backbone"'
NOWHERE = "postgresql://auth:canary@127.0.0.1:1/auth"
SETTINGS = {
    "packet-loss": {"SHARE": "0.3"},
    "noisy-log": {"RATE_PER_S": "100"},
    "database-noise": {"SHARE": "0.5", "DATABASE_URL": NOWHERE},
    "chatty-client": {"RATE_PER_S": "50", "TARGET": "http://127.0.0.1:1"},
}


def environment(kind: str, **settings: str) -> dict[str, str]:
    """A complete one, with ``settings`` over it."""
    named = {"KIND": kind} | SETTINGS.get(kind, {}) | settings
    return clean_environment({PREFIX + name: text for name, text in named.items()})


@dataclass
class Running:
    """A bystander that has announced itself."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def values(self, labels: str = "") -> dict[str, float]:
        """The metrics with these labels, of one instant, as a recording keeps them."""
        page = httpx.get(f"http://127.0.0.1:{self.port}/metrics", trust_env=False, timeout=5)
        return {name: value for name, of, value in MetricPage().read(page.text) if of == labels}

    def value(self, metric: str, labels: str = "") -> float:
        """One of them; 0 for a series that is not there."""
        return self.values(labels).get(metric, 0.0)

    def records(self) -> list[dict[str, Any]]:
        """The lines of its log that it has finished."""
        lines = self.log.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def await_value(self, metric: str, least: float, labels: str = "") -> float:
        """The metric, once it is at least ``least``."""

        def reached() -> float | None:
            assert self.process.poll() is None, self.log.read_text()
            value = self.value(metric, labels)
            return value if value >= least else None

        return wait_until(f"{metric} to reach {least}", reached, timeout_s=30)

    def end(self) -> int:
        """Its exit code, once it has ended by itself; nothing in it has crashed before."""
        code = self.process.wait(timeout=5)
        assert "traceback" not in self.log.read_text()
        return code


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(kind, **settings)``: the process, announced; it ends with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(kind: str, **settings: str) -> Running:
        announced, log = tmp_path / f"{kind}.json", tmp_path / f"{kind}.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stderr=stderr,
                env=environment(
                    kind, ANNOUNCE=str(announced), EXIT_WITH_STDIN="1", SEED="7", **settings
                ),
            )
        processes.append(process)
        wait_until(
            f"{kind} to announce itself",
            lambda: announced.exists() or process.poll() is not None,
            timeout_s=30,
        )
        assert process.poll() is None, log.read_text()
        said = json.loads(announced.read_text())
        assert said["pid"] == process.pid
        return Running(process, said["port"], log)

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


# -- packet-loss -------------------------------------------------------------------------------


def test_packets_are_lost_and_the_loss_is_logged(start: Start) -> None:
    """Those that the seed chooses, which is the share within what so few can show."""
    bystander = start("packet-loss", SHARE="0.3")
    bystander.await_value("bystander_probes_total", 60, PATH)
    counted = bystander.values(PATH)
    probes, lost = counted["bystander_probes_total"], counted["bystander_probes_lost_total"]
    chance = random.Random(7)
    dropped = sum(chance.random() < 0.3 for _ in range(int(probes)))
    assert lost == pytest.approx(dropped, abs=2)  # a busy machine may be slow to answer
    assert lost / probes == pytest.approx(0.3, abs=0.18)  # three standard deviations
    (warning,) = [record for record in bystander.records() if record["level"] == "warning"]
    assert warning["path"] == "office-backbone"
    assert warning["loss_ratio"] == pytest.approx(0.3, abs=0.22)


def test_probes_go_out_twenty_times_a_second(start: Start) -> None:
    bystander = start("packet-loss", SHARE="0.01")
    first = bystander.await_value("bystander_probes_total", 10, PATH)
    began = time.monotonic()
    last = bystander.await_value("bystander_probes_total", first + 40, PATH)
    assert (last - first) / (time.monotonic() - began) == pytest.approx(20, rel=0.25)


# -- noisy-log ---------------------------------------------------------------------------------


def test_lines_appear_in_the_log_at_the_rate(start: Start) -> None:
    """Of several kinds and both levels, each a JSON line like the service's, each counted."""
    bystander = start("noisy-log", RATE_PER_S="100")
    bystander.await_value("bystander_log_lines_total", 150, 'level="warning"')
    bystander.process.send_signal(signal.SIGSTOP)  # so that counter and file are of one instant
    noise = [record for record in bystander.records() if record["level"] in ("warning", "error")]
    bystander.process.send_signal(signal.SIGCONT)
    assert {"time", "level", "part", "logger", "message"} <= noise[0].keys()
    assert len({(record["logger"], record["message"].split(" ")[0]) for record in noise}) >= 6
    began, ended = (datetime.fromisoformat(noise[at]["time"]) for at in (0, 150))
    assert 150 / (ended - began).total_seconds() == pytest.approx(100, rel=0.2)


def test_every_line_of_noise_is_counted(start: Start) -> None:
    bystander = start("noisy-log", RATE_PER_S="50")
    bystander.await_value("bystander_log_lines_total", 5, 'level="error"')
    for level in ("warning", "error"):
        before = sum(record["level"] == level for record in bystander.records())
        counted = bystander.value("bystander_log_lines_total", f'level="{level}"')
        after = sum(record["level"] == level for record in bystander.records())
        assert before - 1 <= counted <= after  # a line is written a moment before it is counted


# -- database-noise ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Session:
    """A session of the noise, as the server sees it."""

    pid: int
    state: str


def sessions(dsn: str) -> list[Session]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid, state FROM pg_stat_activity WHERE application_name = 'nightly-report'"
        ).fetchall()
    return [Session(*row) for row in rows]


def test_queries_keep_the_database_busy_for_the_share(start: Start, postgres_dsn: str) -> None:
    """Over one connection, in no transaction, on the server's processor rather than on its own."""
    bystander = start("database-noise", SHARE="0.5", DATABASE_URL=postgres_dsn)
    bystander.await_value("bystander_queries_total", 5)
    (session,) = sessions(postgres_dsn)
    server, client = psutil.Process(session.pid), psutil.Process(bystander.process.pid)
    server_s, client_s = sum(server.cpu_times()[:2]), sum(client.cpu_times()[:2])
    began, busy_s = time.monotonic(), bystander.value("bystander_query_seconds_total")
    queries = bystander.value("bystander_queries_total")
    seen = set()

    def enough() -> bool:
        seen.update(sessions(postgres_dsn))
        return bystander.value("bystander_queries_total") >= queries + 30

    wait_until("30 more queries", enough, timeout_s=30)
    length_s = time.monotonic() - began
    busy_s = bystander.value("bystander_query_seconds_total") - busy_s
    queries = bystander.value("bystander_queries_total") - queries
    assert busy_s / length_s == pytest.approx(0.5, abs=0.15)
    assert 0.01 < busy_s / queries < 0.08
    server_s = sum(server.cpu_times()[:2]) - server_s
    assert server_s > 0.2 * busy_s  # the rest of it on a busy machine: waiting for a processor
    assert sum(client.cpu_times()[:2]) - client_s < 0.5 * server_s
    assert {each.pid for each in seen} == {session.pid}
    assert {each.state for each in seen} <= {"active", "idle"}


def test_a_lost_connection_is_replaced(start: Start, postgres_dsn: str) -> None:
    bystander = start("database-noise", SHARE="0.3", DATABASE_URL=postgres_dsn)
    bystander.await_value("bystander_queries_total", 1)
    (session,) = sessions(postgres_dsn)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", (session.pid,))

    def replaced() -> bool:
        return any(each.pid != session.pid for each in sessions(postgres_dsn))

    wait_until("another connection", replaced, timeout_s=30)
    queries = bystander.value("bystander_queries_total")
    bystander.await_value("bystander_queries_total", queries + 2)
    assert "no report at present" in bystander.log.read_text()


def test_its_session_is_gone_with_it(start: Start, postgres_dsn: str) -> None:
    bystander = start("database-noise", SHARE="0.9", DATABASE_URL=postgres_dsn)
    bystander.await_value("bystander_queries_total", 1)
    bystander.process.terminate()
    assert bystander.end() == 0
    wait_until("its session to end", lambda: not sessions(postgres_dsn), timeout_s=5)


def test_the_number_of_rows_follows_the_machine() -> None:
    """Whatever it costs to make a row, queries come to take what they are meant to take."""
    for row_s in (2e-8, 1e-7, 1e-6):
        rows = 100_000
        for _ in range(10):
            rows = next_rows(rows, rows * row_s)
        assert rows * row_s == pytest.approx(QUERY_S, rel=0.01)
    assert next_rows(100_000, 60.0) == 50_000, "one query that had to wait"
    assert next_rows(MOST_ROWS, 1e-6) == MOST_ROWS


# -- chatty-client -----------------------------------------------------------------------------


@dataclass
class Counter401:
    """A keep-alive server that answers 401, as long as its ``gate`` is open."""

    server: ThreadingHTTPServer
    gate: threading.Event
    requests: list[tuple[str, str, str, Any]] = field(default_factory=list)
    """Path, Authorization, X-User, the client's address."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def counter_401() -> Iterator[Counter401]:
    """The server, with its gate open."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            of = self.headers
            counter.requests.append(
                (self.path, of["Authorization"], of["X-User"], self.client_address)
            )
            counter.gate.wait(30)
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        counter = Counter401(server, threading.Event())
        counter.gate.set()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield counter
        counter.gate.set()
        server.shutdown()
        thread.join()


def test_requests_arrive_at_the_rate(start: Start, counter_401: Counter401) -> None:
    """For /session, with one dead token and changing users, over a few kept connections."""
    bystander = start("chatty-client", RATE_PER_S="50", TARGET=f"{counter_401.url}/")
    first = bystander.await_value("bystander_requests_total", 10, 'code="401"')
    began = time.monotonic()
    last = bystander.await_value("bystander_requests_total", first + 75, 'code="401"')
    assert (last - first) / (time.monotonic() - began) == pytest.approx(50, rel=0.25)
    paths, tokens, users, addresses = (
        set(seen) for seen in zip(*counter_401.requests, strict=True)
    )
    assert paths == {"/session"}
    assert len(tokens) == 1
    assert tokens.pop().startswith("Bearer ")
    assert len(users) > 8
    assert len(addresses) <= 4


def test_a_slow_gateway_has_four_requests_at_most(start: Start, counter_401: Counter401) -> None:
    """What falls due meanwhile is skipped for good: no surge when answers come again."""
    counter_401.gate.clear()
    bystander = start("chatty-client", RATE_PER_S="100", TARGET=counter_401.url)
    skipped = bystander.await_value("bystander_requests_skipped_total", 50)
    assert len(counter_401.requests) == 4
    began = time.monotonic()
    counter_401.gate.set()
    answered = bystander.await_value("bystander_requests_total", 40, 'code="401"')
    assert (answered - 4) / (time.monotonic() - began) < 150
    assert skipped >= 50


def test_a_gateway_that_is_away_is_no_reason_to_stop(start: Start) -> None:
    with load_targets.closed_port() as target:
        bystander = start("chatty-client", RATE_PER_S="50", TARGET=target.url)
        bystander.await_value("bystander_requests_total", 20, 'code="-"')


# -- its life ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SETTINGS)
def test_it_ends_with_its_standard_input(kind: str, start: Start) -> None:
    """Also while what it deals with is away: nobody listens at the addresses it was given."""
    bystander = start(kind)
    assert bystander.process.stdin is not None
    bystander.process.stdin.close()
    assert bystander.end() == 0
    assert [record["message"] for record in bystander.records()][-2:] == [
        "ending: standard input ended",
        "ended",
    ]


@pytest.mark.parametrize("kind", SETTINGS)
def test_it_ends_on_sigterm(kind: str, start: Start) -> None:
    bystander = start(kind)
    bystander.process.terminate()
    assert bystander.end() == 0
    assert bystander.records()[-1]["message"] == "ended"


@pytest.mark.parametrize(
    ("kind", "settings", "problems"),
    [
        ("", {"SEED": "x"}, ["KIND", "SEED"]),
        ("static", {"SEED": "x", "SHARE": "2"}, ["KIND", "SEED"]),
        ("packet-loss", {"SHARE": "1", "SEED": "x"}, ["SEED", "SHARE"]),
        ("packet-loss", {"SHARE": "", "TARGET": "http://h"}, ["SHARE", "TARGET"]),
        ("noisy-log", {"RATE_PER_S": "nan"}, ["RATE_PER_S"]),
        (
            "database-noise",
            {"SHARE": "0.95", "DATABASE_URL": "mysql://auth:canary@h/d"},
            ["SHARE", "DATABASE_URL"],
        ),
        ("chatty-client", {"RATE_PER_S": "201", "TARGET": "ftp://h"}, ["RATE_PER_S", "TARGET"]),
    ],
)
def test_all_problems_are_told_at_once(
    kind: str, settings: dict[str, str], problems: list[str]
) -> None:
    """Each under the name of its variable, exit code 2, and no password among them."""
    ended = subprocess.run(
        COMMAND, env=environment(kind, **settings), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    told = [line.split(": ")[0] for line in ended.stderr.splitlines()]
    assert told == [PREFIX + name for name in problems]
    assert "canary" not in ended.stderr


def test_it_does_without_locust() -> None:
    """Locust would patch the process, and cost a second of processor in the midst of a run."""
    program = (
        "import sys; from scenarios.bystander import __main__, chatty_client, database_noise,"
        " noisy_log, packet_loss; sys.exit('locust' in sys.modules or 'gevent' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], check=False, env=os.environ).returncode == 0
    )
