"""A range of a Prometheus that is to be asked for, checked before anything is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import promql_parser as promql

from harness.alerts.expressions import ExpressionError, parse
from harness.errors import UsageError

KNOWN_SERIES = (
    '{__name__=~"db_client_connection_.*|auth_.*|gateway_.*|pg_stat_activity_.*|pg_settings_.*'
    '|pg_stat_database_.*|pgbouncer_.*|up"}'
)
"""Every metric that Pooldrill has a name for."""

STEP_S = 15.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A range of a Prometheus, checked: instants are ``begin + k * step_s`` up to ``end``."""

    begin: datetime
    end: datetime
    step_s: float
    selectors: tuple[str, ...]
    window: tuple[datetime, datetime] | None = None

    @property
    def begin_epoch_s(self) -> float:
        return self.begin.timestamp()

    def epoch_s(self, instant: int) -> float:
        """The epoch second of an instant by its number."""
        return self.begin_epoch_s + instant * self.step_s

    @property
    def length_s(self) -> float:
        return self.second(self.end)

    @property
    def count(self) -> int:
        """How many instants there are."""
        return int(self.length_s / self.step_s + 1e-9) + 1

    def second(self, at: datetime) -> float:
        """Seconds since the begin, to the millisecond."""
        return round((at - self.begin).total_seconds(), 3)

    def __str__(self) -> str:
        return f"{utc_text(self.begin)} to {utc_text(self.end)}"


def check_range(
    *,
    begin: datetime,
    end: datetime,
    step_s: float = STEP_S,
    selectors: Sequence[str] = (KNOWN_SERIES,),
    window: tuple[datetime, datetime] | None = None,
) -> Asked:
    """The range as it will be asked for; UsageError naming what makes no sense."""
    for at in (begin, end, *(window or ())):
        if at.tzinfo is None:
            raise UsageError(
                f"the instant {at.isoformat()} has no time zone",
                remedy="Write it with its offset: 2025-01-07T09:00:00Z.",
            )
    # Prometheus counts in whole milliseconds: a finer instant would be asked for and never met.
    asked = Asked(
        _to_millisecond(begin),
        _to_millisecond(end),
        float(step_s),
        tuple(text.strip() for text in selectors),
        None if window is None else (_to_millisecond(window[0]), _to_millisecond(window[1])),
    )
    if not math.isfinite(step_s) or step_s <= 0 or abs(step_s - round(step_s, 3)) > 1e-9:
        raise UsageError(
            f"a step of {step_s:g} s is no step",
            remedy="Give the scrape interval in seconds, such as 15.",
        )
    if asked.end <= asked.begin:
        raise UsageError(
            f"the range {asked} ends before it begins",
            remedy="Give the earlier instant first.",
        )
    if asked.length_s < asked.step_s:
        raise UsageError(
            f"the range {asked} is shorter than one step of {step_s:g} s",
            remedy="Give a longer range or a shorter step.",
        )
    if asked.window is not None:
        harmed, healed = asked.window
        if not asked.begin <= harmed < healed <= asked.end:
            raise UsageError(
                f"the incident's window {utc_text(harmed)} to {utc_text(healed)} does not lie in "
                f"the range {asked}",
                remedy="Give a range that begins before the window and ends after it.",
            )
    if not asked.selectors:
        raise UsageError(
            "no series are asked for", remedy="Give a selector such as '{job=\"auth\"}'."
        )
    for text in asked.selectors:
        _check_selector(text)
    return asked


def _check_selector(text: str) -> None:
    try:
        tree = parse(text)
    except ExpressionError as error:
        raise UsageError(
            f"{text!r} is not PromQL: {error}", remedy="Write a selector such as '{job=\"auth\"}'."
        ) from None
    plain = isinstance(tree, promql.VectorSelector) and tree.offset is None and tree.at is None
    if not plain:
        raise UsageError(
            f"{text!r} is no selection of series",
            remedy="Import series as they were stored; rules calculate with them afterwards.",
        )


def _to_millisecond(at: datetime) -> datetime:
    return at - timedelta(microseconds=at.microsecond % 1000)


def utc_text(at: datetime) -> str:
    """RFC 3339, in UTC; milliseconds only where there are any."""
    kind = "milliseconds" if at.microsecond else "seconds"
    return at.astimezone(UTC).isoformat(timespec=kind).replace("+00:00", "Z")
