"""Findings that somebody has decided to live with: until when, and why."""

from __future__ import annotations

import datetime
import io
import re
import tokenize
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from harness.audit.finding import Finding
from harness.audit.sources import SourceFile
from harness.audit.values import Place
from harness.errors import Problem

WHOLE = 0
"""The line of what a file does not say."""

EXAMPLE = "pooldrill: ignore PD103 until 2027-03-31 because …"

_COMMENT = re.compile(r"(?:#|//|;|--|<!--)\s*pooldrill:\s*ignore\b(?P<rest>.*)$", re.IGNORECASE)
_RULES = re.compile(r"\s*(?P<rules>PD\d+(?:[\s,]+PD\d+)*)\b[\s,]*(?P<rest>.*)", re.IGNORECASE)
_UNTIL = re.compile(r"until\s+(?P<date>\S+)\s*(?P<rest>.*)", re.IGNORECASE)
_BECAUSE = re.compile(r"because\b[\s:]*(?P<reason>.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Suppression:
    """These rules say nothing there, up to and including the day ``until``.

    ``place`` is where the suppression itself stands: ``in_source`` where it is a comment beside
    the value.
    """

    rules: frozenset[str]
    until: datetime.date
    reason: str
    place: Place
    in_source: bool
    reaches: Callable[[Finding], bool] = field(repr=False, compare=False)

    def covers(self, finding: Finding) -> bool:
        """Whether it speaks of that finding, expired or not."""
        return finding.id in self.rules and self.reaches(finding)

    def expired(self, today: datetime.date) -> bool:
        """Whether its last day is over."""
        return today > self.until


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding with what suppresses it."""

    finding: Finding
    by: Suppression


def comments(
    files: Iterable[SourceFile], known: Collection[str]
) -> tuple[list[Suppression], list[Problem]]:
    """The suppressions in the files' comments, and what is wrong with others.

    One at the end of a line is for that line, one on a line of its own for the next line (further
    suppressions between them do not count), and one with which a file begins for the file as a
    whole too, where what it does not say stands. ``known`` are the ids of the rules.
    """
    found, problems = [], []
    for file in files:
        for line, rest, lines in _written(file):
            place = Place(file.name, line)
            try:
                rules, until, reason = _understood(rest, known)
            except ValueError as error:
                problems.append(Problem(f"{error} ({EXAMPLE})", file.name, line))
                continue
            found.append(Suppression(rules, until, reason, place, True, _on(file.name, lines)))
    return found, problems


def without_comment(line: str) -> str:
    """The line without a suppression at its end."""
    return _COMMENT.sub("", line)


def rule_ids(rules: Iterable[str], known: Collection[str]) -> frozenset[str]:
    """The rules in capitals. Raises `ValueError` for one that is not known."""
    ids = frozenset(rule.upper() for rule in rules)
    if unknown := sorted(ids - set(known)):
        raise ValueError(f"there is no rule {', '.join(unknown)}")
    return ids


def date(text: str) -> datetime.date:
    """A day. Raises `ValueError` that says what is expected."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ValueError("the date cannot be read: write it as 2027-03-31") from None


def _on(file: str, lines: Collection[int]) -> Callable[[Finding], bool]:
    return lambda finding: finding.place.file == file and finding.place.line in lines


def _written(file: SourceFile) -> Iterator[tuple[int, str, frozenset[int]]]:
    """Line, what follows `ignore`, and the lines that it is for."""
    if "pooldrill:" not in file.text.lower():
        return
    lines = file.lines
    real = _real_comments(file)
    alone = [_alone(line) for line in lines]
    reached = [len(lines) + 1] * (len(lines) + 1)  # for each line, the next other one
    for index in range(len(lines) - 2, -1, -1):
        reached[index] = reached[index + 1] if alone[index + 1] else index + 2
    begins = True
    for number, line in enumerate(lines, 1):
        is_alone = alone[number - 1]
        begins = begins and (is_alone or not line.strip())
        match = _COMMENT.search(line)
        if match is None or (real is not None and number not in real):
            continue
        more = {reached[number - 1]} if is_alone else set()
        yield number, _rest(match), frozenset({number, *more, *({WHOLE} if begins else ())})


def _rest(match: re.Match[str]) -> str:
    """What follows, without the end of a comment that has one."""
    rest = match["rest"].rstrip()
    if rest.endswith("-->"):
        return rest[:-1].rstrip("-")
    return rest.removesuffix("*/")


def _alone(line: str) -> bool:
    match = _COMMENT.search(line)
    return match is not None and not line[: match.start()].strip()


def _real_comments(file: SourceFile) -> frozenset[int] | None:
    """The lines of Python with a comment, which a string that looks like one is not."""
    if file.path.suffix != ".py":
        return None
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(file.text).readline))
    except (tokenize.TokenError, SyntaxError):
        return None
    return frozenset(token.start[0] for token in tokens if token.type == tokenize.COMMENT)


def _understood(rest: str, known: Collection[str]) -> tuple[frozenset[str], datetime.date, str]:
    rules = _RULES.match(rest)
    if rules is None:
        raise ValueError("a suppression names the rules that it is for")
    ids = rule_ids(re.split(r"[\s,]+", rules["rules"]), known)
    until = _UNTIL.match(rules["rest"])
    if until is None:
        raise ValueError("a suppression says until when it holds")
    day = date(until["date"])
    because = _BECAUSE.match(until["rest"])
    if because is None or not because["reason"].strip():
        raise ValueError("a suppression says why")
    return ids, day, because["reason"].strip()
