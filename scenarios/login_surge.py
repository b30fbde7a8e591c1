"""The load process: an open loop of logins, played from a schedule (``python -m …``).

One Locust user walks the schedule and spawns one greenlet an arrival. It never waits for an
answer, so a target that stalls meets the same arrivals as one that does not, and a login's latency
counts from the instant at which it was meant to begin (no coordinated omission).

Each arrival ends in exactly one bucket: the outcome of its last attempt. An arrival that waits to
try again when the load ends, or when retries are paused, keeps the outcome of the attempt before;
an arrival without any attempt was ``shed_by_generator``.
"""

from __future__ import annotations

# Before everything else: importing Locust patches sockets, ssl and signals for gevent.
from locust import User, task
from locust.env import Environment

# isort: split
import gc
import logging
import os
import resource
import signal
import sys
import time
from typing import ClassVar, NoReturn

import gevent
import gevent.os
from gevent.event import Event

from scenarios.client_policy import RetryBudget, retry_after_s
from scenarios.login_client import LOGIN_PATH, LoginClient
from scenarios.outcome import OK, Outcome
from scenarios.output import AttemptLog, StartLag, write_status
from scenarios.schedule import Arrival, ReplayClock, Schedule, read_schedule
from scenarios.settings import (
    EXIT_BAD_SETTINGS,
    LoadSettings,
    read_retries_allowed,
    settings_or_exit,
)

MAX_IN_PROGRESS = 20_000
"""Arrivals that one process keeps going; further ones are shed, and counted as such."""

FILES_KEPT_FREE = 128
REPORT_EVERY_S = 0.25
STATUS_EVERY_S = 1.0
LOOK_FOR_T0_EVERY_S = 0.01
COLLECT_EVERY_OBJECTS = 1_000_000


class LoginSurge:
    """The arrivals of one process, from "ready" to the last line it writes."""

    def __init__(self, settings: LoadSettings, schedule: Schedule, *, max_in_progress: int) -> None:
        self.settings = settings
        self.schedule = schedule
        self.finished = Event()
        self.max_in_progress = max_in_progress
        self.policy = settings.client
        self.budget = RetryBudget(settings.client.retry_budget, shards=settings.shards)
        self.client = LoginClient(settings.target, timeout_s=settings.client.timeout_s)
        self.log = AttemptLog(settings.output)
        self.start_lag = StartLag()
        self.clock: ReplayClock | None = None
        self.retries_allowed = True
        self.offered = self.sent = self.ok = self.in_progress = 0

    def play(self, environment: Environment) -> None:
        """Wait for t0, then spawn each arrival at its instant, whatever the target does."""
        self.write_status("ready")
        self.clock = clock = ReplayClock(self._wait_for_t0())
        gevent.spawn_later(self.settings.end_s - clock.now_s(), self.finished.set)
        for arrival in self.schedule:
            # Again after waking: a timer may fire a moment early.
            while (early_s := arrival.intended_s - clock.now_s()) > 0:
                gevent.sleep(early_s)
            self.offered += 1
            if self.in_progress < self.max_in_progress:
                self.in_progress += 1
                gevent.spawn(self._log_in, environment, clock, arrival)

    def write_status(self, state: str) -> None:
        """Replace the status file."""
        write_status(
            self.settings.status,
            {
                "pid": os.getpid(),
                "state": state,
                "offered": self.offered,
                "sent": self.sent,
                "ok": self.ok,
                "in_flight": len(self.log.open),
                "start_lag_p99_s": self.start_lag.p99_s(),
            },
        )

    def report(self) -> NoReturn:
        """Write the gathered lines and read the flags four times a second, the status each second.

        The flags are read first: what was said before t0 holds from the first attempt on.
        """
        next_status = time.monotonic()
        while True:
            self.retries_allowed = read_retries_allowed(self.settings.flags)
            gevent.sleep(REPORT_EVERY_S)
            self.log.flush()
            if self.clock is not None and time.monotonic() >= next_status:
                self.write_status("running")
                next_status = time.monotonic() + STATUS_EVERY_S

    def close(self) -> None:
        """The end: open attempts are in flight at the end, and nothing is written any more."""
        self.log.close()
        self.write_status("ended")

    def _wait_for_t0(self) -> float:
        while True:
            try:
                return float(self.settings.t0_file.read_text("ascii"))
            except FileNotFoundError:
                gevent.sleep(LOOK_FOR_T0_EVERY_S)

    def _log_in(self, environment: Environment, clock: ReplayClock, arrival: Arrival) -> None:
        """One arrival, with all its attempts."""
        number, user, intended_s, address, wrong_password = arrival
        attempt = 1
        while True:
            sent_s = clock.now_s()
            if attempt == 1:
                self.sent += 1
                self.start_lag.add(sent_s - intended_s)
                self.budget.first_attempt()
            self.log.sent(number, user, attempt, sent_s)
            outcome = self.client.log_in(user, address=address, wrong_password=wrong_password)
            done_s = clock.now_s()
            self.log.ended(number, done_s, outcome)
            _fire_request(environment, outcome, latency_s=done_s - intended_s)
            self.ok += outcome.bucket == OK
            if not self._pause_before_retry(arrival, attempt, outcome, done_s - intended_s):
                break
            attempt += 1
        self.in_progress -= 1

    def _pause_before_retry(
        self, arrival: Arrival, attempt: int, outcome: Outcome, waited_s: float
    ) -> bool:
        """Wait for the backoff; whether there is another attempt after it."""
        pause_s = retry_after_s(
            self.policy,
            seed=self.settings.seed,
            arrival=arrival.number,
            attempt=attempt,
            outcome=outcome.bucket,
            status=outcome.status,
            waited_s=waited_s,
        )
        if pause_s is None or not self.retries_allowed or not self.budget.take():
            return False
        gevent.sleep(pause_s)
        # Again: retries may have been paused during the backoff.
        return self.retries_allowed


