"""What a client does when an attempt fails: pure decisions, no clock and no network."""

from __future__ import annotations

import random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

BUDGET_BURST = 10.0
"""Retries that a budget can save up, over all shards. Without a ceiling a quiet hour would pay for
the very storm that the budget is there to prevent."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ClientPolicy(BaseModel):
    """Timeout, retries and patience of every client; the same for each attempt.

    ``retry_budget`` is the ratio of retries to first attempts, None for no budget.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    attempts: Annotated[int, Field(ge=1, le=255)]
    backoff_initial_s: Seconds
    backoff_max_s: Seconds
    patience_s: Seconds
    retry_budget: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


def worth_retrying(outcome: str, status: int | None) -> bool:
    """Whether another attempt could help: no answer, 5xx or 429; never another 4xx (a 401)."""
    if outcome in ("client_timeout", "gateway_timeout", "refused"):
        return True
    return outcome == "http_error" and status is not None and (status >= 500 or status == 429)


def backoff_s(policy: ClientPolicy, *, seed: int, arrival: int, attempt: int) -> float:
    """Pause after failed attempt number ``attempt`` (from 1): exponential, full jitter.

    w = U · min(m, i · 2^(n-1)), with n the attempt, i and m the first and the longest backoff in
    seconds, and U uniform in [0, 1), drawn from ``seed``, ``arrival`` and n alone, so that a run
    repeats whatever the order of events. A response's Retry-After plays no part: login pages and
    apps do not read it. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015.
    """
    longest_s = min(policy.backoff_max_s, policy.backoff_initial_s * 2.0 ** (attempt - 1))
    return random.Random(f"{seed}/{arrival}/{attempt}").random() * longest_s  # noqa: S311


def retry_after_s(
    policy: ClientPolicy,
    *,
    seed: int,
    arrival: int,
    attempt: int,
    outcome: str,
    status: int | None,
    waited_s: float,
) -> float | None:
    """Seconds from the end of this attempt to the next one, None when there will be none.

    ``waited_s`` is the time since the arrival's intended instant. No attempt begins later than
    ``patience_s`` after that; an attempt under way is not cut short by it.
    """
    if attempt >= policy.attempts or not worth_retrying(outcome, status):
        return None
    pause_s = backoff_s(policy, seed=seed, arrival=arrival, attempt=attempt)
    return pause_s if waited_s + pause_s <= policy.patience_s else None


class RetryBudget:
    """A token bucket: a first attempt pays in ``ratio``, a retry takes 1. It starts empty.

    So retries never exceed ``ratio`` × first attempts. One budget stands for all the clients of a
    process, as in an app's backend; ``shards`` processes divide the ceiling between them. Without
    a ratio every retry is allowed.
    """

    def __init__(self, ratio: float | None, *, shards: int = 1) -> None:
        self._ratio = ratio
        self._ceiling = max(1.0, BUDGET_BURST / shards)
        self._tokens = 0.0

    def first_attempt(self) -> None:
        """A first attempt is sent."""
        if self._ratio is not None:
            self._tokens = min(self._ceiling, self._tokens + self._ratio)

    def take(self) -> bool:
        """Whether a retry may be sent now; if so, it is paid for."""
        if self._ratio is None:
            return True
        if self._tokens < 1 - 1e-9:  # ten tenths are one
            return False
        self._tokens -= 1
        return True
