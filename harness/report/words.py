"""Values as a reader wants them. What was not measured is said so, never shown as 0."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from harness.incident import Incident

NOT_MEASURED = "not measured"
DID_NOT_HAPPEN = "did not happen"


def duration(seconds: float) -> str:
    """``2 h 30 min``, ``14.5 s``, ``110 ms``: at most two units, rounded to what they can say."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if round(seconds, 3) < 1:
        return f"{round(seconds * 1000):d} ms"
    if round(seconds, 1) < 60:
        return f"{round(seconds, 1):g} s"
    whole_s = round(seconds)
    if whole_s < 3600:
        minutes, rest_s = divmod(whole_s, 60)
        return f"{minutes} min {rest_s} s" if rest_s else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def number(value: float) -> str:
    """Thousands apart (narrow no-break space); one decimal below 100 where there is one."""
    if abs(value) < 100 and round(value, 1) != round(value):
        return f"{value:.1f}"
    return f"{round(value):,}".replace(",", "\u202f")


def percent(ratio: float | None) -> str:
    """A ratio as a percentage with one decimal."""
    return NOT_MEASURED if ratio is None else f"{ratio * 100:.1f} %"


def seconds(value: float | None) -> str:
    return NOT_MEASURED if value is None else duration(value)


def rate(per_s: float | None) -> str:
    return NOT_MEASURED if per_s is None else f"{number(per_s)}/s"


def clock(incident: Incident, at_s: float, *, with_seconds: bool = True) -> str:
    """Incident second ``at_s`` on the document's clock: ``09:00:14``."""
    instant = incident.clock.starts_at + timedelta(seconds=at_s)
    return instant.strftime("%H:%M:%S" if with_seconds else "%H:%M")


def zone(incident: Incident) -> str:
    """The name of the document's time zone."""
    return incident.clock.starts_at.strftime("%Z") or "local time"


def plural(count: float, one: str, many: str = "") -> str:
    """``1 replica``, ``2 replicas``."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def pool(size: int, max_overflow: int) -> str:
    """A pool's limit as its two settings: ``5+0``."""
    return f"{size}+{'∞' if max_overflow < 0 else max_overflow}"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
