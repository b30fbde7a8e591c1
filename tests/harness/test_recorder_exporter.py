"""The recorder's view as a metric page, for a Prometheus that stands beside the stack for good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.recorder.exporter import exporter_of, page
from harness.stack.ports import free_port
from harness.stack.postgres import EmbeddedPostgres
from harness.stack.process import wait_until

POSTGRES, PGBOUNCER = "POOLDRILL_EXPORTER_POSTGRES", "POOLDRILL_EXPORTER_PGBOUNCER"
NOBODY = "postgresql://watcher:canary@127.0.0.1:1/auth"


@contextmanager
def serving(environment: Mapping[str, str]) -> Iterator[httpx.Client]:
    exporter = exporter_of(environment)
    thread = threading.Thread(target=exporter.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{exporter.server_address[1]}"
    try:
        with httpx.Client(base_url=url, trust_env=False) as client:
            yield client
    finally:
        exporter.shutdown()
        thread.join()
        exporter.server_close()


def test_a_server_is_shown_under_the_recorders_names(embedded_postgres: EmbeddedPostgres) -> None:
    with serving({POSTGRES: embedded_postgres.monitor_dsn}) as client:
        for _ in range(2):  # the second time over the connection it has kept
            answer = client.get("/metrics")
            assert answer.status_code == 200
    found = [
        sample
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    ]
    assert {"pg_settings_max_connections", "pg_stat_activity_lock_waiters"} <= {
        sample.name for sample in found
    }
    counts = [sample for sample in found if sample.name == "pg_stat_activity_count"]
    active = [sample.value for sample in counts if sample.labels["state"] == "active"]
    assert sum(active) >= 1, "the one that asked"


@pytest.mark.parametrize("variable", [POSTGRES, PGBOUNCER])
def test_a_server_that_does_not_answer_is_down_and_its_address_stays_secret(variable: str) -> None:
    """Prometheus' own `up` is what says so: a page without figures would pass for a quiet one."""
    with serving({variable: NOBODY}) as client:
        answer = client.get("/metrics")
        assert answer.status_code == 503
        assert "canary" not in answer.text
        assert list(text_string_to_metric_families(answer.text)) == []
        assert client.get("/healthz").status_code == 200, "it is not the exporter that is down"
        assert client.get("/elsewhere").status_code == 404


def test_values_keep_all_their_digits() -> None:
    readings = [("a", "", 1234567.125), ("b", 'x="1"', 3.0)]
    assert page(readings) == 'a 1234567.125\nb{x="1"} 3.0\n'


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, f"give one of {POSTGRES}, {PGBOUNCER}"),
        ({POSTGRES: NOBODY, PGBOUNCER: NOBODY}, f"give one of {POSTGRES}, {PGBOUNCER}"),
        ({POSTGRES: NOBODY, "POOLDRILL_EXPORTER_PORT": "65536"}, "65536 is no port"),
        ({POSTGRES: NOBODY, "POOLDRILL_EXPORTER_PORT": "-1"}, "-1 is no port"),
    ],
)
def test_bad_settings_are_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exporter_of(environment)


def started(**environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness.recorder.exporter"],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_process_ends_when_it_is_asked_to() -> None:
    port = free_port()
    with started(POOLDRILL_EXPORTER_POSTGRES=NOBODY, POOLDRILL_EXPORTER_PORT=str(port)) as process:

        def answers() -> bool:
            try:
                url = f"http://127.0.0.1:{port}/healthz"
                return httpx.get(url, trust_env=False).status_code == 200
            except httpx.HTTPError:
                return False

        try:
            wait_until("the exporter", answers, timeout_s=20)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_the_process_says_what_it_lacks() -> None:
    with started(POOLDRILL_EXPORTER_POSTGRES="") as process:
        assert process.wait(20) == 2
        assert process.stderr is not None
        assert "POOLDRILL_EXPORTER_POSTGRES" in process.stderr.read()
