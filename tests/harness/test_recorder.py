"""The recorder: on schedule, with what it could not see recorded as such."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import psycopg
import pytest

from harness.incident import DatabaseConfig, PgbouncerConfig
from harness.recorder import DatabaseSampler, MetricPage, Recorder, SampleParts
from harness.recorder.machine import waiting_for_processor_s
from harness.recorder.parts import in_replay_time
from harness.recording import SAMPLES
from harness.stack import EmbeddedPostgres, MetricTarget, Pgbouncer, wait_until
from harness.stack.ports import free_port

INTERVAL_S = 0.1

POOL = 'db_client_connection_pool_name="primary"'
PAGE = """\
# HELP db_client_connection_count Open connections by state.
# TYPE db_client_connection_count gauge
db_client_connection_count{state="used",db_client_connection_pool_name="primary"} 5.0
db_client_connection_count{state="idle",db_client_connection_pool_name="primary"} 2.0
db_client_connection_pending_requests{db_client_connection_pool_name="primary"} 7.0
db_client_connection_max{db_client_connection_pool_name="primary"} +Inf
auth_logins_total{outcome="error",reason="a \\"quoted\\" \\\\ reason"} 3.0
auth_logins_created{outcome="error"} 1.7e+09
python_gc_objects_collected_total{generation="0"} 100.0
process_cpu_seconds_total 1.5
"""


@contextmanager
def serving(answer: Callable[[], bytes | None]) -> Iterator[MetricTarget]:
    """A metrics page; ``answer`` may block, and None closes the connection without a word."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer()
            if body is None:
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield MetricTarget("replica-1", f"http://127.0.0.1:{server.server_address[1]}/metrics")
    finally:
        server.shutdown()
        server.server_close()


def ups(samples: pl.DataFrame, target: str) -> list[float]:
    up = (pl.col("metric") == "up") & (pl.col("target") == target)
    return samples.filter(up)["value"].to_list()


def value(samples: pl.DataFrame, metric: str, labels: str = "") -> float:
    found = samples.filter((pl.col("metric") == metric) & (pl.col("labels") == labels))
    return float(found["value"][-1])


@pytest.mark.parametrize(
    ("text", "waited_s"),
    [
        ("some avg10=1.00 avg60=0.50 avg300=0.10 total=2500000\nfull avg10=0.00 total=7\n", 2.5),
        ("full avg10=0.00 total=7\n", None),
        (None, None),
    ],
)
def test_the_kernel_is_asked_how_long_tasks_waited_for_a_processor(
    text: str | None, waited_s: float | None, tmp_path: Path
) -> None:
    file = tmp_path / "cpu"
    if text is not None:
        file.write_text(text)
    assert waiting_for_processor_s(file) == waited_s


def test_a_page_becomes_samples_with_sorted_labels() -> None:
    page = MetricPage()
    expected = [
        ("db_client_connection_count", POOL + ',state="used"', 5.0),
        ("db_client_connection_count", POOL + ',state="idle"', 2.0),
        ("db_client_connection_pending_requests", POOL, 7.0),
        ("db_client_connection_max", POOL, float("inf")),
        ("auth_logins_total", 'outcome="error",reason="a \\"quoted\\" \\\\ reason"', 3.0),
        ("process_cpu_seconds_total", "", 1.5),
    ]
    assert page.read(PAGE) == expected
    assert page.read(PAGE) == expected, "looked up instead of parsed"


@pytest.mark.parametrize(
    "line", ["auth_x", "auth_x one", 'auth_x{a="b" 1', "auth_x 1 1700000000000"]
)
def test_what_is_no_sample_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the parser's own words
        MetricPage().read(line + "\n")


