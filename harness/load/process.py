"""Load by processes of this machine that need no master: the files are all they share."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import Any

from harness.errors import InfrastructureError
from harness.load.load import END_SLACK_S, Load
from harness.load.status import read_status
from harness.stack.process import Child, wait_until

SHARD_RATE_PER_S = 1000.0
"""What one process and one core carry with a start lag below 5 ms: `benchmarks/load_driver.py`."""

READY_WITHIN_S = 30.0


def suggested_shards(peak_rate_per_s: float) -> int:
    """How many processes a peak rate of *attempts* (retries included) needs; at least 1."""
    return max(1, math.ceil(peak_rate_per_s / SHARD_RATE_PER_S))


class LoadRun(Load):
    """A `Load` of ``shards`` processes, each of which plays its share of the arrivals."""

    _processes: tuple[Child, ...] = ()

    @property
    def children(self) -> tuple[Child, ...]:
        """The processes, in the order of their shards."""
        return self._processes

    def describe(self) -> Mapping[str, Any]:
        """How many processes play it."""
        return {"processes": self.shards}

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Return when every process has loaded its schedule and waits for t0.

        Raises PartStartError with the end of the log when one dies or takes longer than
        ``timeout_s`` seconds (30 without).
        """
        wait_until(
            "the load processes to be ready",
            lambda: all(
                read_status(self._status(number)).get("state") == "ready"
                for number in range(self.shards)
            ),
            timeout_s=timeout_s or READY_WITHIN_S,
            watching=self.children,
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

    def _launch(self) -> None:
        for number in range(self.shards):
            self._processes += (
                Child(
                    f"load-{number}",
                    [sys.executable, "-m", "scenarios.login_surge"],
                    log=self.directory / f"load-{number}.log",
                    env={
                        **self._environment,
                        "POOLDRILL_SHARDS": str(self.shards),
                        "POOLDRILL_SHARD": str(number),
                        "POOLDRILL_OUTPUT": str(self._output(number)),
                        "POOLDRILL_STATUS": str(self._status(number)),
                    },
                    hold_stdin=True,
                ),
            )
