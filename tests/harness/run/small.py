"""An incident of twenty seconds, for tests that need a whole run and not a long one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from harness.errors import ExitCode
from tests.untrusted import UntrustedError

ROOT = Path(__file__).parents[3]

SMALL_YAML = """\
schema: 1
name: small-outage
title: One connection, many logins
summary: A pool of one meets a surge and is raised six seconds later.
clock: {starts_at: 2024-05-07T08:50:00Z, duration: 21s}
outage: {begin: 3s, end: 11s}
service:
  replicas: 2
  pool: {size: 1, max_overflow: 0, timeout: 500ms}
  work: 100ms
  hash: {time_cost: 1, memory_kib: 64, parallelism: 1}
database: {users: 1000, max_connections: 60}
load:
  client: {timeout: 3s, attempts: 1, patience: 3s}
  start_lag_budget: 500ms
  phases:
    - {name: baseline, at: 0s, rate: 5/s}
    - {name: surge, at: 3s, rate: 36/s}
timeline:
  - {at: 9s, do: set-pool, size: 8, fix: true}
replay: {settle: 60s, drain: 3s}
slo: {success: 0.95, latency: 2s, window: 3s}
truth:
  trigger: {says: A surge of logins.}
  capacity_defect: {says: service.pool.size is 1., without: {service.pool.size: 20}}
  accepted_fixes: [Raise the pool.]
expect:
  users_affected: {share: 0.4, tolerance: 0.25}
  pool_timeouts_at_least: 10
  failed_before_surge_at_most: 0.2
  unrecovered_success_at_most: 0.9
  recovered_success_at_least: 0.9
  capacity_tolerance: 0.5
"""


class Command:
    """A ``pooldrill`` command that is running, as a user's shell would have started it."""

    def __init__(self, process: subprocess.Popen[str], out: Path) -> None:
        self.process = process
        self.out = out

    @property
    def directory(self) -> Path | None:
        """The run directory, once it is there."""
        return next(self.out.glob("2*"), None) if self.out.exists() else None

    def wait_for(self, what: str, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, f"ended before {what}: {self.process.communicate()}"
            assert time.monotonic() < deadline, f"timed out waiting for {what}"
            time.sleep(0.02)

    def event_seen(self, text: str) -> bool:
        directory = self.directory
        path = directory / "events.jsonl" if directory else None
        return bool(path and path.exists() and text in path.read_text("utf-8"))

    def family(self) -> list[psutil.Process]:
        """Every process below the command, now."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, timeout_s: float = 90.0) -> tuple[int, str, str]:
        """Its exit code, standard output and standard error."""
        stdout, stderr = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, stdout, stderr

    def judged(self, timeout_s: float = 90.0) -> tuple[int, str, str]:
        """As :meth:`end`, of a run that nothing is done to.

        Raises:
            UntrustedError: It was *invalid*, which says nothing about what is tested.
        """
        code, stdout, stderr = self.end(timeout_s)
        if code == ExitCode.INVALID:
            raise UntrustedError(stdout + stderr)
        return code, stdout, stderr


@contextmanager
def running(out: Path, *arguments: str, incident: str | None = None) -> Iterator[Command]:
    """``pooldrill run`` of ``incident``, else of the small one, into ``out``; ended for certain."""
    if incident is None:
        incident = str(out.parent / "small-outage.yaml")
        Path(incident).write_text(SMALL_YAML, "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", incident, "--out", str(out), *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "120"},
    )
    try:
        yield Command(process, out)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def wait_gone(processes: list[psutil.Process], within_s: float) -> list[str]:
    """Wait until none of ``processes`` is left; the command lines of those that are."""
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return [repr(process) for process in alive if not _is_zombie(process)]


def _is_zombie(process: psutil.Process) -> bool:
    """Ended, and only waiting for a parent that no longer asks: nothing of it runs."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
