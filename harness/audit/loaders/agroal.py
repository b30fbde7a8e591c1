"""Agroal's pool, by the names of its settings in Quarkus: ``max-size``, ``acquisition-timeout``.

Source: https://quarkus.io/guides/datasource
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from harness.audit.loaders.database_urls import parameter_of, target_from
from harness.audit.parts import Pool
from harness.audit.reading import number, read_at, zero_is_unlimited
from harness.audit.values import Place, Settings, Value, Variable

AGROAL, PGJDBC = "Agroal", "PostgreSQL's JDBC driver"
_DURATION = re.compile(r"(?:PT)?(\d+)(ms|s|m|h)?", re.IGNORECASE)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def pool_of(
    name: str,
    settings: Settings,
    url: Value[str],
    place: Place,
    *,
    size: Value[float],
    variable: Callable[[str], str] | None = None,
) -> Pool:
    """A pool with these settings; ``size`` is what it is where ``max-size`` is not said.

    ``variable`` names the environment variable that decides a setting over its file.
    """

    def said(key: str, default: Value[float], *, times: bool = False) -> Value[float]:
        read = seconds if times else number
        value = default
        if key in settings:
            text, at = settings[key]
            value = read_at(text, at, key, read)
        if variable is None or value.variable is not None:
            return value
        return value.decided_by(Variable(variable(key), read))

    return Pool(
        name=name,
        place=place,
        implementation="unknown",
        size=said("max-size", size),
        max_overflow=Value.default(0.0, AGROAL, place),
        min_size=said("min-size", Value.default(0.0, AGROAL, place)),
        max_waiting=Value.default(math.inf, AGROAL, place),
        timeout_s=said("acquisition-timeout", Value.default(5.0, AGROAL, place), times=True),
        recycle_s=said("max-lifetime", Value.default(math.inf, AGROAL, place), times=True),
        connect_timeout_s=parameter_of(
            url, "connectTimeout", zero_is_unlimited, Value.default(10.0, PGJDBC, place), place
        ),
        target=target_from(url, place),
        is_async=Value.default(False, AGROAL, place),
        prepared_statements=parameter_of(
            url,
            "prepareThreshold",
            lambda text: int(text) != 0,
            Value.default(True, PGJDBC, place),
            place,
        ),
    )


def seconds(text: str) -> float:
    """A number of seconds, or with a unit; 0 is no limit."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    return float(found[1]) * _UNITS[(found[2] or "s").lower()] or math.inf
