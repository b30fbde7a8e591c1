"""What every load has in common: what it is told, and what becomes of it."""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

from harness.errors import InfrastructureError, UsageError
from harness.incident import ClientPolicy
from harness.load.attempts import read_attempts
from harness.load.status import LoadStatus, merged_status
from harness.load.target import refuse_foreign_target
from harness.stack.process import Child, wait_until
from harness.writing import write_text

LEAD_S = 0.25
"""How far ahead of now t0 must lie: the processes look for it every 10 ms, and some slack."""

ARRIVALS_FILE = "arrivals.csv"
FLAGS_FILE = "flags.json"
END_SLACK_S = 0.5


def _client_json(client: ClientPolicy) -> str:
    # Field by field: an incident file's own form of the policy speaks of "10s", not of 10.
    return json.dumps({name: getattr(client, name) for name in ClientPolicy.model_fields})


class Load(ABC):
    """Whatever plays ``arrivals`` against ``target`` in ``shards`` parts; a context manager.

    Entering it starts its processes; `wait_ready` returns when all of them only wait for t0;
    `start` names it; they end by themselves at replay second ``end_s``. Leaving it stops whatever
    is left. ``directory`` receives what they read and write.

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
        self.shards = shards
        self.t0_epoch: float | None = None
        self._arrivals = arrivals
        self._t0_file = directory / "t0"
        self._flags_file = directory / FLAGS_FILE
        self._environment = {
            **os.environ,
            "POOLDRILL_ARRIVALS": str(directory / ARRIVALS_FILE),
            "POOLDRILL_TARGET": target,
            "POOLDRILL_T0_FILE": str(self._t0_file),
            "POOLDRILL_FLAGS": str(self._flags_file),
            "POOLDRILL_END_S": repr(float(end_s)),
            "POOLDRILL_CLIENT": _client_json(client),
            "POOLDRILL_SEED": str(seed),
            "POOLDRILL_EXIT_WITH_STDIN": "1",
        }

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._t0_file.unlink(missing_ok=True)
        self._flags_file.unlink(missing_ok=True)
        for number in range(self.shards):
            self._output(number).unlink(missing_ok=True)
            self._status(number).unlink(missing_ok=True)
        schedule = self._arrivals.select(
            "arrival", "user", "intended_s", "address", pl.col("wrong_password").cast(pl.UInt8)
        )
        (self.directory / ARRIVALS_FILE).write_text(schedule.write_csv(), "utf-8")
        try:
            self._launch()
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
    @abstractmethod
    def children(self) -> tuple[Child, ...]:
        """The processes of this machine."""

    @property
    def awaits(self) -> str:
        """What has to be done elsewhere before it can be ready; empty for nothing."""
        return ""

    @abstractmethod
    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Return when everything has loaded its schedule and waits for t0.

        Raises PartStartError with the end of the log when a process dies or takes longer.
        """

    @abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """How it is played, for ``environment.json``."""

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
        return merged_status(map(self._status, range(self.shards)))

    @abstractmethod
    def poll(self) -> None:
        """Raise an InfrastructureError when the load cannot go on."""

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
        return read_attempts(map(self._output, range(self.shards)))

    @abstractmethod
    def _launch(self) -> None:
        """Start the processes."""

    def _output(self, number: int) -> Path:
        return self.directory / f"attempts-{number}.csv"

    def _status(self, number: int) -> Path:
        return self.directory / f"status-{number}.json"

    def _write_flags(self, *, retries: bool) -> None:
        write_text(self._flags_file, json.dumps({"retries": retries}) + "\n")