class LoginSurgeUser(User):
    """Locust's side of it: a single user, whose one task is the whole surge."""

    fixed_count = 1
    surge: ClassVar[LoginSurge]

    @task
    def play(self) -> None:
        """Play the schedule, then idle: the end is a matter of the clock."""
        self.surge.play(self.environment)
        self.surge.finished.wait()


def _fire_request(environment: Environment, outcome: Outcome, *, latency_s: float) -> None:
    """Tell Locust's listeners; response time counts from the intended instant."""
    failed = None if outcome.bucket == OK else f"{outcome.bucket} {outcome.code}".rstrip()
    environment.events.request.fire(  # type: ignore[no-untyped-call]
        request_type="POST",
        name=LOGIN_PATH,
        response_time=latency_s * 1000,
        response_length=outcome.length,
        exception=failed,
        context={},
    )


def _raise_file_limit() -> int:
    """Allow as many open files as the system lets us; returns how many sockets that leaves."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_IN_PROGRESS + FILES_KEPT_FREE
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - FILES_KEPT_FREE


def _finish_with_stdin(surge: LoginSurge) -> None:
    """Finish when the pipe on standard input ends: whoever started us is gone."""
    gevent.os.make_nonblocking(sys.stdin.fileno())
    while gevent.os.nb_read(sys.stdin.fileno(), 4096):
        pass
    surge.finished.set()


def _exit_at_once(code: int) -> NoReturn:
    # An orderly exit would first unwind thousands of greenlets that wait for an answer.
    sys.stderr.flush()
    os._exit(code)


def main() -> NoReturn:
    """Play the schedule that the environment names, and exit 0 at its end or on SIGTERM."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    settings = settings_or_exit()
    try:
        schedule = read_schedule(settings.arrivals, shard=settings.shard, shards=settings.shards)
        surge = LoginSurge(settings, schedule, max_in_progress=_raise_file_limit())
    except (ValueError, OSError) as error:  # a bad schedule, an unknown host, no room for output
        sys.stderr.write(f"the load cannot begin: {error}\n")
        raise SystemExit(EXIT_BAD_SETTINGS) from None
    crashes: list[object] = []

    def crash(*cause: object, **details: object) -> None:
        # Half a load must not pass for a whole one. Locust and gevent have logged the traceback.
        crashes.append((cause, details))
        surge.finished.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, surge.finished.set)
    if settings.exit_with_stdin:
        gevent.spawn(_finish_with_stdin, surge)
    LoginSurgeUser.surge = surge
    environment = Environment(user_classes=[LoginSurgeUser], host=settings.target)
    environment.events.user_error.add_listener(crash)  # type: ignore[no-untyped-call]
    runner = environment.create_local_runner()
    # A full collection over 7,000 open attempts stops the walk for 0.14 s. The schedule and Locust
    # live to the end and attempts make no cycles, so there is next to nothing to collect.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY_OBJECTS)
    gevent.spawn(surge.report).link_exception(crash)
    runner.start(user_count=1, spawn_rate=1)
    surge.finished.wait()
    surge.close()
    _exit_at_once(1 if crashes else 0)


if __name__ == "__main__":
    main()
