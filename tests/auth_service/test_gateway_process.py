"""The gateway as a process: how it starts, announces itself and ends, and what it refuses."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest

from auth_service.gateway.__main__ import main
from auth_service.gateway.settings import GatewaySettings
from auth_service.gateway.state import Upstream
from auth_service.settings import BadSettings, load

PATIENCE_S = 15.0
ONE_UPSTREAM = '[{"name": "replica-1", "url": "http://127.0.0.1:1"}]'


class _Replica(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slow":
            assert self.server.gate.wait(PATIENCE_S)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.send_header("X-Replica", "replica-1")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def gate() -> threading.Event:
    """Opens ``/slow`` of the replica."""
    return threading.Event()


@pytest.fixture
def replica(gate: threading.Event) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Replica)
    server.gate = gate  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def started(
    tmp_path: Path, stdin: int | IO[bytes] = subprocess.DEVNULL, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    others = {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "auth_service.gateway"],
            env={**others, **environment},
            stdin=stdin,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdin:
                process.stdin.close()


def announced(process: subprocess.Popen[bytes], path: Path) -> dict[str, int]:
    deadline_s = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert process.poll() is None, "the gateway ended before it announced itself"
        assert time.monotonic() < deadline_s, "waited in vain for the announce file"
        time.sleep(0.01)
    facts: dict[str, int] = json.loads(path.read_text())
    return facts


def until_in_flight(control: str, count: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    with httpx.Client() as client:
        while sum(client.get(f"{control}/control").json()["in_flight"].values()) != count:
            assert time.monotonic() < deadline_s, f"waited in vain for {count} in flight"


def until_logged(log: Path, text: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while text not in log.read_text():
        assert time.monotonic() < deadline_s, f"waited in vain for {text!r} in the log"
        time.sleep(0.01)


def test_it_announces_itself_serves_drains_and_ends(
    tmp_path: Path, replica: str, gate: threading.Event
) -> None:
    announce = tmp_path / "gateway.json"
    upstreams = json.dumps([{"name": "replica-1", "url": replica}])
    with started(tmp_path, GATEWAY_UPSTREAMS=upstreams, GATEWAY_ANNOUNCE=str(announce)) as process:
        facts = announced(process, announce)
        assert set(facts) == {"pid", "port", "control_port"}
        assert facts["pid"] == process.pid
        base, control = (f"http://127.0.0.1:{facts[key]}" for key in ("port", "control_port"))

        answer = httpx.get(f"{base}/session")
        assert (answer.text, answer.headers["x-replica"]) == ("ok", "replica-1")
        metrics = httpx.get(f"{control}/metrics").text
        assert 'gateway_requests_total{code="200",replica="replica-1"} 1.0' in metrics
        httpx.put(f"{control}/control/timeout", json={"timeout_s": 20}).raise_for_status()

        slow: list[int] = []
        client = threading.Thread(
            target=lambda: slow.append(httpx.get(f"{base}/slow", timeout=PATIENCE_S).status_code)
        )
        client.start()
        until_in_flight(control, 1)
        process.send_signal(signal.SIGTERM)
        until_logged(tmp_path / "log", "ending: SIGTERM")
        gate.set()
        client.join()
        assert slow == [200], "a request in flight is served to its end"
        assert process.wait(PATIENCE_S) == 0

    entries = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {entry["part"] for entry in entries} == {"gateway"}
    (change,) = (entry for entry in entries if entry["message"] == "state changed")
    assert json.loads(change["after"]) == {"timeout_s": 20.0}


def test_it_ends_with_its_standard_input(tmp_path: Path) -> None:
    announce = tmp_path / "gateway.json"
    with started(
        tmp_path,
        stdin=subprocess.PIPE,
        GATEWAY_UPSTREAMS=ONE_UPSTREAM,
        GATEWAY_ANNOUNCE=str(announce),
        GATEWAY_EXIT_WITH_STDIN="1",
    ) as process:
        announced(process, announce)
        assert process.stdin
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0


def test_bad_settings_end_it_with_all_their_problems(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_UPSTREAMS", '[{"name": "a b", "url": "x"}]')
    monkeypatch.setenv("GATEWAY_TIMEOUT_S", "soon")
    monkeypatch.setenv("GATEWAY_TIMEOUTS", "1")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    for variable in (
        "GATEWAY_UPSTREAMS[0].name",
        "GATEWAY_UPSTREAMS[0].url",
        "GATEWAY_TIMEOUT_S",
        "GATEWAY_TIMEOUTS: unknown; did you mean GATEWAY_TIMEOUT_S?",
    ):
        assert variable in said


def test_the_settings_have_the_documented_defaults() -> None:
    settings = load(GatewaySettings, {"GATEWAY_UPSTREAMS": ONE_UPSTREAM})
    assert settings.upstreams == (Upstream(name="replica-1", url="http://127.0.0.1:1"),)
    assert (settings.timeout_s, settings.connect_timeout_s) == (30.0, 1.0)
    assert (settings.host, settings.port, settings.control_port) == ("127.0.0.1", 0, 0)
    assert settings.state.upstreams == settings.upstreams


def test_the_settings_are_read_from_text() -> None:
    settings = load(
        GatewaySettings,
        {
            "GATEWAY_UPSTREAMS": ONE_UPSTREAM,
            "GATEWAY_TIMEOUT_S": "2.5",
            "GATEWAY_CONNECT_TIMEOUT_S": "1",
            "GATEWAY_CONTROL_PORT": "8001",
        },
    )
    assert (settings.timeout_s, settings.connect_timeout_s) == (2.5, 1.0)
    assert settings.control_port == 8001


@pytest.mark.parametrize("upstreams", ["[", "{}", "5", "[]", '["a"]'])
def test_upstreams_that_are_no_list_of_upstreams_are_one_problem_among_others(
    upstreams: str,
) -> None:
    with pytest.raises(BadSettings) as refused:
        load(GatewaySettings, {"GATEWAY_UPSTREAMS": upstreams, "GATEWAY_PORT": "99999"})
    variables = [problem.variable for problem in refused.value.problems]
    assert variables[0] == "GATEWAY_PORT"
    assert variables[1].startswith("GATEWAY_UPSTREAMS")
