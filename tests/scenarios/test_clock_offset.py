"""How far a worker's clock is from the master's, by messages that take their time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.clock_offset import ClockOffset, Exchange, clock_offset
from scenarios.worker_peer import Peer

delays_s = st.floats(0.0, 0.5)


def exchange(at_s: float, there_s: float, back_s: float, offset_s: float) -> Exchange:
    """There and back in so many seconds, to a clock that is ``offset_s`` ahead."""
    return Exchange(at_s, at_s + there_s + offset_s, at_s + there_s + back_s)


@given(st.lists(st.tuples(delays_s, delays_s), min_size=1), st.floats(-1e5, 1e5))
def test_the_true_offset_lies_within_the_uncertainty(
    ways_s: list[tuple[float, float]], offset_s: float
) -> None:
    """However unequal the ways there and back are."""
    found = clock_offset(exchange(7.0, there, back, offset_s) for there, back in ways_s)
    assert abs(found.offset_s - offset_s) <= found.uncertainty_s + 1e-9
    assert found.uncertainty_s <= min(there + back for there, back in ways_s) / 2 + 1e-9


def test_the_quickest_exchange_decides() -> None:
    """One that was held up on one way says little, however many of its kind there are."""
    slow = [exchange(n, 0.4, 0.0, 2.0) for n in range(5)]
    found = clock_offset([*slow, exchange(9.0, 0.001, 0.001, 2.0), *slow])
    assert found.offset_s == pytest.approx(2.0)
    assert found.uncertainty_s == pytest.approx(0.001)


def test_without_an_answer_nothing_is_known() -> None:
    """Missing is not zero."""
    with pytest.raises(ValueError, match="empty"):
        clock_offset([])


def test_a_wall_clock_that_is_wrong_is_told_apart_from_the_monotonic_one() -> None:
    """Ours: monotonic 100 s at wall 1100 s. Theirs: monotonic 500 s ahead, wall 3 s ahead."""
    peer = Peer("id", "worker")
    peer.answered({"sent_s": 100.0, "monotonic_s": 600.5, "wall_s": 1103.5}, received_s=101.0)
    assert peer.offset() == ClockOffset(500.0, 0.5)
    assert peer.wall_skew_s(1000.0) == pytest.approx(3.0)


def test_a_batch_of_lines_that_is_missing_is_missed() -> None:
    """And said once, by the batch after it."""
    peer = Peer("id", "worker")
    assert [peer.take(batch, b"") for batch in (0, 1, 4, 5)] == [
        "",
        "",
        "of its lines, batches 2 to 4 were lost",
        "",
    ]
