"""A run, put together. This is the only place where everything meets.

The life of a run, as `run_incident` carries it out:

1. The definition is complete: incident, seed, time map, arrivals. Nothing has been started.
2. The run directory is made and the definition written (first save).
3. The stack comes up: PostgreSQL, accounts, replicas, gateway, Prometheus where there is one.
4. The recorder begins to scrape; the load processes load their schedule and report ready.
5. t0 is set. From here on replay time runs: load by its schedule, the responder by the timeline.
   A part that dies is recorded. The run goes on without a replica, and ends early without a
   part that nothing works without.
6. The load drains; what is still in flight is counted as such.
7. The database is asked who has a session. Tables are written, ``run.json`` says how it ended
   (second save). This happens on every way out: the end, a signal, a failure.
8. The stack goes down, the load before the gateway, the database last.
9. Where there is a Prometheus, it evaluates our alert rules over the recording (``alerts.jsonl``).
10. The recording is read back from disk and judged; verdict and reports are written (third save).

Steps 1 to 8 are `record`, step 9 is the alert lab's; step 10 is in `harness.conclude`, which
`pooldrill judge` calls alone.
"""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

from harness.alerts.evaluating import evaluate_run
from harness.conclude import judge_directory, write_reports
from harness.errors import (
    EvaluationError,
    InfrastructureError,
    Interrupted,
    PartDiedError,
    PooldrillError,
    UsageError,
)
from harness.incident import FailOver, Incident, RaiseMaxConnections
from harness.load import (
    Load,
    LoadRun,
    Workers,
    WorkersRun,
    compile_arrivals,
    expected_arrivals,
    rate_segments,
    suggested_shards,
)
from harness.progress import LiveStatus, Watch
from harness.recorder import Recorder
from harness.recording import (
    REQUESTS,
    SAMPLES,
    SESSIONS,
    EventState,
    Recording,
    RecordingWriter,
    RunInfo,
    RunSource,
    Status,
    TimelineEvent,
)
from harness.responder import Responder, plan
from harness.stack import Stack
from harness.stack.interrupts import signals_interrupt
from harness.stack.ports import LOOPBACK
from harness.stack_kinds import is_ours, known
from harness.timemap import TimeMap, build_timemap
from harness.verdicts import Verdict
from harness.writing import unwritable

TICK_S = 0.1
POOL_METRICS = "db_client_connection_(count|max|pending_requests|timeouts_total)"
"""What is kept of Prometheus' own samples: enough to hold the recorder against it."""

DISK_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})
"""What a place that cannot take more is reported as."""

FAR_S = 3600.0
"""Events before t0 is known are dated as if it lay this far after the beginning."""

LEAD_S = 0.5
"""Between the load's being ready and t0: time for every process to see t0 before it comes."""


@dataclass(frozen=True)
class RunPlan:
    """Everything a run needs to be told. ``out`` is the folder in which its directory is made."""

    incident: Incident
    seed: int = 1
    full_length: bool = False
    postgres: str = "embedded"
    out: Path = Path("runs")
    prometheus: bool = True
    load_processes: int | None = None
    load_workers: Workers | None = None
    allowed_host: str | None = None
    allow_tables: bool = False
    watch: Watch = field(default=lambda status: None)


@dataclass(frozen=True)
class Prepared:
    """A run that is defined and has its directory, and of which nothing has been started."""

    run: RunPlan
    timemap: TimeMap
    arrivals: pl.DataFrame
    writer: RecordingWriter


def run_incident(run: RunPlan) -> tuple[Recording, Verdict]:
    """Replay an incident and judge it; see this module's docstring for the steps.

    Raises UsageError before anything was made, RunDirectoryError, InfrastructureError when a part
    does not come up, PartDiedError, Interrupted after a signal. Once the directory exists, what
    was recorded is kept and judged, marked partial, and the error's remedy names the directory.
    """
    prepared = prepare(run)
    directory = prepared.writer.directory
    try:
        record(prepared)
    except PooldrillError as error:
        error.remedy = f"{error.remedy} What was recorded is kept in {directory}.".strip()
        with suppress(PooldrillError):
            write_reports(*judge_directory(directory))
        raise
    _evaluate_rules(run, directory)
    recording, verdict = judge_directory(directory)
    write_reports(recording, verdict)
    return recording, verdict


def _evaluate_rules(run: RunPlan, directory: Path) -> None:
    """Step 9; without a Prometheus there is no ``alerts.jsonl``, and every report says so."""
    run.watch(LiveStatus("evaluating rules"))
    try:
        with signals_interrupt(), suppress(EvaluationError):
            evaluate_run(directory)
    except Interrupted as error:
        error.remedy = f"The recording is whole: `pooldrill alerts evaluate {directory}`."
        raise


