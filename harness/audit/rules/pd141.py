"""Alerts about the pools that come after users have noticed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Alert, Pool, Workload
from harness.audit.rules import pool_metrics, promql
from harness.audit.rules.inputs import carried_per_s, may_wait, serving
from harness.audit.values import Value

ID = "PD141"
TITLE = "No alert comes before the first request times out"

SCRAPE_S, EVALUATION_S, GROUP_WAIT_S = 60.0, 60.0, 30.0
"""What Prometheus and Alertmanager do where nobody says otherwise.
https://prometheus.io/docs/prometheus/latest/configuration/configuration/
https://prometheus.io/docs/alerting/latest/configuration/
"""


@dataclass(frozen=True, slots=True)
class _Delay:
    """From the first sign to a person: what is known of it, and what there is by default."""

    known_s: float
    by_default_s: float
    least_s: float
    """Of an alert without ``for``, that nobody holds back."""

    shown: str
    lacks: tuple[str, Value[float]] | None


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """for + group_wait + scrape + evaluation > T·ρ/(ρ−1), for the earliest alert on the pools.

    T is the shortest timeout of a pool, or of the gateway before it; ρ the peak over what the pools
    carry. Where ρ ≤ 1 they carry it, and nobody times out. Alerts on timeouts never come first.
    """
    records = promql.recorded(chain)
    early = [alert for alert in chain.alerts if _leads(alert, records)]
    onset_s = first_timeout_s(chain)
    if not early or onset_s is None:
        return
    delays = [(_delay(chain, alert), alert) for alert in early]
    delay, alert = min(delays, key=lambda each: each[0].known_s)
    if delay.least_s >= onset_s:
        return  # no alert could: that is the pool's timeout, and PD142's matter
    if delay.known_s > onset_s:
        yield Finding(
            ID,
            "warning",
            alert.for_s.place or alert.place,
            f"at the peak the first request times out after {onset_s:.0f} s, and {alert.name}, the "
            f"earliest alert about the pools, comes after {delay.known_s:g} s ({delay.shown}): "
            "users are the first to know",
            "Shorten for, scrape more often, and give pages a group_wait of a few seconds, so that "
            f"all of it is below {onset_s:.0f} s.",
        )
    elif delay.lacks is not None and delay.by_default_s > onset_s:
        what, value = delay.lacks
        yield needs(ID, f"how soon {alert.name} comes: {what}", value, alert.place)


def first_timeout_s(chain: Chain) -> float | None:
    """T·ρ/(ρ−1); None where the pools carry the peak, or something of it is not known."""
    carried, peak = carried_per_s(chain), chain.peak_per_s.known
    if carried is None or peak is None or carried <= 0 or peak <= carried:
        return None
    timeouts = [pool.timeout_s.known for _, pool in serving(chain)]
    if any(each is None for each in timeouts):
        return None
    shortest_s = min(_until_timeout_s(chain, *each) for each in serving(chain))
    load = peak / carried
    return shortest_s * load / (load - 1) if math.isfinite(shortest_s) else None


def _until_timeout_s(chain: Chain, workload: Workload, pool: Pool) -> float:
    """For how long a request waits until something ends it: its pool, or its gateway.

    Where there are connections for all threads it waits before these, which no pool ends.
    """
    wait_s = (pool.timeout_s.known or 0.0) if may_wait(workload, pool) else math.inf
    given_up = [each.timeout_s.known for each in chain.gateways_of(pool)]
    return min([wait_s, *(each for each in given_up if each is not None)])


def _leads(alert: Alert, records: Mapping[str, Any]) -> bool:
    tree = promql.tree_of(alert.expression)
    if tree is None:
        return False
    return any(pool_metrics.leads(name) for name in promql.metrics(tree, records))


def _delay(chain: Chain, alert: Alert) -> _Delay:
    evaluations = [alert.interval_s, *(watch.evaluation_s for watch in chain.watches)]
    parts = (
        ("for", alert.for_s, 0.0),
        ("group_wait", _shortest(watch.group_wait_s for watch in chain.watches), GROUP_WAIT_S),
        ("scrape_interval", _shortest(watch.scrape_s for watch in chain.watches), SCRAPE_S),
        ("evaluation_interval", _first(evaluations), EVALUATION_S),
    )
    known = [(name, value.known) for name, value, _ in parts if value.known is not None]
    return _Delay(
        known_s=sum(seconds for _, seconds in known),
        by_default_s=sum(d if v.known is None else v.known for _, v, d in parts),
        least_s=sum(v.known or 0.0 for name, v, _ in parts if name.endswith("interval")),
        shown=" + ".join(f"{name} {seconds:g} s" for name, seconds in known),
        lacks=next(((name, value) for name, value, _ in parts if value.known is None), None),
    )


def _shortest(values: Iterator[Value[float]]) -> Value[float]:
    known = [each for each in values if each.known is not None]
    if known:
        return min(known, key=lambda each: each.known or 0.0)
    return Value.unknown("no file of Prometheus's or Alertmanager's own says it")


def _first(values: list[Value[float]]) -> Value[float]:
    found = next((each for each in values if each.known is not None), None)
    return found or Value.unknown("no file of Prometheus's own says it")
