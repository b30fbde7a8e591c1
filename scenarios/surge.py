"""The surge: an open loop of logins, played from a schedule, whoever conducts it.

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
import os
import time
from typing import Any, ClassVar, NoReturn, Protocol

import gevent
from gevent.event import Event

from scenarios.client_policy import RetryBudget, retry_after_s
from scenarios.login_client import LOGIN_PATH, LoginClient
from scenarios.outcome import OK, Outcome
from scenarios.output import AttemptLog, StartLag
from scenarios.schedule import Arrival, ReplayClock, Schedule
from scenarios.settings import SurgeSettings

REPORT_EVERY_S = 0.25
STATUS_EVERY_S = 1.0


class Conductor(Protocol):
    """Whoever begins the surge, may pause its retries and hears of it."""

    def await_t0(self) -> ReplayClock:
        """Wait for replay time 0 to be named; the clock that counts from it."""

    def retries_allowed(self) -> bool:
        """Whether clients may try again now; asked four times a second."""

    def report(self, status: dict[str, Any]) -> None:
        """The status, each second and whenever the state changes."""

    def write(self, lines: bytes) -> None:
        """Lines of the attempts' CSV, four times a second, its header first."""


class LoginSurge:
    """The arrivals of one process, from "ready" to the last line it writes.

    ``finished`` ends it before its time, and is set when its time is over.

    Raises OSError when the target's name cannot be resolved.
    """

    def __init__(
        self,
        settings: SurgeSettings,
        schedule: Schedule,
        conductor: Conductor,
        *,
        finished: Event,
        max_in_progress: int,
    ) -> None:
        self.settings = settings
        self.schedule = schedule
        self.conductor = conductor
        self.finished = finished
        self.crashes: list[object] = []
        self.max_in_progress = max_in_progress
        self.policy = settings.client
        self.budget = RetryBudget(settings.client.retry_budget, shards=settings.shards)
        self.client = LoginClient(settings.target, timeout_s=settings.client.timeout_s)
        self.log = AttemptLog(conductor.write)
        self.start_lag = StartLag()
        self.clock: ReplayClock | None = None
        self.retries_allowed = True
        self.offered = self.sent = self.ok = self.in_progress = 0

    def play(self, environment: Environment) -> None:
        """Wait for t0, then spawn each arrival at its instant, whatever the target does."""
        self.tell("ready")
        self.clock = clock = self.conductor.await_t0()
        gevent.spawn_later(self.settings.end_s - clock.now_s(), self.finished.set)
        for arrival in self.schedule:
            # Again after waking: a timer may fire a moment early.
            while (early_s := arrival.intended_s - clock.now_s()) > 0:
                gevent.sleep(early_s)
            if self.finished.is_set():
                return
            self.offered += 1
            if self.in_progress < self.max_in_progress:
                self.in_progress += 1
                gevent.spawn(self._log_in, environment, clock, arrival)

    def tell(self, state: str) -> None:
        """Report the status, with this state."""
        self.conductor.report(
            {
                "pid": os.getpid(),
                "state": state,
                "offered": self.offered,
                "sent": self.sent,
                "ok": self.ok,
                "in_flight": len(self.log.open),
                "start_lag_p99_s": self.start_lag.p99_s(),
                "start_lag": self.start_lag.histogram(),
            }
        )

    def report(self) -> NoReturn:
        """Write the gathered lines and ask for the flags four times a second, the status each
        second.

        The flags are read first: what was said before t0 holds from the first attempt on.
        """
        next_status = time.monotonic()
        while True:
            self.retries_allowed = self.conductor.retries_allowed()
            gevent.sleep(REPORT_EVERY_S)
            self.log.flush()
            if self.clock is not None and time.monotonic() >= next_status:
                self.tell("running")
                next_status = time.monotonic() + STATUS_EVERY_S

    def crash(self, *cause: object, **details: object) -> None:
        """Finish: half a load must not pass for a whole one. gevent has logged the traceback."""
        self.crashes.append((cause, details))
        self.finished.set()

    def close(self) -> None:
        """The end: open attempts are in flight at the end, and nothing is written any more."""
        self.log.close()
        self.tell("ended")

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
        # Again: retries may have been paused during the backoff, or everything may have ended.
        return self.retries_allowed and not self.finished.is_set()


class LoginSurgeUser(User):
    """Locust's side of it: a single user in a process, who sets the surge going.

    The walk has a greenlet of its own. Locust moves users between workers when one is lost or
    joins late, and would end this one with its walk, or begin a second walk elsewhere.
    """

    surge: ClassVar[LoginSurge | None] = None
    begun: ClassVar[bool] = False

    @task
    def play(self) -> None:
        """Set the surge going, then idle: the end is a matter of the clock."""
        if self.surge is not None and not LoginSurgeUser.begun:
            LoginSurgeUser.begun = True
            gevent.spawn(self.surge.play, self.environment).link_exception(self.surge.crash)
        Event().wait()


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