def prepare(run: RunPlan) -> Prepared:
    """Steps 1 and 2: the definition, on disk; nothing has been started."""
    timemap = build_timemap(run.incident, full_length=run.full_length)
    incident = run.incident
    _refuse_what_needs_our_database(run)
    segments = rate_segments(incident, timemap)
    # Each arrival is another user (six standard deviations of room): a user who returns would
    # blur who was affected.
    expected = expected_arrivals(segments)
    users = max(incident.database.users, math.ceil(expected + 6 * math.sqrt(expected)))
    arrivals = compile_arrivals(
        segments, seed=run.seed, users=users, arrivals=incident.load.arrivals
    )
    if users != incident.database.users:
        database = incident.database.model_copy(update={"users": users})
        incident = incident.model_copy(update={"database": database})
    source: RunSource = "full-length" if run.full_length else "replay"
    info = RunInfo(incident=incident.name, seed=run.seed, source=source)
    writer = RecordingWriter(run.out / _directory_name(incident, run.seed), info, incident)
    writer.table("arrivals", arrivals)
    writer.environment({})  # until the stack can tell
    return Prepared(replace(run, incident=incident), timemap, arrivals, writer)


def _refuse_what_needs_our_database(run: RunPlan) -> None:
    needs = [e.do for e in run.incident.timeline if isinstance(e, RaiseMaxConnections | FailOver)]
    if not is_ours(known(run.postgres)) and needs:
        raise UsageError(
            f"{run.incident.name} restarts the database ({', '.join(needs)}), which is not ours",
            remedy="Run it with --stack embedded, or --stack docker.",
        )


def record(prepared: Prepared) -> None:
    """Steps 3 to 8: from nothing running to nothing running, with everything measured on disk."""
    try:
        with signals_interrupt(), closing(prepared.writer):
            _Recording(prepared).carry_out()
    except OSError as error:
        # The parts write into the run directory as well: their logs, the load's attempts.
        if error.errno in DISK_ERRNOS:
            raise unwritable(prepared.writer.directory, error) from error
        raise


