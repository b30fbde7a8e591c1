"""Alertmanager's routes on the real server: who is told, when, and who is not."""

from __future__ import annotations

import json
import queue
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from harness.stack.announced import await_http
from harness.stack.ports import free_port
from harness.stack.process import Child, wait_until

CONFIG = Path(__file__).resolve().parents[2] / "dashboards" / "alertmanager" / "alertmanager.yml"
PROGRAM = "prometheus-alertmanager"  # Debian's name for it

pytestmark = pytest.mark.alertmanager

QUICK = {"30s": "1s", "15m": "4s", "5m": "1s", "30m": "2s", "4h": "1h", "24h": "24h"}
"""The file's waits, shortened in proportion, so that an escalation takes seconds."""


class Told:
    """What each address of the receiver was sent."""

    def __init__(self) -> None:
        self._arrived: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.messages: list[tuple[str, dict[str, Any]]] = []

    def put(self, path: str, body: dict[str, Any]) -> None:
        self._arrived.put((path, body))

    def alerts(self, path: str, status: str = "firing") -> list[str]:
        """The names of the alerts that this address was told of, in order."""
        while not self._arrived.empty():
            self.messages.append(self._arrived.get())
        return [
            alert["labels"]["alertname"]
            for where, body in self.messages
            if where == path
            for alert in body["alerts"]
            if alert["status"] == status
        ]


@pytest.fixture
def told() -> Iterator[tuple[Told, int]]:
    """A webhook receiver, and its port."""
    record = Told()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            record.put(self.path, json.loads(self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield record, server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def alertmanager(told: tuple[Told, int], tmp_path: Path) -> Iterator[httpx.Client]:
    """Our routes with short waits and the receiver's port, in a real Alertmanager."""
    _, receiver = told
    text = CONFIG.read_text("utf-8").replace("127.0.0.1:9095", f"127.0.0.1:{receiver}")
    text = re.sub(
        r"((?:group_wait|group_interval|repeat_interval): )(\S+)",
        lambda found: found[1] + QUICK[found[2]],
        text,
    )
    file = tmp_path / "alertmanager.yml"
    file.write_text(text, "utf-8")
    port = free_port()
    program = shutil.which(PROGRAM) or shutil.which("alertmanager")
    assert program is not None
    argv = [
        program,
        f"--config.file={file}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    child = Child("alertmanager", argv, log=tmp_path / "alertmanager.log")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            url = f"http://127.0.0.1:{port}/-/ready"
            await_http(client, child, url, "Alertmanager to be ready")
            yield client
    finally:
        child.stop(2)


def fire(client: httpx.Client, *alerts: str, resolved: bool = False, **labels: str) -> None:
    """Send alerts as Prometheus does: that they fire now, or have ended."""
    now = datetime.now(UTC).isoformat()
    sent = [
        {
            "labels": {"alertname": name, "severity": "page", **labels},
            "annotations": {"summary": name},
            "startsAt": now,
            **({"endsAt": now} if resolved else {}),
        }
        for name in alerts
    ]
    client.post("/api/v2/alerts", json=sent).raise_for_status()


def test_amtool_takes_the_file_as_it_is() -> None:
    done = subprocess.run(
        ["amtool", "check-config", str(CONFIG)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_wait_of_the_file_is_shortened_here() -> None:
    waits = re.findall(
        r"(?:group_wait|group_interval|repeat_interval): (\S+)", CONFIG.read_text("utf-8")
    )
    assert set(waits) == set(QUICK)


def test_a_page_arrives_and_escalates_while_nobody_ends_it(
    alertmanager: httpx.Client, told: tuple[Told, int]
) -> None:
    record, _ = told
    fire(alertmanager, "PoolTimeouts", instance="replica-1")
    wait_until("the page", lambda: record.alerts("/page"), timeout_s=10)
    assert record.alerts("/page") == ["PoolTimeouts"]
    assert record.alerts("/escalate") == [], "not at once"
    wait_until("the escalation", lambda: record.alerts("/escalate"), timeout_s=15)
    wait_until("it again", lambda: len(record.alerts("/escalate")) > 1, timeout_s=15)
    assert record.alerts("/ticket") == []


def test_what_ends_in_time_is_never_escalated(
    alertmanager: httpx.Client, told: tuple[Told, int]
) -> None:
    record, _ = told
    fire(alertmanager, "PoolTimeouts", instance="replica-1")
    wait_until("the page", lambda: record.alerts("/page"), timeout_s=10)
    fire(alertmanager, "PoolTimeouts", instance="replica-1", resolved=True)
    wait_until("its end", lambda: record.alerts("/page", "resolved"), timeout_s=10)
    until = time.monotonic() + 6  # longer than the escalation waits
    wait_until("that time", lambda: time.monotonic() > until, timeout_s=10)
    assert record.alerts("/escalate") == []


def test_a_warning_is_a_ticket_and_wakes_nobody(
    alertmanager: httpx.Client, told: tuple[Told, int]
) -> None:
    record, _ = told
    fire(alertmanager, "PoolBusy", severity="warning")
    wait_until("the ticket", lambda: record.alerts("/ticket"), timeout_s=10)
    assert record.alerts("/page") == []


def test_an_early_warning_that_came_true_says_nothing_more(
    alertmanager: httpx.Client, told: tuple[Told, int]
) -> None:
    """Of this pool of this replica; and users are always told of."""
    record, _ = told
    pool = {"job": "auth", "instance": "replica-1", "db_client_connection_pool_name": "primary"}
    fire(alertmanager, "PoolTimeouts", "PoolPending", **pool)
    fire(alertmanager, "PoolPending", **{**pool, "instance": "replica-2"})
    fire(alertmanager, "LoginsFailAtTheEdge", "LoginErrorBudgetBurnsFast", "PoolShrunk")
    wait_until(
        "the pages",
        lambda: (
            {"PoolTimeouts", "LoginsFailAtTheEdge", "PoolShrunk"} <= set(record.alerts("/page"))
        ),
        timeout_s=10,
    )
    wait_until("the other replica's", lambda: "PoolPending" in record.alerts("/page"), timeout_s=10)
    assert record.alerts("/page").count("PoolPending") == 1
    assert "LoginErrorBudgetBurnsFast" not in record.alerts("/page")


def test_the_file_is_yaml_with_the_receivers_of_the_guide() -> None:
    data = yaml.safe_load(CONFIG.read_text("utf-8"))
    assert {each["name"] for each in data["receivers"]} == {"pager", "pager-escalation", "tickets"}
