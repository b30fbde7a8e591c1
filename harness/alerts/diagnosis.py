"""Why a rule never fires, or never falls silent. Pure: what it asks, somebody else answers.

What is said holds for the recordings at hand: a threshold that nothing reached there may be reached
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import promql_parser as promql

from harness.alerts.expressions import (
    COMPARISONS,
    Comparison,
    Selector,
    comparisons,
    operator,
    pairs,
    parse,
    selectors,
)
from harness.alerts.rules import Rule, duration
from harness.alerts.score import Diagnosis
from harness.alerts.timelines import RuleResult

ALWAYS = 0.99
"""A rule that holds at this share of the evaluations holds always: a rate has no first value."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What an expression yielded: how many points, their extremes, and the names of its labels.

    The extremes are those of finite values; None where there are none.
    """

    points: int
    least: float | None = None
    most: float | None = None
    labels: tuple[str, ...] = ()


class Asks(Protocol):
    """Evaluates expressions over the recordings that the rules were evaluated over.

    An expression that Prometheus refuses yields nothing: an Extent of 0 points.
    """

    def __call__(self, expression: str) -> Extent:
        """Over all recordings together."""

    def on(self, expression: str, number: int) -> Extent:
        """Over the recording that ``results[number]`` is about."""


Ask = Callable[[str], Extent]


def diagnose(rule: Rule, results: Sequence[RuleResult], *, ask: Asks, incidents: bool) -> Diagnosis:
    """Dead, stuck or ok; ``results`` has one result a recording.

    Without ``incidents`` among the recordings a rule that stays silent below its threshold does
    what it should.
    """
    evaluated = [(number, result) for number, result in enumerate(results) if not result.failed]
    if not evaluated:
        return Diagnosis("dead", results[0].failed if results else "there are no recordings")
    if any(result.true for _, result in evaluated):
        return _never_silent(rule, evaluated, ask)
    reasons = [_why_dead(tree, ask, incidents) for tree in _alternatives(parse(rule.expr))]
    if not all(reasons):
        return Diagnosis()
    return Diagnosis("dead", "; and ".join(dict.fromkeys(reasons)))


def _why_dead(tree: Any, ask: Asks, incidents: bool) -> str:
    """Why an expression that held nowhere never does; empty when it need not have held."""
    lacking = _lacking(tree, ask)
    if lacking is not None:
        return _why_lacking(lacking, ask)
    apart = _apart(tree, ask)
    if apart or not incidents:
        return apart
    return _unreachable(tree, ask) or "its expression held at no evaluation of any recording"


def _alternatives(tree: Any) -> Iterator[Any]:
    """The sides of the outermost ``or``: each may hold without the others."""
    if isinstance(tree, promql.ParenExpr):
        yield from _alternatives(tree.expr)
    elif isinstance(tree, promql.BinaryExpr) and operator(tree) == "or":
        yield from _alternatives(tree.lhs)
        yield from _alternatives(tree.rhs)
    else:
        yield tree


# -- series that are not there


def _lacking(node: Any, ask: Ask) -> Selector | None:
    """The first selection without series that alone leaves the expression without a result.

    What stands behind ``unless`` or in ``absent()`` may be missing, and one side of an ``or``.
    """
    if isinstance(node, promql.BinaryExpr):
        left = _lacking(node.lhs, ask)
        if operator(node) == "unless":
            return left
        right = _lacking(node.rhs, ask)
        if operator(node) == "or":
            return left if right else None
        return left or right
    if isinstance(node, promql.Call):
        if node.func.name.startswith("absent"):
            return None
        return next((found for arg in node.args if (found := _lacking(arg, ask))), None)
    inner = getattr(node, "expr", None)
    if inner is not None:
        return _lacking(inner, ask)
    return next((each for each in selectors(node) if not ask(each.text).points), None)


def _why_lacking(selector: Selector, ask: Ask) -> str:
    if selector.metric is None:
        return f"no series match {selector.text}"
    there = ask(selector.metric)
    if not there.points:
        return f"missing metric: {selector.metric} is in no recording"
    return (
        f"label mismatch: no {selector.metric} matches {selector.text}; "
        f"its labels are {', '.join(there.labels) or 'none'}"
    )


# -- series that do not find each other


def _apart(tree: Any, ask: Ask) -> str:
    """Why the sides of some operation never meet; empty when all do, or might."""
    aside = {whole for each in _behind_unless(tree) for *_, whole in pairs(each)}
    for left, right, whole in pairs(tree):
        if whole in aside:
            continue
        sides = ask(left), ask(right)
        # Two sides that never have a result at the same instant say nothing about their labels.
        if not all(side.points for side in sides) or not _together(left, "on ()", right, ask):
            continue
        modifier = parse(whole).modifier
        matching = modifier.matching if modifier is not None else None
        if _together(left, _matching_text(matching), right, ask):
            continue
        ours, theirs = (_matched(side.labels, matching) for side in sides)
        if ours != theirs:
            return (
                f"label mismatch: {_line(left)} has the labels ({_listed(sides[0].labels)}), "
                f"{_line(right)} has ({_listed(sides[1].labels)}), so nothing is compared"
            )
        if not _filters(left) and not _filters(right):
            return (
                f"label mismatch: {_line(left)} and {_line(right)} never have the same values of "
                f"({_listed(ours)}), so nothing is compared"
            )
    return ""


def _together(left: str, matching: str, right: str, ask: Ask) -> bool:
    """Whether both have a result at some instant, with labels that match.

    ``and`` is how it is asked: like no other operator it takes many series on either side.
    """
    return ask(" ".join(f"({left}) and {matching} ({right})".split())).points > 0


def _matching_text(matching: Any) -> str:
    if matching is None:
        return ""
    word = "on" if matching.type == promql.LabelModifierType.Include else "ignoring"
    return f"{word} ({', '.join(matching.labels)})"


def _matched(labels: Sequence[str], matching: Any) -> tuple[str, ...]:
    """Which labels of a side must be the other side's as well."""
    if matching is None:
        return tuple(labels)
    among = matching.type == promql.LabelModifierType.Include
    return tuple(label for label in labels if (label in matching.labels) == among)


