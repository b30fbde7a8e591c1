"""A load worker: plays the shard that a master gives it (``python -m scenarios.login_worker``).

It serves one run. Its t0 is named by its own monotonic clock, which the master has measured, so
that a wall clock that is wrong or is set meanwhile moves no arrival.
"""

from __future__ import annotations

# Before everything else: it imports Locust, which patches sockets, ssl and signals for gevent.
from scenarios import load_life, surge

# isort: split
import argparse
import io
import logging
import os
import socket
import sys
import time
from itertools import count
from typing import Annotated, Any, NoReturn

import gevent
from gevent.event import AsyncResult, Event
from locust.env import Environment
from pydantic import BaseModel, ConfigDict, Field

from scenarios import load_messages as say
from scenarios.schedule import ReplayClock, parse_schedule
from scenarios.settings import HostPort, SurgeSettings, model_or_exit
from scenarios.worker_target import why_refused

EXIT_CRASHED = 1
EXIT_TARGET_REFUSED = 3
EXIT_NO_MASTER = 4

MASTER_SILENT_S = 5.0
"""Without a heartbeat for this long, the master is gone; it answers one each second."""

DISMISSAL_WITHIN_S = 15.0
"""The master may have to wait for another worker before it lets this one go."""


class WorkerSettings(BaseModel):
    """What `ARCHITECTURE.md` lists under "Master and workers" for a worker."""

    model_config = ConfigDict(frozen=True)

    master: HostPort
    worker: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    master_within_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 300.0
    owned_target: str | None = None
    exit_with_stdin: bool = False


