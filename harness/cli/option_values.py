"""What options take beside plain words: an instant, a duration, seeds, a spread of values."""

from __future__ import annotations

import re
from datetime import datetime

from harness.errors import UsageError


def instant(option: str, text: str) -> datetime:
    """An instant in RFC 3339, with its zone; UsageError otherwise."""
    remedy = f"Write {option} 2026-11-02T09:00:00Z."
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}", remedy=remedy) from None
    if found.tzinfo is None:
        raise UsageError(f"{option} {text!r} has no time zone", remedy=remedy)
    return found


def duration_s(option: str, text: str) -> float:
    """A duration as Prometheus writes it, in seconds; UsageError otherwise."""
    from harness.alerts.rules import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise UsageError(f"{option} {error}", remedy=f"Write {option} 15s.") from None


def seed_range(text: str) -> list[int]:
    """``3`` or ``1..3`` as seeds; UsageError otherwise."""
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text.strip())
    if found is None or not 0 <= int(found[2] or found[1]) - int(found[1]) < 1000:
        raise UsageError(f"--seeds {text!r} is no range of seeds", remedy="Write --seeds 1..3.")
    return list(range(int(found[1]), int(found[2] or found[1]) + 1))


def spread(text: str, read: object, option: str) -> list[float]:
    """``A..B`` as 20 values from A to B, ``A..B/N`` as N, ``A`` as itself; UsageError otherwise."""
    assert callable(read)
    remedy = f"Write {option} A..B, A..B/N or one value."
    found = re.fullmatch(r"(.+?)(?:\.\.(.+?)(?:/(\d+))?)?", text.strip())
    if found is None:
        raise UsageError(f"{option} {text!r} is no range", remedy=remedy)
    try:
        low = float(read(found[1]))
        high = low if found[2] is None else float(read(found[2]))
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}", remedy=remedy) from None
    count = int(found[3] or 20)
    if high < low or not 1 <= count <= 100:
        raise UsageError(f"{option} {text!r}: from low to high, in at most 100", remedy=remedy)
    if high == low or count == 1:
        return [low]
    return [round(low + (high - low) * step / (count - 1), 9) for step in range(count)]