def _filters(text: str) -> bool:
    """Whether the expression leaves series out by what their values are."""
    among = (*COMPARISONS, "and", "unless")
    return any(operator(node) in among for node in _operations(parse(text)))


# -- values that are not reached


def _unreachable(tree: Any, ask: Ask) -> str:
    """Which comparison with a number nothing satisfies; empty when each was satisfied."""
    aside = {each for part in _behind_unless(tree) for each in comparisons(part)}
    for found in comparisons(tree):
        if found in aside:
            continue
        reached = ask(found.left)
        if reached.points and not _reaches(found, reached):
            return f"unreachable threshold: {_line(found.left)} {_said_of(found, reached)}"
    return ""


def _reaches(found: Comparison, extent: Extent) -> bool:
    if extent.least is None or extent.most is None:
        return False  # 0 / 0 throughout, which compares with nothing
    return {
        ">": extent.most > found.threshold,
        ">=": extent.most >= found.threshold,
        "<": extent.least < found.threshold,
        "<=": extent.least <= found.threshold,
        "==": extent.least <= found.threshold <= extent.most,
        "!=": not extent.least == extent.most == found.threshold,
    }[found.operator]


def _said_of(found: Comparison, extent: Extent) -> str:
    asked = f"{found.operator} {found.threshold:g} is asked"
    if extent.least is None or extent.most is None:
        return f"was never a finite number, {asked}"
    if extent.least == extent.most:
        return f"was {extent.most:.6g} throughout, {asked}"
    if found.operator in (">", ">="):
        return f"reached {extent.most:.6g} at most, {asked}"
    if found.operator in ("<", "<="):
        return f"fell to {extent.least:.6g} at least, {asked}"
    return f"was between {extent.least:.6g} and {extent.most:.6g}, {asked}"


# -- rules that hold


def _never_silent(rule: Rule, results: Sequence[tuple[int, RuleResult]], ask: Asks) -> Diagnosis:
    """``results`` are those that could be evaluated, each with its recording's number."""
    if not any(result.firings for _, result in results):
        longest_s = max(result.longest_true_s for _, result in results)
        if rule.for_s > longest_s:
            return Diagnosis(
                "ok",
                f"never true for long enough: {duration(longest_s)} at most, "
                f"for {duration(rule.for_s)} is asked",
            )
        return Diagnosis()
    tree = parse(rule.expr)
    for number, result in results:
        if result.true:
            silent = result.true < ALWAYS * result.instants
        else:
            # It was silent for good reason where its series are not.
            silent = _lacking(tree, _only(ask, number)) is None
        if silent:
            return Diagnosis()
    why = "it holds at every evaluation of every recording that has its series"
    zeros = _zero_limits(tree, ask)
    if zeros:
        verb = "is" if len(zeros) == 1 else "are"
        why += f"; {', '.join(zeros)} {verb} 0 throughout, which may mean that there is no limit"
    return Diagnosis("stuck", why)


def _only(ask: Asks, number: int) -> Ask:
    return lambda expression: ask.on(expression, number)


def _zero_limits(tree: Any, ask: Ask) -> list[str]:
    """What is divided by or compared with, and is 0 throughout."""
    found: dict[str, None] = {}
    for node in _operations(tree):
        if operator(node) not in ("/", *COMPARISONS):
            continue
        for selector in selectors(node.rhs):
            extent = ask(selector.text)
            if extent.points and extent.least == extent.most == 0.0:
                found[selector.metric or selector.text] = None
    return list(found)


# -- trees


def _operations(tree: Any) -> list[Any]:
    """Every operation between two sides, however deep."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql.BinaryExpr):
            found.append(node)

    promql.walk(tree, visit)
    return found


def _behind_unless(tree: Any) -> Iterator[Any]:
    """What an expression holds without, not with."""
    return (node.rhs for node in _operations(tree) if operator(node) == "unless")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _line(text: str) -> str:
    """A long expression comes over several lines."""
    return " ".join(text.split())