class Worker:
    """A worker from its first word to its last; conducts its surge as the master says."""

    def __init__(self, settings: WorkerSettings, finished: Event) -> None:
        self._settings = settings
        self._finished = finished
        self._runner: Any = None
        self._surge: surge.LoginSurge | None = None
        self._t0: AsyncResult[float] = AsyncResult()
        self._dismissed = Event()
        self._retries = True
        self._batches = count()
        self._heard_at = time.monotonic()
        self._why = ""
        self._code = 0

    def serve(self) -> int:
        """Join the master, play what it gives, and leave; the exit code."""
        if not self._join():
            return self._code
        self._finished.wait()
        if self._surge is not None:
            self._surge.close()
            self._send_ended(self._surge)
            if not self._why:
                self._dismissed.wait(DISMISSAL_WITHIN_S)
        if self._why:
            sys.stderr.write(f"{self._why}\n")
            sys.stderr.flush()
        load_life.exit_within(say.LEFT_WITHIN_S, self._code)
        say.send_what_is_left(self._runner)
        return self._code

    # -- as the surge's conductor -----------------------------------------------------------

    def await_t0(self) -> ReplayClock:
        """Wait until the master names t0."""
        return ReplayClock(self._t0.get())

    def retries_allowed(self) -> bool:
        """What the master said last."""
        return self._retries

    def report(self, status: dict[str, Any]) -> None:
        """Tell the master where the surge stands."""
        self._send(say.STATUS, status)
        if status["state"] == "ready":
            self._send(say.READY, {})

    def write(self, lines: bytes) -> None:
        """Send lines of the attempts' CSV, numbered: one that is missing must be missed."""
        self._send(say.LINES, {"batch": next(self._batches), "lines": lines})

    # -- the master -------------------------------------------------------------------------

    def _join(self) -> bool:
        """Connect and say hello; whether there is anything to wait for."""
        settings = self._settings
        environment = Environment(user_classes=[surge.LoginSurgeUser])
        # Else Locust would look for its own configuration files at the first user.
        environment.parsed_options = argparse.Namespace(web_base_path="")
        environment.events.heartbeat_received.add_listener(self._hear)  # type: ignore[no-untyped-call]
        # Aside, because Locust waits inside for a master that may never come.
        joining = gevent.spawn(environment.create_worker_runner, *settings.master)
        gevent.spawn(self._finished.wait).link(lambda _: joining.kill(block=False))
        joining.join(settings.master_within_s)
        host, port = settings.master
        if self._finished.is_set():
            return False
        if not joining.successful():
            sys.stderr.write(f"no master answers at {host}:{port}\n")
            self._code = EXIT_NO_MASTER
            return False
        self._runner = joining.value
        for name, listener in (
            (say.REFUSED, self._on_refused),
            (say.PING, self._on_ping),
            (say.SHARD, self._on_shard),
            (say.PLAY, self._on_play),
            (say.FLAGS, self._on_flags),
            (say.FINISH, self._on_finish),
            (say.DISMISSED, self._on_dismissed),
        ):
            self._runner.register_message(name, listener)
        self._heard_at = time.monotonic()
        gevent.spawn(self._watch_master)
        self._send(say.HELLO, {"name": settings.worker})
        print(f"{settings.worker} has joined {host}:{port}", flush=True)
        return True

    def _watch_master(self) -> None:
        while time.monotonic() - self._heard_at < MASTER_SILENT_S:
            gevent.sleep(0.25)
        self._give_up(f"the master was not heard of for {MASTER_SILENT_S:g} s", EXIT_NO_MASTER)

    def _hear(self, **_: object) -> None:
        self._heard_at = time.monotonic()

    def _on_ping(self, msg: Any, **_: object) -> None:
        answer = {"monotonic_s": time.monotonic(), "wall_s": time.time()}
        self._send(say.PONG, {"sent_s": msg.data["sent_s"], **answer})

    def _on_refused(self, msg: Any, **_: object) -> None:
        self._give_up(f"the master refused this worker: {msg.data['why']}", EXIT_NO_MASTER)

    def _on_shard(self, msg: Any, **_: object) -> None:
        try:
            self._load_shard(msg.data)
        except (ValueError, OSError) as error:
            self._send(say.UNABLE, {"why": str(error)})
            self._give_up(f"the shard cannot be played: {error}", EXIT_CRASHED)

    def _load_shard(self, data: dict[str, Any]) -> None:
        settings = SurgeSettings.model_validate(data["settings"])
        refusal = why_refused(
            settings.target,
            master_host=self._settings.master[0],
            owned_host=self._settings.owned_target,
        )
        if refusal:
            self._send(say.UNABLE, {"why": refusal})
            self._give_up(refusal, EXIT_TARGET_REFUSED)
            return
        schedule = parse_schedule(
            io.StringIO(data["arrivals"]),
            "the shard",
            shard=settings.shard,
            shards=settings.shards,
        )
        self._surge = played = surge.LoginSurge(
            settings,
            schedule,
            self,
            finished=self._finished,
            max_in_progress=load_life.raise_file_limit(),
        )
        surge.LoginSurgeUser.surge = played
        load_life.settle_memory()
        gevent.spawn(played.report).link_exception(played.crash)
        self._send(say.LOADED, {"arrivals": len(schedule)})
        where = f"shard {settings.shard} of {settings.shards}"
        print(f"{where}: {len(schedule)} arrivals for {settings.target}", flush=True)

    def _on_play(self, msg: Any, **_: object) -> None:
        self._t0.set(msg.data["t0_monotonic"])

    def _on_flags(self, msg: Any, **_: object) -> None:
        self._retries = msg.data["retries"]

    def _on_finish(self, **_: object) -> None:
        if self._surge is None:
            self._why, self._code = "the master called the run off", EXIT_NO_MASTER
        self._finished.set()

    def _on_dismissed(self, **_: object) -> None:
        print("the run is over", flush=True)
        self._dismissed.set()

    def _send_ended(self, played: surge.LoginSurge) -> None:
        at_s = None if played.clock is None else played.clock.now_s()
        crashed = bool(played.crashes)
        if crashed:
            self._code = EXIT_CRASHED
        self._send(say.ENDED, {"batches": next(self._batches), "at_s": at_s, "crashed": crashed})

    def _give_up(self, why: str, code: int) -> None:
        if not self._why:
            self._why, self._code = why, code
        self._finished.set()

    def _send(self, name: str, data: dict[str, Any]) -> None:
        self._runner.send_message(name, data)


def main() -> NoReturn:
    """Serve one run of the master that the environment names."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    settings = model_or_exit(WorkerSettings)
    finished = Event()
    load_life.finish_when_told(finished, with_stdin=settings.exit_with_stdin)
    load_life.exit_at_once(Worker(settings, finished).serve())


if __name__ == "__main__":
    main()
