"""Logins for free exploration in stock Locust and its web page (``python -m …``, Locust's options).

Nothing here is measured: a drill has its own schedule. A user of Locust's stands for one login a
second and never waits for the answer, so the number of users is the rate (open loop), whatever the
target does.
"""

from __future__ import annotations

# Before everything else: importing Locust patches sockets, ssl and signals for gevent.
from locust import User, constant_pacing, task
from locust.main import main

# isort: split
import os
import random
import sys
import time

import gevent

from scenarios.login_client import LOGIN_PATH, LoginClient
from scenarios.outcome import OK

USERS = int(os.environ.get("POOLDRILL_USERS") or 20_000)
"""How many accounts there are."""

TIMEOUT_S = 10.0
MAX_UNDER_WAY = 20_000
"""Logins that one process keeps going; further ones are not sent, and count as failures."""


class OneLoginASecond(User):
    """Sends a login each second, of any account, from any address."""

    wait_time = constant_pacing(1)
    under_way = 0

    def on_start(self) -> None:
        """Begin somewhere within the second: users that were spawned at once spread out."""
        self._client = LoginClient(self.host or "", timeout_s=TIMEOUT_S)
        gevent.sleep(random.random())  # noqa: S311

    @task
    def send(self) -> None:
        """Let one login go its way."""
        gevent.spawn(self._log_in)

    def _log_in(self) -> None:
        began_s = time.perf_counter()
        code, length = "shed_by_generator", 0
        if OneLoginASecond.under_way < MAX_UNDER_WAY:
            OneLoginASecond.under_way += 1
            user = random.randrange(USERS)  # noqa: S311
            address = f"10.{user >> 16 & 255}.{user >> 8 & 255}.{user & 255}"
            outcome = self._client.log_in(user, address=address)
            OneLoginASecond.under_way -= 1
            length = outcome.length
            code = "" if outcome.bucket == OK else f"{outcome.bucket} {outcome.code}".rstrip()
        self.environment.events.request.fire(
            request_type="POST",
            name=LOGIN_PATH,
            response_time=(time.perf_counter() - began_s) * 1000,
            response_length=length,
            exception=code or None,
            context={},
        )


if __name__ == "__main__":
    sys.argv[1:1] = ["--locustfile", __file__]
    main()  # type: ignore[no-untyped-call]
