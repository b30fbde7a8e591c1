"""Free exploration in stock Locust: a user is one login a second, whatever the target does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.load_targets import Target, answering, deaf

USERS, SECONDS = 10, 4


def explore(target: str) -> list[dict[str, Any]]:
    """Locust's statistics of logins at ``target``, without its page."""
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "scenarios.exploration", "--headless", "--json"),
            *("--host", target, "--users", str(USERS), "--spawn-rate", str(USERS)),
            *("--run-time", f"{SECONDS}s", "--stop-timeout", "0", "--exit-code-on-error", "0"),
        ],
        env={**os.environ, "POOLDRILL_USERS": "50"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found: list[dict[str, Any]] = json.loads(ended.stdout)
    return found


def test_logins_are_those_of_accounts_and_counted_by_locust() -> None:
    with answering(200, b'{"token": "x", "expires_in": 1}') as target:
        (stats,) = explore(target.url)
    assert stats["name"] == "/login"
    assert stats["num_failures"] == 0
    assert abs(stats["num_requests"] - len(target.requests)) <= USERS
    for request in target.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        user = int(json.loads(body)["username"].removeprefix("user"))
        assert user < 50
        assert json.loads(body)["password"] == f"correct horse {user % 8}"
        assert f"X-Forwarded-For: 10.0.0.{user}".encode() in head


def test_a_failure_has_the_services_reason() -> None:
    with answering(503, b'{"code": "pool_exhausted"}') as target:
        (stats,) = explore(target.url)
    assert stats["num_failures"] == stats["num_requests"] > 0


@pytest.mark.parametrize("behaving", [answering, deaf])
def test_the_rate_does_not_depend_on_the_answers(
    behaving: Callable[[], AbstractContextManager[Target]],
) -> None:
    """Closed-loop users would send one login each to a target that is silent, and wait."""
    with behaving() as target:
        explore(target.url)
    assert len(target.requests) >= USERS * (SECONDS - 2)
    assert len(target.requests) <= USERS * (SECONDS + 2)
