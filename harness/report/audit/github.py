"""An audit as workflow commands, which GitHub shows beside the lines of a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.reviewing.review import Review
from harness.errors import printable
from harness.report.audit.naming import from_here


def as_github(review: Review) -> Iterator[str]:
    """A line a finding that counts.

    Escaped as its toolkit does (actions/toolkit, packages/core/src/command.ts).
    """
    for finding in review.findings:
        level = "notice" if finding.severity == "note" else finding.severity
        line = f",line={finding.place.line}" if finding.place.line else ""
        file = _property(from_here(finding.place.file) or finding.place.file)
        said = _escaped(f"{finding.message}\nfix: {finding.fix}")
        yield printable(f"::{level} file={file}{line},title={finding.id}::{said}")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