class _Recording:
    """Steps 3 to 8 of one run: the state that lives as long as the stack."""

    def __init__(self, prepared: Prepared) -> None:
        self._run = prepared.run
        self._timemap = prepared.timemap
        self._arrivals = prepared.arrivals
        self._writer = prepared.writer
        self._began_epoch = time.time()
        self._t0_epoch: float | None = None
        self._stack: Stack | None = None
        self._reported_dead: set[str] = set()

    def carry_out(self) -> None:
        """Whatever happens, the recording is written before the stack goes, and says how it ended.

        Any other exception than ours is recorded as well, and passes through.
        """
        load: Load | None = None
        recorder: Recorder | None = None
        why = ""
        with ExitStack() as parts:
            try:
                stack = self._start_stack(parts)
                recorder = parts.enter_context(self._recorder(stack))
                load = parts.enter_context(self._load(stack))
                self._writer.environment({**stack.environment(), "load": load.describe()})
                self._replay(stack, recorder, load)
            except BaseException as error:
                why = f"{type(error).__name__}: {error}"
                if isinstance(error, PooldrillError):
                    why = error.message
                raise
            finally:
                self._run.watch(LiveStatus("saving"))
                if load is not None:
                    load.stop()
                self._save(load, recorder, why)
                self._run.watch(LiveStatus("stopping"))

    def _start_stack(self, parts: ExitStack) -> Stack:
        self._run.watch(LiveStatus("starting"))
        incident, workers = self._run.incident, self._run.load_workers
        stack = parts.enter_context(
            Stack.start(
                incident.service,
                incident.gateway,
                incident.database,
                directory=self._writer.directory / "logs",
                pgbouncer=incident.pgbouncer,
                prometheus=self._run.prometheus,
                postgres=self._run.postgres,
                allowed_host=self._run.allowed_host,
                allow_tables=self._run.allow_tables,
                gateway_host=workers.address if workers else LOOPBACK,
                on_event=self._lifecycle,
            )
        )
        self._stack = stack
        self._writer.environment(stack.environment())
        return stack

    def _recorder(self, stack: Stack) -> Recorder:
        return Recorder(
            stack.metric_targets,
            directory=self._writer.directory,
            monitor_dsn=stack.postgres.monitor_dsn,
            exporter_dsn=stack.exporter_dsn,
            pgbouncer_dsn=stack.pgbouncer_dsn,
        )

    def _load(self, stack: Stack) -> Load:
        policy = self._run.incident.load.client
        peak = max(phase.rate_per_s for phase in self._run.incident.load.phases)
        workers = self._run.load_workers
        processes = self._run.load_processes or suggested_shards(peak * policy.attempts)
        kind = (
            partial(LoadRun, shards=processes)
            if workers is None
            # Who vouches for the address was asked when it became the master's.
            else partial(
                WorkersRun,
                workers=workers,
                allowed_hosts=[workers.address],
                on_event=self._lifecycle,
            )
        )
        return kind(
            self._arrivals,
            target=stack.url,
            client=policy,
            seed=self._run.seed,
            end_s=self._end_s,
            directory=self._writer.directory / "logs" / "load",
        )

    @property
    def _end_s(self) -> float:
        return self._timemap.replay_length_s + self._run.incident.replay.drain_s

    def _replay(self, stack: Stack, recorder: Recorder, load: Load) -> None:
        """Steps 5 and 6."""
        if load.awaits:
            self._run.watch(LiveStatus(load.awaits))
        load.wait_ready()
        t0_epoch = time.time() + LEAD_S
        self._t0_epoch = t0_epoch
        load.start(t0_epoch)  # before all else: a busy disk may take longer than t0 is away
        self._writer.update(replace(self._writer.info, t0_epoch=t0_epoch))
        with Responder(
            plan(self._run.incident, self._timemap),
            stack,
            load,
            clock=self._clock,
            emit=self._writer.event,
        ) as responder:
            while (now_s := self._clock()) < self._end_s:
                responder.play_due()
                self._note_deaths(stack)
                load.poll()
                self._report_progress(responder, recorder, load)
                wake_s = min(now_s + TICK_S, self._end_s, responder.next_s() or self._end_s)
                time.sleep(max(0.0, wake_s - self._clock()))
            responder.finish(timeout_s=10.0)
        load.wait(timeout_s=10.0)

    def _note_deaths(self, stack: Stack) -> None:
        """Record each part that died; end the run where nothing works without it."""
        for part, why in stack.dead_parts():
            if part not in self._reported_dead:
                self._reported_dead.add(part)
                self._lifecycle("part-died", "at", {"part": part, "why": why})
                if part in ("postgres", "gateway", "pgbouncer"):
                    raise PartDiedError(f"{part} died during the run: {why}")

    def _save(self, load: Load | None, recorder: Recorder | None, why: str) -> None:
        """Step 7: every table is written, with what there is."""
        writer = self._writer
        end_s = self._clock() if self._t0_epoch is not None else None
        if recorder is not None:
            recorder.stop()
        requests = pl.DataFrame(schema=REQUESTS) if load is None else load.requests()
        samples, sessions = pl.DataFrame(schema=SAMPLES), pl.DataFrame(schema=SESSIONS)
        if recorder is not None:
            samples = recorder.samples(self._t0_epoch or time.time())
        if self._stack is not None and self._t0_epoch is not None:
            # The database may be what died: then nobody is on record as logged in.
            with suppress(psycopg.Error):
                sessions = self._stack.sessions()
        self._save_prometheus()
        writer.table("requests", requests)
        writer.table("samples", samples)
        writer.table("sessions", sessions)
        if recorder is not None:
            recorder.discard_parts()
        status: Status = "partial" if why else "complete"
        writer.update(replace(writer.info, status=status, why=why, end_s=end_s))

    def _save_prometheus(self) -> None:
        """What Prometheus saw of the pools, where one ran and still answers."""
        prometheus = self._stack.prometheus if self._stack else None
        if prometheus is None or self._t0_epoch is None:
            return
        with suppress(InfrastructureError):  # without its table, the check that needs it is invalid
            scraped = prometheus.raw_samples(
                POOL_METRICS, t0_epoch=self._t0_epoch, seconds=self._clock() + 60.0
            )
            self._writer.table("prometheus", scraped)

    def _clock(self) -> float:
        """Replay second; negative before t0, when everything is still being made ready."""
        return time.time() - (self._t0_epoch or self._began_epoch + FAR_S)

    def _lifecycle(self, name: str, state: EventState, detail: Mapping[str, Any]) -> None:
        self._writer.event(TimelineEvent(self._clock(), "lifecycle", name, state, detail))

    def _report_progress(self, responder: Responder, recorder: Recorder, load: Load) -> None:
        status = load.status()
        pools = recorder.pools()
        self._run.watch(
            LiveStatus(
                "replaying",
                elapsed_s=self._clock(),
                end_s=self._end_s,
                phase=responder.phase,
                offered=status.offered,
                sent=status.sent,
                ok=status.ok,
                in_flight=status.in_flight,
                waiters=pools.pending,
                used=pools.used,
                limit=pools.limit,
            )
        )


def _directory_name(incident: Incident, seed: int) -> str:
    utc = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{utc}-{incident.name}-{seed}"
