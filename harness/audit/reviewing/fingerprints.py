"""What a finding is known by when its line has moved."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from harness.audit.auditing import line_at, may_be_secret
from harness.audit.finding import Finding
from harness.audit.reviewing.suppressions import without_comment
from harness.audit.sources import SourceFile

HEX_DIGITS = 32

Naming = Callable[[str], str]
"""A file's name as it goes into a fingerprint: the same on every machine."""


def relative_to(folder: Path) -> Naming:
    """Names from ``folder`` on, with slashes."""
    base = os.path.realpath(folder)
    return lambda name: Path(os.path.relpath(os.path.realpath(name), base)).as_posix()


def fingerprints(
    findings: Iterable[Finding], sources: Mapping[str, SourceFile], named: Naming
) -> dict[Finding, str]:
    """A fingerprint for each: of its rule, file, key and what its line says, not of the number.

    The first, second … of otherwise equal findings of a file differ by their order. What a line
    with a possible secret says is left out: a hash of it could be tried out.
    """
    found: dict[Finding, str] = {}
    seen: Counter[tuple[str, ...]] = Counter()
    for finding in sorted(findings, key=lambda f: (f.place, f.id, f.message)):
        said = (finding.id, named(finding.place.file), finding.place.key, _line(finding, sources))
        parts = (*said, str(seen[said]))
        seen[said] += 1
        text = "\0".join(parts).encode("utf-8", "surrogateescape")  # a name may be any bytes
        found[finding] = hashlib.sha256(text).hexdigest()[:HEX_DIGITS]
    return found


def content(finding: Finding, sources: Mapping[str, SourceFile]) -> tuple[str, str, str]:
    """What stays of a finding where its file was renamed."""
    return finding.id, finding.place.key, _line(finding, sources)


def _line(finding: Finding, sources: Mapping[str, SourceFile]) -> str:
    line = line_at(finding.place, sources) or ""
    return "" if may_be_secret(line) else " ".join(without_comment(line).split())
