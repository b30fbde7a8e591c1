"""Prometheus's rule files, and the PrometheusRule of its operator: alerts and what is recorded.

Format: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.alerts.expressions import ExpressionError, parse
from harness.alerts.rules import seconds
from harness.audit.finding import Unread
from harness.audit.parts import Alert, Recording
from harness.audit.reading import Reading, read_at
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value
from harness.audit.yamls import Item, NotReadable, documents

PROMETHEUS = "Prometheus"
_RULE = re.compile(r"^\s*-?\s*\"?(?:alert|record)\"?\s*:", re.MULTILINE)
_KIND = re.compile(r"^[{ ]*\"?kind\"?:[ \t]*\"?(\w+)", re.MULTILINE)
_GROUPS = re.compile(r"^\s*(?:\{\s*)?\"?groups\"?\s*:", re.MULTILINE)


def recognises(file: SourceFile) -> bool:
    """By its groups of rules."""
    if file.path.suffix not in (".yaml", ".yml", ".rules", ".json"):
        return False
    text = file.text
    if "groups" not in text or "rules" not in text or "expr" not in text:
        return False
    if "apiVersion" in text and set(_KIND.findall(text)) != {"PrometheusRule"}:
        return False  # rules inside of another object, as text
    if _GROUPS.search(text) is None:
        return False
    return _RULE.search(text) is not None or '"alert"' in text


def load(file: SourceFile) -> Reading:
    """Every rule whose expression is PromQL, at the line of its expression."""
    try:
        found = documents(file.text)
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    alerts, recordings, unread = [], [], []
    for group in (each for document in found for each in _groups(document)):
        interval = group.get("interval")
        interval_s: Value[float] = Value.unknown(
            "its group does not say; Prometheus's evaluation_interval holds",
            Place(file.name, group.line),
        )
        if interval is not None and interval.text is not None:
            at = Place(file.name, interval.line, "interval")
            interval_s = read_at(interval.text, at, "interval", seconds)
        for rule in _items(group, "rules"):
            found_rule = _rule(file, rule, interval_s)
            if isinstance(found_rule, Unread):
                unread.append(found_rule)
            elif isinstance(found_rule, Recording):
                recordings.append(found_rule)
            elif found_rule is not None:
                alerts.append(found_rule)
    return Reading(alerts=tuple(alerts), recordings=tuple(recordings), unread=tuple(unread))


def _groups(document: Item) -> Iterator[Item]:
    yield from _items(document, "groups")
    if _text(document, "kind") == "PrometheusRule":
        yield from _items(document, "spec", "groups")


def _rule(
    file: SourceFile, rule: Item, interval_s: Value[float]
) -> Alert | Recording | Unread | None:
    name, recorded, expression = _text(rule, "alert"), _text(rule, "record"), rule.get("expr")
    if not (name or recorded) or expression is None or expression.text is None:
        return None
    try:
        parse(expression.text)
    except ExpressionError:
        return Unread(file.name, "a rule's expr is not PromQL", expression.line)
    place = Place(file.name, expression.line, "expr")
    if recorded:
        return Recording(name=recorded, place=place, expression=expression.text)
    holding = rule.get("for")
    for_s: Value[float] = Value.default(0.0, PROMETHEUS, Place(file.name, rule.line, "for"))
    if holding is not None and holding.text is not None:
        at = Place(file.name, holding.line, "for")
        for_s = read_at(holding.text, at, "for", seconds)
    return Alert(
        name=name,
        place=place,
        expression=expression.text,
        for_s=for_s,
        interval_s=interval_s,
    )


def _items(item: Item, *path: str) -> tuple[Item, ...]:
    found = item.get(*path)
    return (found.items if found is not None else None) or ()


def _text(item: Item, *path: str) -> str:
    found = item.get(*path)
    return (found.text if found is not None else None) or ""