def test_samples_have_the_recordings_columns_and_replay_time(tmp_path: Path) -> None:
    with (
        serving(lambda: PAGE.encode()) as target,
        Recorder(lambda: [target], directory=tmp_path, interval_s=INTERVAL_S) as recorder,
    ):
        wait_until(
            "five ticks", lambda: len(ups(recorder.samples(0), "replica-1")) >= 5, timeout_s=10
        )
    t0_epoch = recorder.samples(0)["time_s"][0] + 2 * INTERVAL_S
    samples = recorder.samples(t0_epoch)
    assert samples.schema == SAMPLES
    assert value(samples, "db_client_connection_pending_requests", POOL) == 7
    assert value(samples, "scrape_duration_seconds") > 0
    times = samples["time_s"].unique().sort()
    assert times[0] == pytest.approx(-2 * INTERVAL_S)
    gaps = times.diff().drop_nulls()
    # On its grid: whole intervals, more than one only where it says that it missed ticks.
    assert gaps.to_list() == pytest.approx([INTERVAL_S] * len(gaps), abs=0.9 * INTERVAL_S) or (
        value(samples, "recorder_ticks_missed_total") > 0
    )
    assert recorder.problem is None
    pools = recorder.pools()
    assert (pools.pending, pools.used, pools.limit) == (7, 5, None)


def test_a_dead_target_is_down_and_never_missing(tmp_path: Path) -> None:
    dead = MetricTarget("replica-2", f"http://127.0.0.1:{free_port()}/metrics")
    with (
        serving(lambda: PAGE.encode()) as target,
        Recorder(lambda: [target, dead], directory=tmp_path, interval_s=INTERVAL_S) as recorder,
    ):
        wait_until(
            "three ticks and an answer of the other",
            lambda: (
                len(ups(recorder.samples(0), "replica-2")) >= 3
                and 1.0 in ups(recorder.samples(0), "replica-1")
            ),
            timeout_s=10,
        )
    samples = recorder.samples(0)
    assert set(ups(samples, "replica-2")) == {0.0}
    assert len(ups(samples, "replica-2")) == len(ups(samples, "replica-1"))


@pytest.mark.parametrize("answer", [b"<html>busy</html>\nauth_x\n", None])
def test_a_target_that_talks_nonsense_is_down(answer: bytes | None, tmp_path: Path) -> None:
    with (
        serving(lambda: answer) as target,
        Recorder(lambda: [target], directory=tmp_path, interval_s=INTERVAL_S) as recorder,
    ):
        wait_until(
            "two ticks", lambda: len(ups(recorder.samples(0), "replica-1")) >= 2, timeout_s=10
        )
    assert set(ups(recorder.samples(0), "replica-1")) == {0.0}


def test_a_target_that_hangs_delays_nobody(tmp_path: Path) -> None:
    let_go = threading.Event()

    def hang() -> bytes:
        let_go.wait(30)
        return PAGE.encode()

    with serving(hang) as hanging, serving(lambda: PAGE.encode()) as lively:
        targets = [hanging, MetricTarget("replica-2", lively.url)]
        with Recorder(lambda: targets, directory=tmp_path, interval_s=INTERVAL_S) as recorder:
            wait_until(
                "the lively target's ups",
                lambda: ups(recorder.samples(0), "replica-2").count(1.0) >= 5,
                timeout_s=10,
            )
            assert 1.0 not in ups(recorder.samples(0), "replica-1")
            let_go.set()
            wait_until(
                "the other one to recover",
                lambda: 1.0 in ups(recorder.samples(0), "replica-1"),
                timeout_s=10,
            )


def test_missed_ticks_are_counted(tmp_path: Path) -> None:
    """A recorder that could not run must not look like a system in which nothing happened."""
    stalls = iter([threading.Event()])

    def targets() -> list[MetricTarget]:
        for stall in stalls:
            stall.wait(5.5 * INTERVAL_S)
        return []

    with Recorder(targets, directory=tmp_path, interval_s=INTERVAL_S) as recorder:
        wait_until(
            "the missed ticks to be told",
            lambda: (
                (s := recorder.samples(0)).height and value(s, "recorder_ticks_missed_total") >= 4
            ),
            timeout_s=10,
        )


def test_a_failing_tick_is_told_and_not_the_last(tmp_path: Path) -> None:
    def targets() -> list[MetricTarget]:
        raise RuntimeError("no targets today")

    with Recorder(targets, directory=tmp_path, interval_s=INTERVAL_S) as recorder:
        wait_until(
            "two failed ticks",
            lambda: (
                (s := recorder.samples(0)).height and value(s, "recorder_ticks_failed_total") >= 2
            ),
            timeout_s=10,
        )
    assert "no targets today" in (recorder.problem or "")


