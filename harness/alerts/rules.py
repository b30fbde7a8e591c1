"""Alert rules as Prometheus's files state them, each with its line. Nothing is evaluated here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.alerts.expressions import ExpressionError, Selector, parse, selectors, window_s
from harness.errors import Problem, RulesError
from harness.incident.source import Source

MAX_BYTES = 50_000_000
MAX_RULES = 2000
"""Rules scored at once: each is a query a recording. More are refused rather than run for hours."""

_GROUP_FIELDS = {
    "name", "interval", "limit", "query_offset", "rules", "labels", "partial_response_strategy",
}  # fmt: skip
_RULE_FIELDS = {
    "alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations",
}  # fmt: skip
_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?"
)
_SECONDS = (31_536_000.0, 604_800.0, 86_400.0, 3600.0, 60.0, 1.0, 0.001)


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule, alerting (``alert``) or recording (``record``). Durations in seconds."""

    expr: str
    file: str
    line: int
    group: str
    alert: str = ""
    record: str = ""
    for_s: float = 0.0
    keep_firing_for_s: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.alert or self.record

    @cached_property
    def selectors(self) -> tuple[Selector, ...]:
        """The series it asks for."""
        return selectors(parse(self.expr))

    @cached_property
    def window_s(self) -> float:
        """How far back its expression looks."""
        return window_s(parse(self.expr))

    @property
    def place(self) -> str:
        """``file:line`` for messages."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together, in this order, each ``interval_s`` (None: the default)."""

    name: str
    file: str
    interval_s: float | None
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class RuleSet:
    """All groups of all files, in their order."""

    groups: tuple[Group, ...]

    def __iter__(self) -> Iterator[Rule]:
        for group in self.groups:
            yield from group.rules

    @property
    def alerts(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self if rule.alert)

    @property
    def window_s(self) -> float:
        """The longest look back of any rule, what it records for others included."""
        recorded = {rule.record: rule.window_s for rule in self if rule.record}
        longest = 0.0
        for rule in self:
            via = max((recorded.get(s.metric or "", 0.0) for s in rule.selectors), default=0.0)
            longest = max(longest, rule.window_s + via)
        return longest

    def wants(self, metric: str) -> bool:
        """Whether any rule could select a series of this name."""
        return any(selector.wants(metric) for rule in self for selector in rule.selectors)

    def named(self, alert: str) -> Rule:
        """The alert of that name; RulesError naming the nearest when there is none, or several."""
        found = [rule for rule in self.alerts if rule.alert == alert]
        if len(found) == 1:
            return found[0]
        if found:
            places = ", ".join(rule.place for rule in found)
            raise RulesError([Problem(f"{len(found)} alerts are called {alert!r}: {places}")])
        names = sorted({rule.alert for rule in self.alerts})
        near = get_close_matches(alert, names) or names[:10]
        raise RulesError(
            [Problem(f"no alert is called {alert!r}")],
            remedy=f"Did you mean: {', '.join(near) or 'the files hold no alert at all'}?",
        )

    def only(self, names: Iterable[str]) -> RuleSet:
        """The named alerts, and every recording rule."""
        kept = {self.named(name).alert for name in names}
        return RuleSet(
            tuple(
                Group(
                    group.name,
                    group.file,
                    group.interval_s,
                    tuple(rule for rule in group.rules if rule.record or rule.alert in kept),
                )
                for group in self.groups
            )
        )


def load_rules(paths: Iterable[Path]) -> RuleSet:
    """The rules of these files, and of every ``*.yml``/``*.yaml`` in folders among them.

    Raises:
        RulesError: with every problem of every file, each with file and line.
    """
    problems: list[Problem] = []
    groups: list[Group] = []
    for path in _files(paths, problems):
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8 text"
            problems.append(Problem(f"cannot be read: {why}", str(path)))
            continue
        groups += read_rules(text, file=str(path), problems=problems)
    seen: dict[tuple[str, str], str] = {}
    for group in groups:
        if (group.file, group.name) in seen:
            problems.append(Problem(f"two groups are called {group.name!r}", group.file))
        seen[group.file, group.name] = group.name
    rules = RuleSet(tuple(groups))
    count = sum(len(group.rules) for group in groups)
    if count > MAX_RULES:
        last = list(rules)[MAX_RULES]
        message = f"{count} rules; at most {MAX_RULES} are evaluated at once"
        problems.append(Problem(message, last.file, last.line))
        raise RulesError(problems, remedy="Give fewer files, or split this one.")
    if not problems and not count:
        problems.append(Problem("no rules in " + ", ".join(str(path) for path in paths)))
    if problems:
        raise RulesError(problems)
    return rules


