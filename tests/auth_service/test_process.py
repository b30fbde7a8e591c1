"""How a process binds, announces itself, logs, drains and ends: real processes, real signals."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from auth_service.process import CannotStart, JsonFormatter, Listener, announce, bind

# Two listeners; /slow says in a file that it is being served, and takes as long as it is told.
PROGRAM = """
import asyncio, sys
from pathlib import Path
from auth_service.process import Listener, log_as_json, serve

async def app(scope, receive, send):
    if scope["path"].startswith("/slow/"):
        Path(sys.argv[2]).touch()
        await asyncio.sleep(float(scope["path"].removeprefix("/slow/")))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})

log_as_json("part-1", secrets=["canary"])
sys.exit(
    serve(
        [
            Listener(app, port=int(sys.argv[4]), lifespan=False),
            Listener(app, key="control_port", lifespan=False),
        ],
        announce_path=Path(sys.argv[1]),
        exit_with_stdin=True,
        drain_s=float(sys.argv[3]),
    )
)
"""


def wait_until(what: str, condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Poll ``condition``; fails with ``what`` when it does not come true."""
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"waited in vain until {what}")
        time.sleep(0.01)


@dataclass
class Running:
    """A process that has announced itself."""

    process: subprocess.Popen[bytes]
    said: dict[str, int]
    log: Path
    slow_began: Path

    def get(self, path: str, key: str = "port") -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.said[key]}{path}", timeout=20)

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(drain_s)``: the program above as a process, ended when the test is."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(drain_s: float = 5.0, port: int = 0) -> Running:
        said, log, slow_began = (tmp_path / name for name in ("said.json", "log", "slow"))
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, said, slow_began, str(drain_s), str(port)],
                stdin=subprocess.PIPE,
                stderr=stderr,
            )
        processes.append(process)
        wait_until("the process announces itself", lambda: said.exists() or process.poll())
        assert process.poll() is None, log.read_text()
        return Running(process, json.loads(said.read_text()), log, slow_began)

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def test_it_announces_what_it_listens_on(start: Start) -> None:
    """When the file is there, both ports answer; the log is JSON lines."""
    running = start()
    assert running.said["pid"] == running.process.pid
    assert running.said["port"] != running.said["control_port"]
    assert running.get("/").text == "done"
    assert running.get("/", "control_port").text == "done"
    listening = running.records()[0]
    assert (listening["part"], listening["level"]) == ("part-1", "info")
    assert (listening["message"], listening["port"]) == ("listening", running.said["port"])


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "standard input ended"])
def test_what_is_in_flight_is_finished(start: Start, end: str) -> None:
    """Asked to end, it stops accepting, answers what it has begun and exits 0."""
    running = start()
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(running.get, "/slow/0.5")
        wait_until("the slow request is being served", running.slow_began.exists)
        if end.startswith("SIG"):
            running.process.send_signal(signal.Signals[end])
        else:
            running.close_stdin()
        assert answer.result().text == "done"
    assert running.process.wait(10) == 0
    messages = [record["message"] for record in running.records()]
    assert f"ending: {end}" in messages
    assert messages[-1] == "ended"
    with pytest.raises(httpx.ConnectError):
        running.get("/")


def test_the_drain_has_an_end(start: Start) -> None:
    """What is still in flight after the drain is cut off, and the exit code is 0 all the same."""
    running = start(drain_s=0.2)
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(running.get, "/slow/30")
        wait_until("the slow request is being served", running.slow_began.exists)
        running.process.terminate()
        assert answer.result().status_code == 500
    assert running.process.wait(10) == 0


def test_a_taken_port_is_exit_code_4(start: Start, tmp_path: Path) -> None:
    """The message names the port, and nothing is announced."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, tmp_path / "said", tmp_path / "slow", "5", str(port)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert ended.returncode == 4
    assert f"port {port} on 127.0.0.1 is taken" in json.loads(ended.stderr)["message"]
    assert not (tmp_path / "said").exists()


def test_binding_is_all_or_nothing() -> None:
    """A port that was bound before another turned out to be taken is free again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = bind([Listener(_nothing)])[0]
        port = free.getsockname()[1]
        free.close()
        with pytest.raises(CannotStart, match="taken"):
            bind([Listener(_nothing, port=port), Listener(_nothing, port=taken.getsockname()[1])])
        bind([Listener(_nothing, port=port)])[0].close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_somebody_else_cannot_be_listened_on(host: str) -> None:
    """The message says which address, and why not."""
    with pytest.raises(CannotStart, match=f"cannot listen on {host}:0: "):
        bind([Listener(_nothing, host=host)])


def test_an_announcement_is_never_seen_half_written(tmp_path: Path) -> None:
    """It replaces the old one whole, and leaves nothing beside it."""
    path = tmp_path / "said.json"
    announce(path, {"pid": 1, "port": 2})
    announce(path, {"pid": 1, "port": 3})
    assert json.loads(path.read_text()) == {"pid": 1, "port": 3}
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(CannotStart, match="cannot announce"):
        announce(tmp_path / "nowhere" / "said.json", {})


def test_a_log_line_is_json_without_secrets() -> None:
    """Message, extras and traceback are scrubbed; numbers stay numbers."""
    formatter = JsonFormatter("part-1", ['can"ary'])
    try:
        raise ValueError('can"ary')
    except ValueError:
        error = sys.exc_info()
    record = logging.LogRecord("a", logging.ERROR, "", 0, "is %s\n", ('can"ary',), error)
    record.count = 3
    record.why = 'can"ary'
    line = formatter.format(record)
    entry = json.loads(line)
    assert "\n" not in line
    assert "ary" not in line
    assert (entry["message"], entry["count"], entry["why"]) == ("is ***\n", 3, "***")
    assert "ValueError: ***" in entry["traceback"]
    assert entry["time"].endswith("+00:00")


def test_the_service_itself(seeded_dsn: str, tmp_path: Path) -> None:
    """``python -m auth_service``: listens, serves a login, ends with its standard input."""
    said, log = tmp_path / "said.json", tmp_path / "log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AUTH_")},
        "AUTH_DATABASE_URL": seeded_dsn,
        "AUTH_ANNOUNCE": str(said),
        "AUTH_EXIT_WITH_STDIN": "1",
        "AUTH_REPLICA": "replica-9",
    }
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "auth_service"],
            env=environment,
            stdin=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        wait_until("the service announces itself", lambda: said.exists() or process.poll())
        running = Running(process, json.loads(said.read_text()), log, tmp_path)
        wait_until("it is ready", lambda: running.get("/readyz").status_code == 200)
        answer = httpx.post(
            f"http://127.0.0.1:{running.said['port']}/login",
            json={"username": "user000001", "password": "correct horse 1"},
        )
        assert (answer.status_code, answer.headers["x-replica"]) == (200, "replica-9")
        running.close_stdin()
        assert process.wait(10) == 0
        assert {record["part"] for record in running.records()} == {"replica-9"}
    finally:
        process.kill()
        process.wait()


async def _nothing(scope: object, receive: object, send: object) -> None:
    """An application that is never called."""
