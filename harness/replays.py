"""Several replays side by side, each in a process of its own; all end when the context is left."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from harness.errors import RecordingError
from harness.incident import Incident
from harness.stack.process import Child, wait_until
from harness.stack_kinds import USUAL, Where
from harness.timemap import build_timemap

RUN_SLACK_S = 90.0
"""What a run may take beyond its replay: starting, saving, judging on a busy machine."""

VERDICTS = (0, 1, 3)
"""Exit codes of a run that came to its end, whatever was said about it."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Replays:
    """``jobs`` replays at a time, on databases from ``where``. A context manager."""

    def __init__(self, jobs: int, *, name: str, where: Where = USUAL) -> None:
        self._where = where
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._children: list[Child] = []
        self._workers = ThreadPoolExecutor(jobs, thread_name_prefix=name)

    def __enter__(self) -> Replays:
        return self

    def __exit__(self, *_: object) -> None:
        self._cancelled.set()
        self._workers.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.ask_to_stop()
        for child in self._children:
            child.stop(within_s=6.0)
        self._workers.shutdown(wait=True)

    def map(self, of: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """``of`` each item, so many at a time; results in the items' order."""
        return list(self._workers.map(of, items))

    def run(
        self, incident: Incident, definition: str, *, seed: int, folder: Path, log: Path
    ) -> tuple[Path, int]:
        """The run directory of a replay that has ended, in ``folder``, and its exit code.

        ``definition`` is what ``pooldrill run`` is given: a name or a file. Raises
        `RecordingError` when it left no recording.
        """
        argv = [sys.executable, "-m", "harness", "run", definition]
        argv += ["--seed", str(seed), "--out", str(folder), "--json", *self._where.options()]
        env = {**os.environ, **self._where.environment()}
        with self._lock:
            child = Child(f"run of {incident.name}", argv, log=log, env=env)
            self._children.append(child)
        length_s = build_timemap(incident).replay_length_s + incident.replay.drain_s
        try:
            wait_until(
                f"the run of {incident.name} to end",
                lambda: not child.alive(),
                timeout_s=length_s + RUN_SLACK_S,
                cancelled=self._cancelled,
                poll_s=0.2,
            )
        finally:
            child.stop(within_s=6.0)
        code = child.returncode
        if code not in VERDICTS:
            raise RecordingError(f"the run ended with exit code {code}{child.log_tail()}")
        found = sorted(folder.glob("2*"))
        if not found:
            raise RecordingError(f"the run left no recording{child.log_tail()}")
        return found[-1], code
