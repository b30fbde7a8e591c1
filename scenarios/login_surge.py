"""The load process on its own: plays the schedule that its files name (``python -m …``)."""

from __future__ import annotations

# Before everything else: it imports Locust, which patches sockets, ssl and signals for gevent.
from scenarios import load_life, surge

# isort: split
import logging
import sys
from typing import Any, NoReturn

import gevent
from gevent.event import Event
from locust.env import Environment

from scenarios.output import AppendedFile, write_status
from scenarios.schedule import ReplayClock, read_schedule
from scenarios.settings import (
    EXIT_BAD_SETTINGS,
    LoadSettings,
    read_retries_allowed,
    settings_or_exit,
)

LOOK_FOR_T0_EVERY_S = 0.01


class Files:
    """Conducts by files: t0 and flags come in one each, attempts and status leave in another."""

    def __init__(self, settings: LoadSettings) -> None:
        self._settings = settings
        self.write = AppendedFile(settings.output).write

    def await_t0(self) -> ReplayClock:
        """Wait for the t0 file."""
        while True:
            try:
                return ReplayClock.from_epoch(float(self._settings.t0_file.read_text("ascii")))
            except FileNotFoundError:
                gevent.sleep(LOOK_FOR_T0_EVERY_S)

    def retries_allowed(self) -> bool:
        """What the flags file says."""
        return read_retries_allowed(self._settings.flags)

    def report(self, status: dict[str, Any]) -> None:
        """Replace the status file."""
        write_status(self._settings.status, status)


def main() -> NoReturn:
    """Play the schedule that the environment names, and exit 0 at its end or on SIGTERM."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    settings = settings_or_exit()
    finished = Event()
    try:
        schedule = read_schedule(settings.arrivals, shard=settings.shard, shards=settings.shards)
        played = surge.LoginSurge(
            settings,
            schedule,
            Files(settings),
            finished=finished,
            max_in_progress=load_life.raise_file_limit(),
        )
    except (ValueError, OSError) as error:  # a bad schedule, an unknown host, no room for output
        sys.stderr.write(f"the load cannot begin: {error}\n")
        raise SystemExit(EXIT_BAD_SETTINGS) from None
    load_life.finish_when_told(finished, with_stdin=settings.exit_with_stdin)
    surge.LoginSurgeUser.surge = played
    environment = Environment(user_classes=[surge.LoginSurgeUser], host=settings.target)
    runner = environment.create_local_runner()
    load_life.settle_memory()
    gevent.spawn(played.report).link_exception(played.crash)
    runner.start(user_count=1, spawn_rate=1)
    finished.wait()
    played.close()
    load_life.exit_at_once(1 if played.crashes else 0)


if __name__ == "__main__":
    main()
