"""What a client does after a failed attempt, as a pure function."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.client_policy import (
    BUDGET_BURST,
    ClientPolicy,
    RetryBudget,
    backoff_s,
    retry_after_s,
    worth_retrying,
)

POLICY = ClientPolicy(
    timeout_s=1, attempts=5, backoff_initial_s=0.5, backoff_max_s=3, patience_s=10
)


def after(policy: ClientPolicy = POLICY, **changes: object) -> float | None:
    """The pause after a first attempt that met a 503 right away, with changes."""
    facts: dict[str, object] = {
        "seed": 1, "arrival": 2, "attempt": 1, "outcome": "http_error", "status": 503,
        "waited_s": 0.1,
    }  # fmt: skip
    return retry_after_s(policy, **(facts | changes))  # type: ignore[arg-type]


@given(st.integers(0, 2**31), st.integers(0, 2_000_000), st.integers(1, 20))
def test_backoff_stays_below_its_doubling_ceiling(seed: int, arrival: int, attempt: int) -> None:
    """0 <= pause < min(max, initial × 2^(n-1))."""
    pause_s = backoff_s(POLICY, seed=seed, arrival=arrival, attempt=attempt)
    assert 0 <= pause_s < min(3.0, 0.5 * 2 ** (attempt - 1))


def test_backoff_is_repeatable_and_spread_out() -> None:
    """The same for the same arrival and seed; over arrivals it fills its range (full jitter)."""

    def pauses(seed: int) -> list[float]:
        return [backoff_s(POLICY, seed=seed, arrival=i, attempt=3) for i in range(1000)]

    assert pauses(1) == pauses(1)
    assert pauses(1) != pauses(2)
    assert sum(pauses(1)) / 1000 == pytest.approx(1.0, abs=0.06)
    assert min(pauses(1)) < 0.05
    assert max(pauses(1)) > 1.95


@pytest.mark.parametrize(
    ("outcome", "status", "expected"),
    [
        ("ok", 200, False),
        ("http_error", 401, False),
        ("http_error", 404, False),
        ("http_error", 422, False),
        ("http_error", 302, False),
        ("http_error", 429, True),
        ("http_error", 500, True),
        ("http_error", 503, True),
        ("gateway_timeout", 504, True),
        ("client_timeout", None, True),
        ("refused", None, True),
        ("shed_by_generator", None, False),
        ("in_flight_at_end", None, False),
    ],
)
def test_only_what_may_pass_is_tried_again(
    outcome: str, status: int | None, expected: bool
) -> None:
    """Never a wrong password; always an overload."""
    assert worth_retrying(outcome, status) is expected
    assert (after(outcome=outcome, status=status) is not None) is expected


def test_attempts_are_limited() -> None:
    """Five attempts are four retries."""
    assert after(attempt=4) is not None
    assert after(attempt=5) is None


@given(st.floats(0, 30), st.integers(0, 10_000))
def test_no_attempt_begins_after_patience_ran_out(waited_s: float, arrival: int) -> None:
    """Patience counts from the intended instant and includes the pause."""
    pause_s = after(waited_s=waited_s, arrival=arrival, attempt=4)
    if pause_s is None:
        drawn_s = backoff_s(POLICY, seed=1, arrival=arrival, attempt=4)
        assert waited_s + drawn_s > POLICY.patience_s
    else:
        assert waited_s + pause_s <= POLICY.patience_s


@given(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]), st.lists(st.booleans(), max_size=300))
def test_retries_never_exceed_their_share(ratio: float, events: list[bool]) -> None:
    """At any moment: retries <= ratio × first attempts."""
    budget = RetryBudget(ratio)
    first = retries = 0
    for is_first in events:
        if is_first:
            budget.first_attempt()
            first += 1
        elif budget.take():
            retries += 1
        assert retries <= ratio * first + 1e-6


def test_a_budget_is_used_in_full_and_saves_up_only_so_much() -> None:
    """Ten tenths pay for a retry; a quiet hour does not pay for a storm."""
    budget = RetryBudget(0.1)
    for _ in range(10):
        budget.first_attempt()
    assert budget.take()
    assert not budget.take()
    for _ in range(100_000):
        budget.first_attempt()
    assert sum(budget.take() for _ in range(1000)) == BUDGET_BURST


def test_shards_share_the_ceiling() -> None:
    """Two processes together save up what one does."""
    budget = RetryBudget(1.0, shards=2)
    for _ in range(100):
        budget.first_attempt()
    assert sum(budget.take() for _ in range(100)) == BUDGET_BURST / 2


def test_without_a_budget_every_retry_is_allowed() -> None:
    """None is no budget; 0 is a budget of none."""
    assert all(RetryBudget(None).take() for _ in range(100))
    forbidding = RetryBudget(0.0)
    forbidding.first_attempt()
    assert not forbidding.take()
