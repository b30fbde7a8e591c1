"""The clocks on one strip of the incident's true length, as inline SVG."""

from __future__ import annotations

import html
from collections.abc import Iterator

from harness.report import words
from harness.report.lanes import Label, pack
from harness.report.story import Story, clock_rows

WIDTH_PX, BAR_PX, LANE_PX, SIDE_PX = 1200, 16, 20, 8
SHORT = {
    "surge_start": "surge",
    "first_waiter": "first waiter",
    "first_pool_timeout": "first pool timeout",
    "slo_breach": "SLO broken",
    "detected": "detected",
    "mitigated": "mitigated",
    "recovered": "recovered",
}


def clock_strip(story: Story) -> str:
    """A bar from the incident's first to its last second, harm shaded, every clock labelled."""
    incident = story.incident
    scale = (WIDTH_PX - 2 * SIDE_PX) / incident.clock.duration_s
    rows = [row for row in clock_rows(story) if row.at_s is not None]
    labels = [
        Label(SIDE_PX + (row.at_s or 0.0) * scale, f"{SHORT[row.key]} {row.clock}", row)
        for row in rows
    ]
    packed = pack(labels, WIDTH_PX)
    lanes = max((place.lane for place in packed), default=-1) + 1
    bar_y = lanes * LANE_PX + 6
    parts = [_rect("bar", SIDE_PX, bar_y, WIDTH_PX - 2 * SIDE_PX)]
    clocks = story.verdict.clocks_s
    if clocks.slo_breach is not None:
        end_s = incident.clock.duration_s if clocks.recovered is None else clocks.recovered
        begin_px = SIDE_PX + clocks.slo_breach * scale
        parts.append(_rect("harm", begin_px, bar_y, (end_s - clocks.slo_breach) * scale))
    for place in packed:
        x_px, y = place.label.x_px, place.lane * LANE_PX + 14
        anchor, shift = ("end", -7) if place.left else ("start", 7)
        parts.append(
            f'<line x1="{x_px:.1f}" x2="{x_px:.1f}" y1="{y - 4}" y2="{bar_y + BAR_PX}"/>'
            f'<circle class="dot" cx="{x_px:.1f}" cy="{y - 4}" r="3.5"/>'
            f'<text x="{x_px + shift:.1f}" y="{y}" text-anchor="{anchor}">'
            f"{html.escape(place.label.text)}</text>"
        )
    parts += _hours(story, scale, bar_y + BAR_PX)
    described = "; ".join(f"{row.label} {row.clock}" for row in rows) or "no clock was measured"
    return (
        f'<svg class="strip" viewBox="0 0 {WIDTH_PX} {bar_y + BAR_PX + 22}" role="img" '
        f'aria-label="The incident at its true length. {html.escape(described)}">'
        f"{''.join(parts)}</svg>"
    )


def _rect(kind: str, x_px: float, y_px: float, width_px: float) -> str:
    return (
        f'<rect class="{kind}" x="{x_px:.1f}" y="{y_px}" width="{width_px:.1f}" '
        f'height="{BAR_PX}" rx="2"/>'
    )


def _hours(story: Story, scale: float, y_px: float) -> Iterator[str]:
    """Ticks of the document's clock, at most twelve."""
    length_s = story.incident.clock.duration_s
    steps = (60, 300, 600, 1800, 3600, 7200, 14400, 86400)
    step_s = next((step for step in steps if length_s / step <= 12), steps[-1])
    at_s = -(story.incident.clock.starts_at.timestamp() % step_s) % step_s
    while at_s <= length_s:
        x_px = SIDE_PX + at_s * scale
        yield (
            f'<line x1="{x_px:.1f}" x2="{x_px:.1f}" y1="{y_px}" y2="{y_px + 4}"/>'
            f'<text class="soft" x="{x_px:.1f}" y="{y_px + 17}" text-anchor="middle">'
            f"{words.clock(story.incident, at_s, with_seconds=False)}</text>"
        )
        at_s += step_s