def test_what_was_sampled_is_on_disk_while_it_runs(tmp_path: Path) -> None:
    """kill -9 must not cost the recording."""
    with (
        serving(lambda: PAGE.encode()) as target,
        Recorder(lambda: [target], directory=tmp_path, interval_s=INTERVAL_S) as recorder,
    ):
        parts = SampleParts(tmp_path)
        wait_until("samples on disk", lambda: not parts.read().is_empty(), timeout_s=10)
        on_disk = in_replay_time(parts.read(), 0.0)
        assert value(on_disk, "db_client_connection_pending_requests", POOL) == 7
    assert in_replay_time(parts.read(), 0.0).equals(recorder.samples(0.0)), "all, once it stopped"
    recorder.discard_parts()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_samples_in_memory(tmp_path: Path) -> None:
    (tmp_path / "samples.parts").write_text("in the way")
    with (
        serving(lambda: PAGE.encode()) as target,
        Recorder(lambda: [target], directory=tmp_path, interval_s=INTERVAL_S) as recorder,
    ):
        wait_until("the problem to be told", lambda: recorder.problem, timeout_s=10)
    assert "stay in memory" in (recorder.problem or "")
    assert len(ups(recorder.samples(0), "replica-1")) >= 5


def test_a_database_that_is_killed_goes_down_and_the_rest_goes_on(tmp_path: Path) -> None:
    config = DatabaseConfig(users=1, max_connections=20)
    server = EmbeddedPostgres.start(config, log=tmp_path / "postgres.log")
    try:
        with (
            serving(lambda: PAGE.encode()) as target,
            Recorder(
                lambda: [target],
                directory=tmp_path,
                monitor_dsn=server.monitor_dsn,
                interval_s=INTERVAL_S,
            ) as recorder,
        ):
            wait_until(
                "the database to be up",
                lambda: 1.0 in ups(recorder.samples(0), "postgres"),
                timeout_s=10,
            )
            server.child.send(signal.SIGKILL)
            wait_until(
                "the database to be down",
                lambda: ups(recorder.samples(0), "postgres")[-2:] == [0.0, 0.0],
                timeout_s=10,
            )
            before = ups(recorder.samples(0), "replica-1").count(1.0)
            wait_until(
                "the replica to be scraped on",
                lambda: ups(recorder.samples(0), "replica-1").count(1.0) > before,
                timeout_s=10,
            )
    finally:
        server.stop()
    samples = recorder.samples(0)
    assert value(samples, "pg_settings_max_connections") == 20
    labels = 'datname="auth",state="active",usename="pooldrill_monitor"'
    assert value(samples, "pg_stat_activity_count", labels) == 1


def test_a_lost_connection_is_renewed(tmp_path: Path, embedded_postgres: EmbeddedPostgres) -> None:
    with Recorder(
        list, directory=tmp_path, monitor_dsn=embedded_postgres.monitor_dsn, interval_s=INTERVAL_S
    ) as recorder:
        wait_until("a sample", lambda: 1.0 in ups(recorder.samples(0), "postgres"), timeout_s=10)
        with psycopg.connect(embedded_postgres.admin_dsn) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'pooldrill-recorder'"
            )
        wait_until(
            "down, then up again",
            lambda: "01" in "".join(f"{up:.0f}" for up in ups(recorder.samples(0), "postgres")),
            timeout_s=10,
        )


