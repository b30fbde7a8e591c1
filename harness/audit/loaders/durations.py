"""Durations as programs in Go spell them.

Source: https://pkg.go.dev/time#ParseDuration and, for days,
https://caddyserver.com/docs/conventions#durations
"""

from __future__ import annotations

import math
import re

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|d))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """``1m30s`` in seconds; 0 is no limit, inf. Raises `ValueError`."""
    if text == "0":
        return math.inf
    if _DURATION.fullmatch(text) is None:
        raise ValueError(text)
    return sum(float(count) * _UNITS_S[unit] for count, unit in _PART.findall(text)) or math.inf
