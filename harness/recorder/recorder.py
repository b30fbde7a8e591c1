"""A thread that looks at every part once a second, on schedule, and says what it missed."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Protocol

import httpx
import polars as pl
import psycopg

from harness.recorder.database import DatabaseSampler
from harness.recorder.exposition import MetricPage, Reading
from harness.recorder.machine import waiting_for_processor_s
from harness.recorder.parts import Row, SampleParts, frame, in_replay_time
from harness.recorder.pgbouncer import PgbouncerSampler
from harness.stack import MetricTarget

DATABASE_TARGET = "postgres"
EXPORTER_TARGET = "exporter"
PGBOUNCER_TARGET = "pgbouncer"
RECORDER_TARGET = "recorder"
MACHINE_TARGET = "machine"
INTERVAL_S = 1.0
STORE_EVERY_TICKS = 5
MOST_TARGETS = 32

WAITING = "node_pressure_cpu_waiting_seconds_total"
"""As node_exporter calls it."""

SeriesKey = tuple[str, str, str]
"""Target, metric, labels."""


@dataclass(frozen=True, slots=True)
class Pools:
    """All replicas' pools together, as of the last tick; None where nobody told."""

    pending: int | None
    used: int | None
    limit: int | None
    """None also where a pool has no limit."""


class Sampler(Protocol):
    """Something that is asked over a connection of its own."""

    def sample(self) -> list[Reading]:
        """Its present figures; raises `psycopg.Error` when it does not answer."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class Recorder:
    """Samples all metric targets and the database each ``interval_s``, from `start` to `stop`.

    ``targets`` is asked at every tick, so a replica that moved is followed. ``exporter_dsn`` is how
    a monitoring agent would see the database: it connects for every sample, and may be refused.
    ``pgbouncer_dsn`` is PgBouncer's console. All rows of a tick bear the instant at which it began.
    Besides what the parts say, each tick writes

    * ``up`` for every target: 1, or 0 when it did not answer in time or not in the text format;
    * ``scrape_duration_seconds`` for every target that answered;
    * ``recorder_ticks_missed_total`` and ``recorder_ticks_failed_total`` for the recorder;
    * ``node_pressure_cpu_waiting_seconds_total`` for the machine, where its kernel tells.

    A target that hangs costs its own samples only: it is asked again when it has given up.
    """

    def __init__(
        self,
        targets: Callable[[], Iterable[MetricTarget]],
        *,
        directory: Path,
        monitor_dsn: str | None = None,
        exporter_dsn: str | None = None,
        pgbouncer_dsn: str | None = None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._targets = targets
        self._interval_s = interval_s
        self._timeout_s = 0.8 * interval_s
        self._parts = SampleParts(directory)
        self._page = MetricPage()
        self._samplers: dict[str, Sampler] = {}
        if monitor_dsn:
            self._samplers[DATABASE_TARGET] = DatabaseSampler(monitor_dsn)
        if exporter_dsn:
            self._samplers[EXPORTER_TARGET] = DatabaseSampler(
                exporter_dsn, keep=False, application_name=EXPORTER_TARGET
            )
        if pgbouncer_dsn:
            self._samplers[PGBOUNCER_TARGET] = PgbouncerSampler(pgbouncer_dsn)
        self._client = httpx.Client(
            timeout=self._timeout_s,
            trust_env=False,
            headers={"Accept": "text/plain; version=0.0.4"},
        )
        self._pool = ThreadPoolExecutor(MOST_TARGETS, thread_name_prefix="recorder-scrape")
        self._busy: dict[str, Future[list[Reading]]] = {}
        self._rows: list[Row] = []
        self._rows_lock = threading.Lock()
        self._latest: Mapping[SeriesKey, float] = {}
        self._missed = 0
        self._failed = 0
        self._problem: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        # Wall time is read once: a clock that is set during a run must not bend its samples.
        self._epoch_at_zero = time.time() - time.monotonic()

    def start(self) -> Recorder:
        """Begin; the first tick is at once."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End after the tick that is under way; what is in memory goes to disk."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._store()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._client.close()
        for sampler in self._samplers.values():
            sampler.close()

    def __enter__(self) -> Recorder:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def problem(self) -> str | None:
        """What last went wrong with the recorder itself (a full disk, a defect); None: nothing."""
        return self._problem

    def latest(self) -> Mapping[SeriesKey, float]:
        """The last tick: (target, metric, labels) to value."""
        return self._latest

    def pools(self) -> Pools:
        """The last tick's pool gauges, summed over the replicas."""
        latest = self._latest

        def total(metric: str, label: str = "") -> int | None:
            found = [
                v for (_, name, labels), v in latest.items() if name == metric and label in labels
            ]
            return int(sum(found)) if found and math.isfinite(sum(found)) else None

        return Pools(
            pending=total("db_client_connection_pending_requests"),
            used=total("db_client_connection_count", 'state="used"'),
            limit=total("db_client_connection_max"),
        )

    def samples(self, t0_epoch: float) -> pl.DataFrame:
        """All samples so far as `samples.parquet` has them, in seconds since ``t0_epoch``."""
        with self._rows_lock:
            return in_replay_time(pl.concat([self._parts.read(), frame(self._rows)]), t0_epoch)

    def discard_parts(self) -> None:
        """Remove the growing files, once `samples` was written as a whole."""
        self._parts.discard()

    # -- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        due = time.monotonic()
        tick = 0
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            began = time.monotonic()
            try:
                rows = self._tick(self._epoch_at_zero + began)
            except Exception as error:  # noqa: BLE001 - one bad tick must not end the recording
                self._failed += 1
                self._problem = f"a tick failed: {error!r}"
                rows = []
            rows += self._about_itself(self._epoch_at_zero + began)
            with self._rows_lock:
                self._rows += rows
            self._latest = MappingProxyType({(t, m, ls): value for _, t, m, ls, value in rows})
            tick += 1
            if tick % STORE_EVERY_TICKS == 0:
                self._store()
            due += self._interval_s
            missed = int(max(0.0, time.monotonic() - due) / self._interval_s)
            self._missed += missed
            due += missed * self._interval_s

    def _tick(self, epoch_s: float) -> list[Row]:
        asked: dict[str, Future[list[Reading]]] = {}
        targets = tuple(self._targets())
        names = [target.name for target in targets]
        for target in targets:
            if self._is_free(target.name):
                asked[target.name] = self._pool.submit(self._scrape, target.url)
        for name, sampler in self._samplers.items():
            names.append(name)
            if self._is_free(name):
                asked[name] = self._pool.submit(self._sample, sampler)
        self._busy.update(asked)
        wait(asked.values(), timeout=self._timeout_s)
        rows: list[Row] = []
        for name in names:
            future = asked.get(name)
            readings = future.result() if future is not None and future.done() else []
            if not readings:
                rows.append((epoch_s, name, "up", "", 0.0))
                continue
            rows.append((epoch_s, name, "up", "", 1.0))
            rows += [(epoch_s, name, *reading) for reading in readings]
        return rows

    def _is_free(self, name: str) -> bool:
        busy = self._busy.get(name)
        return busy is None or busy.done()

    def _scrape(self, url: str) -> list[Reading]:
        """What a page says; empty when it does not."""
        began = time.monotonic()
        try:
            response = self._client.get(url)
            response.raise_for_status()
            readings = self._page.read(response.text)
        except (httpx.HTTPError, ValueError):
            return []
        return [*readings, ("scrape_duration_seconds", "", time.monotonic() - began)]

    def _sample(self, sampler: Sampler) -> list[Reading]:
        began = time.monotonic()
        try:
            readings = sampler.sample()
        except psycopg.Error:
            return []
        return [*readings, ("scrape_duration_seconds", "", time.monotonic() - began)]

    def _about_itself(self, epoch_s: float) -> list[Row]:
        rows = [
            (epoch_s, RECORDER_TARGET, "recorder_ticks_missed_total", "", float(self._missed)),
            (epoch_s, RECORDER_TARGET, "recorder_ticks_failed_total", "", float(self._failed)),
        ]
        waiting_s = waiting_for_processor_s()
        if waiting_s is not None:
            rows.append((epoch_s, MACHINE_TARGET, WAITING, "", waiting_s))
        return rows

    def _store(self) -> None:
        with self._rows_lock:
            if not self._rows:
                return
            try:
                self._parts.append(self._rows)
            except OSError as error:
                self._problem = f"samples stay in memory: {error.strerror or error}"
                return
            self._rows = []
