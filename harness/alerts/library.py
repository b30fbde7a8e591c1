"""The recordings that rules are scored on: the whole library, replayed under several seeds."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import PooldrillError
from harness.incident import load_incident
from harness.replays import Replays
from harness.stack.interrupts import signals_interrupt
from harness.stack_kinds import USUAL, Where
from harness.writing import unwritable


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay that has ended. ``outcome`` is its verdict's, or ``missing`` with ``why``."""

    incident: str
    seed: int
    outcome: str
    directory: str = ""
    why: str = ""


def record_library(
    names: Sequence[str],
    seeds: Sequence[int],
    *,
    out: Path,
    jobs: int,
    where: Where = USUAL,
    said: Callable[[Replayed, int, int], None] = lambda done, number, of: None,
) -> tuple[Replayed, ...]:
    """Replay each incident under each seed into ``out/NAME/SEED``; what is there is kept.

    A rule must be scored on outages that happened: a replay whose verdict is not *pass*
    stays in ``out/not-passed``, where every replay is recorded first. Raises
    `RunDirectoryError` where nothing can be written.
    """
    tasks = [(name, seed) for seed in seeds for name in names]
    lock = threading.Lock()
    count = 0

    def one(task: tuple[str, int]) -> Replayed:
        nonlocal count
        name, seed = task
        try:
            found = _replay(replays, name, seed, out)
        except PooldrillError as error:
            found = Replayed(name, seed, "missing", why=error.message)
        with lock:
            count += 1
            said(found, count, len(tasks))
        return found

    with signals_interrupt(), Replays(jobs, name="record", where=where) as replays:
        return tuple(replays.map(one, tasks))


def _replay(replays: Replays, name: str, seed: int, out: Path) -> Replayed:
    folder = out / name / str(seed)
    for verdict in sorted(folder.glob("2*/verdict.json")):
        if (outcome := _outcome(verdict)) == "pass":
            return Replayed(name, seed, outcome, str(verdict.parent))
    tried = out / "not-passed" / name / str(seed)
    try:
        tried.mkdir(parents=True, exist_ok=True)
        directory, _ = replays.run(
            load_incident(name, {}), name, seed=seed, folder=tried, log=tried / "run.log"
        )
        outcome = _outcome(directory / "verdict.json")
        if outcome == "pass":
            folder.mkdir(parents=True, exist_ok=True)
            directory = directory.rename(folder / directory.name)
    except OSError as error:
        raise unwritable(out, error) from error
    return Replayed(name, seed, outcome, str(directory))


def _outcome(verdict: Path) -> str:
    try:
        return str(json.loads(verdict.read_text("utf-8"))["outcome"])
    except (OSError, ValueError, KeyError):
        return "missing"
