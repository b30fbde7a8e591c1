"""An audit, put together: files are read, joined into the chain, and judged by every rule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.audit.chain import Chain, Declared
from harness.audit.finding import SEVERITIES, Finding, Severity, Unknown, Unread
from harness.audit.join import joined
from harness.audit.loaders import load
from harness.audit.rules import RULES
from harness.audit.sources import SourceFile, find, read
from harness.audit.values import Place


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    ``files`` were understood, by name; others are of no format that is known. ``lines`` are what
    findings stand on, where nothing in them could be a secret.
    """

    findings: tuple[Finding, ...]
    unknown: tuple[Unknown, ...]
    unread: tuple[Unread, ...]
    files: tuple[str, ...]
    lines: Mapping[Place, str] = field(default_factory=dict)

    def reaching(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings that are at least so grave."""
        gravest = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return tuple(finding for finding in self.findings if finding.severity in gravest)


def audit_files(paths: Iterable[Path], declared: Declared) -> Audit:
    """Audit everything below ``paths``. Raises `UsageError` for a path that does not exist."""
    readings, unread = [], []
    texts: dict[str, str] = {}
    for path in find(paths):
        file = read(path, str(path))
        if not isinstance(file, SourceFile):
            unread.append(file)
            continue
        reading = load(file)
        if reading is None:
            continue
        readings.append(reading)
        unread += reading.unread
        texts[file.name] = file.text
    findings, unknown = judged(*joined(readings, declared))
    lines = {
        finding.place: line
        for finding in findings
        if (line := _line(finding.place, texts)) is not None
    }
    return Audit(findings, unknown, tuple(unread), tuple(texts), lines)


_SECRETIVE = re.compile(r"pass|pwd|secret|token|key|://|@", re.IGNORECASE)


def _line(place: Place, texts: Mapping[str, str]) -> str | None:
    """The line of ``place``; None where it has none, or one that may hold a secret."""
    lines = texts.get(place.file, "").splitlines()
    if not 0 < place.line <= len(lines) or _SECRETIVE.search(lines[place.line - 1]):
        return None
    return lines[place.line - 1]


def judged(*chains: Chain) -> tuple[tuple[Finding, ...], tuple[Unknown, ...]]:
    """What every rule says of the chains, the gravest first."""
    said = [each for chain in chains for rule in RULES for each in rule.check(chain)]
    findings = {each for each in said if isinstance(each, Finding)}
    unknown = {each for each in said if isinstance(each, Unknown)}
    return (
        tuple(sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.id, f.place))),
        tuple(sorted(unknown, key=lambda u: (u.id, str(u.place), u.needs))),
    )
