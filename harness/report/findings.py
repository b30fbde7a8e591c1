"""An audit's findings: for a terminal with the lines they stand on, as JSON, and for GitHub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.audit import SEVERITIES, Audit
from harness.audit.values import Place

MOST_UNREAD = 5
"""Files that are listed as unread; more are counted. JSON has all."""


def as_text(audit: Audit) -> Iterator[str]:
    """Line by line, the gravest finding first."""
    for finding in audit.findings:
        yield f"{finding.place}: {finding.severity} {finding.id}: {finding.message}"
        yield from _shown(finding.place, audit.lines.get(finding.place))
        yield f"    fix: {finding.fix}"
        yield ""
    for unknown in audit.unknown:
        where = f"{unknown.place}: " if unknown.place else ""
        yield f"{where}unknown {unknown.id}: cannot tell without {unknown.needs}"
    for unread in audit.unread[:MOST_UNREAD]:
        yield f"{Place(unread.file, unread.line)}: unread: {unread.why}"
    if len(audit.unread) > MOST_UNREAD:
        yield f"… and {len(audit.unread) - MOST_UNREAD} more files unread"
    yield _summary(audit)


def as_json(audit: Audit) -> dict[str, Any]:
    """``findings``, ``unknown`` (rules that could not tell), ``unread`` and ``files``."""
    return {
        "findings": [
            {
                "id": finding.id,
                "severity": finding.severity,
                "file": finding.place.file,
                "line": finding.place.line or None,
                "key": finding.place.key or None,
                "message": finding.message,
                "fix": finding.fix,
            }
            for finding in audit.findings
        ],
        "unknown": [
            {
                "id": unknown.id,
                "file": unknown.place.file if unknown.place else None,
                "line": (unknown.place.line or None) if unknown.place else None,
                "needs": unknown.needs,
            }
            for unknown in audit.unknown
        ],
        "unread": [
            {"file": unread.file, "line": unread.line or None, "why": unread.why}
            for unread in audit.unread
        ],
        "files": list(audit.files),
    }


def as_github(audit: Audit) -> Iterator[str]:
    """Workflow commands, which GitHub shows beside the lines of a pull request.

    Escaped as its toolkit does (actions/toolkit, packages/core/src/command.ts).
    """
    for finding in audit.findings:
        level = "notice" if finding.severity == "note" else finding.severity
        line = f",line={finding.place.line}" if finding.place.line else ""
        file = _escaped(finding.place.file).replace(":", "%3A").replace(",", "%2C")
        said = _escaped(f"{finding.message}\nfix: {finding.fix}")
        yield f"::{level} file={file}{line},title={finding.id}::{said}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _shown(place: Place, line: str | None) -> Iterator[str]:
    """The line with a caret under its key."""
    if line is None:
        return
    margin, stripped = f"    {place.line} | ", line.strip()
    yield f"{margin}{stripped}"
    key = place.key.rpartition(".")[2]
    begin = stripped.find(key) if key else -1
    if begin >= 0:
        yield " " * (len(margin) + begin) + "^" * len(key)


def _summary(audit: Audit) -> str:
    if not audit.files:
        return "nothing was audited: no file is of a format that is known"
    counts = {
        severity: sum(finding.severity == severity for finding in audit.findings)
        for severity in SEVERITIES
    }
    said = ", ".join(f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items())
    unknown = f", {len(audit.unknown)} that cannot be told" if audit.unknown else ""
    files = f"{len(audit.files)} file{'s' * (len(audit.files) != 1)}"
    return f"{files}: {said}{unknown}"
