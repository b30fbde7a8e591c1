"""The load processes: started, made ready, set going at one instant, watched and ended."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

from harness.errors import InfrastructureError, UsageError
from harness.incident import ClientPolicy
from harness.load.attempts import read_attempts
from harness.load.target import refuse_foreign_target
from harness.recording import write_text
from harness.stack.process import Child, wait_until

SHARD_RATE_PER_S = 1000.0
"""What one process and one core carry with a start lag below 5 ms: `benchmarks/load_driver.py`."""

LEAD_S = 0.25
"""How far ahead of now t0 must lie: the processes look for it every 10 ms, and some slack."""

ARRIVALS_FILE = "arrivals.csv"
FLAGS_FILE = "flags.json"
END_SLACK_S = 0.5


@dataclass(frozen=True, slots=True)
class LoadStatus:
    """Where the load stands, as of the last second; counts are sums over the processes.

    ``offered`` arrivals were due, ``sent`` of them made their first attempt, ``ok`` succeeded;
    ``in_flight`` attempts wait for an answer. ``start_lag_p99_s`` is that of the worst process:
    how late first attempts were sent, None before there was one.
    """

    offered: int = 0
    sent: int = 0
    ok: int = 0
    in_flight: int = 0
    start_lag_p99_s: float | None = None


def suggested_shards(peak_rate_per_s: float) -> int:
    """How many processes a peak rate of *attempts* (retries included) needs; at least 1."""
    return max(1, math.ceil(peak_rate_per_s / SHARD_RATE_PER_S))


def _client_json(client: ClientPolicy) -> str:
    # Field by field: an incident file's own form of the policy speaks of "10s", not of 10.
    return json.dumps({name: getattr(client, name) for name in ClientPolicy.model_fields})


@dataclass(frozen=True)
class _Shard:
    child: Child
    output: Path
    status: Path

    def read_status(self) -> dict[str, Any]:
        try:
            status = json.loads(self.status.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return status if isinstance(status, dict) else {}


class LoadRun:
    """The processes that play ``arrivals`` against ``target``; a context manager.

    Entering it starts ``shards`` processes; `wait_ready` returns when all of them only wait for
    t0; `start` names it; they end by themselves at replay second ``end_s``. Leaving it stops
    whatever is left. ``directory`` receives what they read and write.

    Raises TargetRefusedError for a target that is neither loopback nor in ``allowed_hosts``,
    UsageError for an arrival that would be due after the end.
    """

    def __init__(
        self,
        arrivals: pl.DataFrame,
        *,
        target: str,
        client: ClientPolicy,
        seed: int,
        end_s: float,
        directory: Path,
        shards: int = 1,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        refuse_foreign_target(target, allowed_hosts)
        if shards < 1:
            raise UsageError(f"{shards} load processes: at least one is needed")
        last_s = arrivals["intended_s"].max()
        if isinstance(last_s, float) and last_s > end_s:
            raise UsageError(
                f"an arrival is due at {last_s:g} s, after the load's end ({end_s:g} s)"
            )
        self.end_s = end_s
        self.directory = directory
        self.t0_epoch: float | None = None
        self._arrivals = arrivals
        self._shards: list[_Shard] = []
        self._t0_file = directory / "t0"
        self._flags_file = directory / FLAGS_FILE
        self._count = shards
        self._environment = {
            **os.environ,
            "POOLDRILL_ARRIVALS": str(directory / ARRIVALS_FILE),
            "POOLDRILL_TARGET": target,
            "POOLDRILL_T0_FILE": str(self._t0_file),
            "POOLDRILL_FLAGS": str(self._flags_file),
            "POOLDRILL_END_S": repr(float(end_s)),
            "POOLDRILL_CLIENT": _client_json(client),
            "POOLDRILL_SEED": str(seed),
            "POOLDRILL_SHARDS": str(shards),
            "POOLDRILL_EXIT_WITH_STDIN": "1",
        }

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._t0_file.unlink(missing_ok=True)
        self._flags_file.unlink(missing_ok=True)
        schedule = self._arrivals.select(
            "arrival", "user", "intended_s", "address", pl.col("wrong_password").cast(pl.UInt8)
        )
        (self.directory / ARRIVALS_FILE).write_text(schedule.write_csv(), "utf-8")
        try:
            self._shards.extend(self._launch(number) for number in range(self._count))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def children(self) -> tuple[Child, ...]:
        """The processes, in the order of their shards."""
        return tuple(shard.child for shard in self._shards)

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Return when every process has loaded its schedule and waits for t0.

        Raises PartStartError with the end of the log when one dies or takes longer.
        """
        wait_until(
            "the load processes to be ready",
            lambda: all(shard.read_status().get("state") == "ready" for shard in self._shards),
            timeout_s=timeout_s,
            watching=self.children,
        )

    def start(self, t0_epoch: float) -> None:
        """Name the wall-clock second that is replay time 0, for all processes at once.

        Raises UsageError when it is less than a quarter of a second away, or was named already.
        """
        if self.t0_epoch is not None:
            raise UsageError("the load has been started already")
        ahead_s = t0_epoch - time.time()
        if ahead_s < LEAD_S:
            raise UsageError(f"t0 lies {ahead_s:.3f} s ahead; the load needs {LEAD_S:g} s")
        self.t0_epoch = t0_epoch
        write_text(self._t0_file, repr(float(t0_epoch)))

    def pause_retries(self) -> None:
        """Within about a quarter of a second no client tries again: what it met last stands."""
        self._write_flags(retries=False)

    def resume_retries(self) -> None:
        """Let clients try again; arrivals that gave up meanwhile stay given up."""
        self._write_flags(retries=True)

    def status(self) -> LoadStatus:
        """Where the load stands; all zero before its first second."""
        found = [status for shard in self._shards if (status := shard.read_status())]
        lags = [lag for status in found if (lag := status["start_lag_p99_s"]) is not None]
        return LoadStatus(
            offered=sum(status["offered"] for status in found),
            sent=sum(status["sent"] for status in found),
            ok=sum(status["ok"] for status in found),
            in_flight=sum(status["in_flight"] for status in found),
            start_lag_p99_s=max(lags, default=None),
        )

    def poll(self) -> None:
        """Raise InfrastructureError, with the end of the log, for a process that died early.

        Exit code 0 before the end is early as well: somebody else ended it, and the rest of its
        arrivals was not played.
        """
        end_epoch = math.inf if self.t0_epoch is None else self.t0_epoch + self.end_s
        early = time.time() < end_epoch - END_SLACK_S
        for child in self.children:
            if child.died_unexpectedly() and (child.returncode != 0 or early):
                raise InfrastructureError(child.describe_death())

    def wait(self, timeout_s: float) -> None:
        """Return when all processes have ended by themselves.

        Raises InfrastructureError when one dies early, or is there after ``timeout_s`` seconds.
        """

        def ended() -> bool:
            self.poll()
            return not any(child.alive() for child in self.children)

        wait_until(
            "the load to end",
            ended,
            timeout_s=timeout_s,
            error=InfrastructureError,
        )
        self.stop()

    def stop(self, within_s: float = 3.0) -> None:
        """Ask the processes to end at once, kill those that do not. May be called again."""
        for child in self.children:
            child.expect_end()
            child.send(child.stop_signal)  # to all before waiting for one
        for child in self.children:
            child.stop(within_s)

    def requests(self) -> pl.DataFrame:
        """All attempts (`harness.recording.REQUESTS`), also of processes that were killed."""
        return read_attempts(shard.output for shard in self._shards)

    def _write_flags(self, *, retries: bool) -> None:
        write_text(self._flags_file, json.dumps({"retries": retries}) + "\n")

    def _launch(self, number: int) -> _Shard:
        output = self.directory / f"attempts-{number}.csv"
        status = self.directory / f"status-{number}.json"
        output.unlink(missing_ok=True)
        status.unlink(missing_ok=True)
        child = Child(
            f"load-{number}",
            [sys.executable, "-m", "scenarios.login_surge"],
            log=self.directory / f"load-{number}.log",
            env={
                **self._environment,
                "POOLDRILL_SHARD": str(number),
                "POOLDRILL_OUTPUT": str(output),
                "POOLDRILL_STATUS": str(status),
            },
            hold_stdin=True,
        )
        return _Shard(child, output, status)