def read_rules(text: str, *, file: str, problems: list[Problem]) -> list[Group]:
    """The groups of one file; what is wrong is added to ``problems``."""
    source = Source(text, file=file, what="a rule file", max_bytes=MAX_BYTES)
    problems += source.problems
    if source.data is None:
        return []
    groups = source.data.get("groups")
    unknown = set(source.data) - {"groups"}
    problems += [source.problem((key,), f"unknown field {key!r}") for key in sorted(unknown)]
    if not isinstance(groups, list):
        problems.append(source.problem(("groups",), "a rule file is a list of `groups`"))
        return []
    return [
        group
        for number, data in enumerate(groups)
        if (group := _group(source, ("groups", number), data, problems)) is not None
    ]


def seconds(text: object) -> float:
    """A duration as Prometheus writes it (``1h30m``, ``0s``), in seconds; ValueError otherwise."""
    said = str(text)
    found = _DURATION.fullmatch(said)
    if said == "0":
        return 0.0
    if found is None or not said:
        raise ValueError(f"{said!r} is not a duration such as 30s, 5m or 1h30m")
    return sum(
        int(number) * unit
        for number, unit in zip(found.groups(), _SECONDS, strict=True)
        if number is not None
    )


def duration(value_s: float) -> str:
    """Seconds as Prometheus writes them: ``90`` is ``1m30s``."""
    rest = round(value_s * 1000)
    text = ""
    for unit, name in ((3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")):
        count, rest = divmod(rest, unit)
        text += f"{count}{name}" if count else ""
    return text or "0s"


def _files(paths: Iterable[Path], problems: list[Problem]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted([*path.glob("*.yml"), *path.glob("*.yaml")])
            if not inside:
                problems.append(Problem("no *.yml or *.yaml in this folder", str(path)))
            found += inside
        elif path.exists():
            found.append(path)
        else:
            problems.append(Problem("no such file", str(path)))
    return found


def _group(
    source: Source, at: tuple[str | int, ...], data: Any, problems: list[Problem]
) -> Group | None:
    if not isinstance(data, dict):
        problems.append(source.problem(at, "a group is a mapping of fields"))
        return None
    problems += [
        source.problem((*at, key), f"unknown field {key!r}")
        for key in sorted(set(data) - _GROUP_FIELDS)
    ]
    name = data.get("name")
    if not isinstance(name, str) or not name:
        problems.append(source.problem(at, "a group needs a name"))
        name = "?"
    interval_s = _duration(source, (*at, "interval"), data.get("interval"), problems) or None
    rules = data.get("rules") or []
    if not isinstance(rules, list):
        problems.append(source.problem((*at, "rules"), "`rules` is a list"))
        rules = []
    shared = _texts(source, (*at, "labels"), data.get("labels"), problems)
    found = [
        _rule(source, (*at, "rules", number), rule, name, shared, problems)
        for number, rule in enumerate(rules)
    ]
    return Group(name, source.file, interval_s, tuple(rule for rule in found if rule))


def _rule(
    source: Source,
    at: tuple[str | int, ...],
    data: Any,
    group: str,
    shared: Mapping[str, str],
    problems: list[Problem],
) -> Rule | None:
    if not isinstance(data, dict):
        problems.append(source.problem(at, "a rule is a mapping of fields"))
        return None
    for key in sorted(set(data) - _RULE_FIELDS):
        near = get_close_matches(key, _RULE_FIELDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        problems.append(source.problem((*at, key), f"unknown field {key!r}{hint}"))
    alert, record = data.get("alert"), data.get("record")
    if bool(alert) == bool(record):
        problems.append(source.problem(at, "a rule has either `alert` or `record`"))
    if record and any(key in data for key in ("for", "keep_firing_for", "annotations")):
        problems.append(source.problem(at, "a recording rule has no for, no annotations"))
    expr = data.get("expr")
    line = source.line((*at, "expr")) or source.line(at) or 1
    if expr is None or str(expr).strip() == "":
        problems.append(source.problem(at, "a rule needs an `expr`"))
        return None
    try:
        parse(str(expr))
    except ExpressionError as error:
        problems.append(Problem(f"not PromQL: {error}", source.file, line, alert or record))
        return None
    return Rule(
        expr=str(expr).strip(),
        file=source.file,
        line=source.line(at) or line,
        group=group,
        alert=str(alert or ""),
        record=str(record or ""),
        for_s=_duration(source, (*at, "for"), data.get("for"), problems),
        keep_firing_for_s=_duration(
            source, (*at, "keep_firing_for"), data.get("keep_firing_for"), problems
        ),
        labels={
            **shared,
            **_texts(source, (*at, "labels"), data.get("labels"), problems),
        },
        annotations=_texts(source, (*at, "annotations"), data.get("annotations"), problems),
    )


def _duration(
    source: Source, at: tuple[str | int, ...], value: Any, problems: list[Problem]
) -> float:
    if value is None:
        return 0.0
    try:
        return seconds(value)
    except ValueError as error:
        problems.append(source.problem(at, str(error)))
        return 0.0


def _texts(
    source: Source, at: tuple[str | int, ...], value: Any, problems: list[Problem]
) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or any(isinstance(v, (dict, list)) for v in value.values()):
        problems.append(source.problem(at, "a mapping of names to texts"))
        return {}
    return {str(key): "" if text is None else str(text) for key, text in value.items()}