def test_an_agent_that_is_refused_is_down_while_the_recorder_sees_on(tmp_path: Path) -> None:
    """An exporter among the ordinary connections goes blind when the service has them all."""
    config = DatabaseConfig(
        users=1, max_connections=12, reserved_connections=3, exporter="ordinary"
    )
    server = EmbeddedPostgres.start(config, log=tmp_path / "postgres.log")
    try:
        with (
            Recorder(
                list,
                directory=tmp_path,
                monitor_dsn=server.monitor_dsn,
                exporter_dsn=server.exporter_dsn,
                interval_s=INTERVAL_S,
            ) as recorder,
            ExitStack() as service,
        ):
            wait_until(
                "the agent to be up",
                lambda: 1.0 in ups(recorder.samples(0), "exporter"),
                timeout_s=10,
            )

            def taken() -> bool:
                """Whether one more connection was refused: the agent's comes and goes."""
                try:
                    service.enter_context(psycopg.connect(server.dsn))
                except psycopg.OperationalError:
                    return ups(recorder.samples(0), "exporter")[-3:] == [0.0] * 3
                return False

            wait_until("the agent to be refused", taken, timeout_s=20)
            assert ups(recorder.samples(0), "postgres")[-1] == 1.0
            service.close()
            wait_until(
                "the agent to be up again",
                lambda: ups(recorder.samples(0), "exporter")[-1] == 1.0,
                timeout_s=10,
            )
    finally:
        server.stop()
    samples = recorder.samples(0)
    of_agent = samples.filter(pl.col("target") == "exporter")
    assert value(of_agent, "pg_settings_max_connections") == 12
    labels = 'datname="auth",state="active",usename="exporter"'
    assert value(of_agent, "pg_stat_activity_count", labels) == 1, "under its own role"


def test_an_agent_connects_for_every_sample(
    tmp_path: Path, embedded_postgres: EmbeddedPostgres
) -> None:
    def sessions() -> set[int]:
        with psycopg.connect(embedded_postgres.admin_dsn) as admin:
            rows = admin.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'exporter'"
            ).fetchall()
        return {pid for (pid,) in rows}

    with closing(
        DatabaseSampler(embedded_postgres.dsn, keep=False, application_name="exporter")
    ) as sampler:
        for _ in range(3):
            assert sampler.sample()
            wait_until("its session to be gone", lambda: not sessions(), timeout_s=5)


def test_a_database_that_takes_long_to_connect_to_is_seen_all_the_same(tmp_path: Path) -> None:
    """Longer than the recorder's usual patience for a connection, which is two seconds."""
    config = DatabaseConfig(users=1, max_connections=20, connect_delay_s=3)
    server = EmbeddedPostgres.start(config, log=tmp_path / "postgres.log")
    try:
        server.slow_down_connecting()
        with Recorder(
            list, directory=tmp_path, monitor_dsn=server.monitor_dsn, interval_s=INTERVAL_S
        ) as recorder:
            wait_until(
                "the database to be up",
                lambda: 1.0 in ups(recorder.samples(0), "postgres"),
                timeout_s=10,
            )
    finally:
        server.stop()


@pytest.mark.pgbouncer
def test_pgbouncer_is_a_target_of_its_own(
    tmp_path: Path, embedded_postgres: EmbeddedPostgres
) -> None:
    server = Pgbouncer.start(PgbouncerConfig(), embedded_postgres.dsn, logs=tmp_path / "logs")
    try:
        with Recorder(
            list, directory=tmp_path, pgbouncer_dsn=server.console_dsn, interval_s=INTERVAL_S
        ) as recorder:
            wait_until(
                "PgBouncer to be up",
                lambda: ups(recorder.samples(0), "pgbouncer").count(1.0) >= 8,
                timeout_s=10,
            )
            server.child.expect_end()
            server.child.send(signal.SIGKILL)
            wait_until(
                "PgBouncer to be down",
                lambda: ups(recorder.samples(0), "pgbouncer")[-2:] == [0.0, 0.0],
                timeout_s=10,
            )
    finally:
        server.stop()
    samples = recorder.samples(0)
    pool = 'database="auth",user="auth"'
    assert value(samples, "pgbouncer_pools_client_waiting_connections", pool) == 0
    assert value(samples, "pgbouncer_pools_server_idle_connections", pool) == 1
    assert value(samples, "scrape_duration_seconds") > 0
    assert recorder.problem is None


def test_its_threads_end_with_it(tmp_path: Path) -> None:
    recorder = Recorder(list, directory=tmp_path, interval_s=INTERVAL_S).start()
    recorder.stop()
    recorder.stop()
    assert not any(thread.name.startswith("recorder") for thread in threading.enumerate())
