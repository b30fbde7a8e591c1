"""Quantities as people write them in an incident file: ``30s``, ``2h30m``, ``150ms``, ``80/s``.

A bare number is refused in a file: nobody should have to guess whether 30 is seconds or
milliseconds. In Python the same fields take plain floats, in seconds or per second.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|min|m|h)")
_RATE_UNIT_S = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}

FROM_FILE = {"from_file": True}
"""Validation context of everything that a person wrote: quantities must carry their unit."""


def parse_duration_s(text: str) -> float:
    """Seconds of ``150ms``, ``30s``, ``2h30m``; ValueError says what was expected."""
    compact = text.replace(" ", "")
    if not _DURATION.fullmatch(compact):
        raise ValueError(f"'{text}' is not a duration: write 150ms, 30s, 10m or 2h30m")
    total_s = sum(float(n) * _UNIT_S[unit] for n, unit in _DURATION_PART.findall(compact))
    return round(total_s, 6)  # 1400 x 0.001 s is 1.4 s


def format_duration(seconds: float) -> str:
    """The shortest exact spelling that `parse_duration_s` reads back: 9000.0 -> ``2h30m``."""
    total_ms = round(seconds * 1000)
    if total_ms == 0:
        return "0s"
    parts = []
    for unit, size_ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        count, total_ms = divmod(total_ms, size_ms)
        if count:
            parts.append(f"{count}{unit}")
    if total_ms:
        parts.append(f"{total_ms}ms")
    return "".join(parts)


def parse_rate_per_s(text: str) -> float:
    """Arrivals per second of ``80/s``, ``4800/min``; ValueError says what was expected."""
    match = _RATE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"'{text}' is not a rate: write 80/s or 4800/min")
    return float(match[1]) / _RATE_UNIT_S[match[2]]


def format_rate(per_s: float) -> str:
    """``80/s``: what `parse_rate_per_s` reads back."""
    return f"{per_s:g}/s"


def _quantity(parse: Any, what: str, example: str) -> BeforeValidator:
    def read(value: Any, info: ValidationInfo) -> float:
        if isinstance(value, str):
            return float(parse(value))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"a {what} such as {example} is expected")
        if info.context and info.context.get("from_file"):
            raise ValueError(f"{value:g} has no unit: write {what}s with one, such as {example}")
        if value < 0:
            raise ValueError(f"a {what} cannot be negative")
        return float(value)

    return BeforeValidator(read)


def _text_schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", "examples": [example]})


Seconds = Annotated[
    float,
    _quantity(parse_duration_s, "duration", "30s"),
    PlainSerializer(format_duration, return_type=str),
    _text_schema(_DURATION.pattern, "2h30m"),
]
"""A duration: float seconds in Python, ``2h30m`` in a file."""

PerSecond = Annotated[
    float,
    _quantity(parse_rate_per_s, "rate", "80/s"),
    PlainSerializer(format_rate, return_type=str),
    _text_schema(_RATE.pattern, "80/s"),
]
"""An arrival rate: float per second in Python, ``80/s`` in a file."""
