"""Labels never cover each other."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from harness.report.lanes import Label, pack

WIDTH_PX = 960

labels = st.builds(Label, st.floats(0, WIDTH_PX), st.text("abc ", min_size=1, max_size=50))


@given(st.lists(labels, max_size=25))
def test_labels_in_one_lane_do_not_overlap(given_labels: list[Label]) -> None:
    placed = pack(given_labels, WIDTH_PX)
    assert len(placed) == len(given_labels)
    for one, other in combinations(placed, 2):
        if one.lane == other.lane:
            (begin, end), (other_begin, other_end) = one.span_px, other.span_px
            assert end <= other_begin or other_end <= begin


@given(labels)
def test_a_label_alone_stays_within_the_width(label: Label) -> None:
    begin, end = pack([label], WIDTH_PX)[0].span_px
    assert end <= WIDTH_PX + 12  # a mark at the very end hangs over by itself
    assert begin >= -12
