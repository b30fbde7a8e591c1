"""What a replay must measure for its incident to count as reproduced."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from harness.incident.base import Model, Name, Share
from harness.incident.units import Seconds, parse_duration_s, parse_rate_per_s

Unit = Literal["share", "s", "per_s", "plain"]

Measure = Literal[
    "success",
    "affected",
    "goodput",
    "attempts-per-login",
    "latency-p50",
    "latency-p95",
    "latency-p99",
    "answers",
    "failures-with-code",
    "metric-max",
    "metric-min",
    "metric-mean",
    "metric-increase",
]

UNITS: dict[str, Unit] = {
    "success": "share",
    "affected": "share",
    "failures-with-code": "share",
    "goodput": "per_s",
    "latency-p50": "s",
    "latency-p95": "s",
    "latency-p99": "s",
}
"""What a measure's bounds are given in; what is not named here are plain numbers."""


class ExpectedShare(Model):
    """``share`` ± ``tolerance``."""

    share: Share
    tolerance: Share = 0.05


class Stretch(Model):
    """From one incident second to another; without an end, to the incident's."""

    from_s: Seconds = Field(alias="from")
    until_s: Seconds | None = Field(None, alias="until")


class Claim(Model):
    """One figure and its bounds, measured over a stretch of the incident (the outage by default).

    ``replica`` narrows measures of logins to the users of one replica, ``target`` a metric to one
    part. ``relative_to`` divides by the same measure over another stretch.

    | measure | what | bounds |
    |---|---|---|
    | success, affected | share of logins, of users (weighted) | 0 to 1 |
    | goodput | successful logins a second | 40/s |
    | attempts-per-login | attempts sent for each login begun | number |
    | latency-p50, -p95, -p99 | of successful logins, from the intended instant | 2s |
    | answers | attempts that ended with ``code`` | number |
    | failures-with-code | share of failed attempts that ended with ``code`` | 0 to 1 |
    | metric-max, -min, -mean | of ``metric`` summed over its series, second by second | number |
    | metric-increase | growth of the counter ``metric`` | number |
    """

    id: Name
    measure: Measure
    says: str = ""
    from_s: Seconds | None = Field(None, alias="from")
    until_s: Seconds | None = Field(None, alias="until")
    replica: str | None = None
    code: str | None = None
    metric: str | None = None
    labels: str = ""
    target: str | None = None
    relative_to: Stretch | None = None
    at_least: float | str | None = None
    at_most: float | str | None = None

    @model_validator(mode="after")
    def _can_be_measured(self) -> Claim:
        problems = []
        about_metric = self.measure.startswith("metric-")
        if about_metric != (self.metric is not None):
            problems.append(f"{self.measure} {'needs' if about_metric else 'takes no'} metric")
        if (self.labels or self.target) and not about_metric:
            problems.append(f"{self.measure} takes no labels and no target")
        about_code = self.measure in ("answers", "failures-with-code")
        if about_code != (self.code is not None):
            problems.append(f"{self.measure} {'needs' if about_code else 'takes no'} code")
        if about_metric and self.replica:
            problems.append("a metric is narrowed by target, not by replica")
        if self.at_least is None and self.at_most is None:
            problems.append("nothing is expected: give at_least or at_most")
        for bound in (self.at_least, self.at_most):
            if bound is not None:
                try:
                    self._in_unit(bound)
                except ValueError as error:
                    problems.append(str(error))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def unit(self) -> Unit:
        """What its value and its bounds are in."""
        return "plain" if self.relative_to else UNITS.get(self.measure, "plain")

    @property
    def least(self) -> float | None:
        return None if self.at_least is None else self._in_unit(self.at_least)

    @property
    def most(self) -> float | None:
        return None if self.at_most is None else self._in_unit(self.at_most)

    def _in_unit(self, bound: float | str) -> float:
        if self.unit in ("s", "per_s"):
            if not isinstance(bound, str):
                example = "2s" if self.unit == "s" else "40/s"
                raise ValueError(f"{bound:g} has no unit: write it as {example}")
            return parse_duration_s(bound) if self.unit == "s" else parse_rate_per_s(bound)
        if isinstance(bound, str):
            raise ValueError(f"'{bound}': {self.measure} is bounded by a plain number")
        if self.unit == "share" and not 0 <= bound <= 1:
            raise ValueError(f"{bound:g} is no share: {self.measure} lies between 0 and 1")
        return float(bound)


class Expectations(Model):
    """What the replay must measure. Each field that is given is a check; ``measured`` adds more."""

    users_affected: ExpectedShare
    pool_timeouts_at_least: int | None = Field(None, ge=0)
    failed_before_surge_at_most: Share | None = None
    recovered_success_at_least: Share | None = None
    unrecovered_success_at_most: Share | None = None
    capacity_tolerance: Share | None = None
    measured: tuple[Claim, ...] = ()
