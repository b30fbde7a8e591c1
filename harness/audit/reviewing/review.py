"""An audit as somebody wants it seen: without what is suppressed, known, or there before."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from harness.audit.auditing import Audit, reaching
from harness.audit.finding import Finding, Severity
from harness.audit.reviewing.baseline import Entry
from harness.audit.reviewing.fingerprints import Naming, content, fingerprints
from harness.audit.reviewing.suppressions import Suppressed, Suppression


@dataclass(frozen=True, slots=True)
class Review:
    """``findings`` count, the others are said.

    ``known`` were there before, by ``known_by``: a baseline's or a revision's name. ``gone`` are a
    baseline's entries that are no finding any more. ``expired`` suppressions no longer hold, and
    ``unused`` ones met no finding.
    """

    audit: Audit
    findings: tuple[Finding, ...]
    suppressed: tuple[Suppressed, ...] = ()
    expired: tuple[Suppression, ...] = ()
    unused: tuple[Suppression, ...] = ()
    known: tuple[Finding, ...] = ()
    known_by: str = ""
    gone: tuple[Entry, ...] = ()

    def reaching(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings that count and are at least so grave."""
        return reaching(self.findings, severity)


def reviewed(audit: Audit, suppressions: Iterable[Suppression], today: datetime.date) -> Review:
    """The audit without what is suppressed on the day ``today``.

    A suppression that is over is `expired` where a finding comes back for it, or else unused.
    """
    suppressions = tuple(suppressions)
    kept: list[Finding] = []
    suppressed: list[Suppressed] = []
    used: set[int] = set()
    over: set[int] = set()
    for finding in audit.findings:
        covering = [n for n, each in enumerate(suppressions) if each.covers(finding)]
        holding = [n for n in covering if not suppressions[n].expired(today)]
        used.update(covering)
        if holding:
            suppressed.append(Suppressed(finding, suppressions[holding[0]]))
        else:
            kept.append(finding)
            over.update(covering)
    return Review(
        audit,
        tuple(kept),
        suppressed=tuple(suppressed),
        expired=tuple(suppressions[n] for n in sorted(over)),
        unused=tuple(each for n, each in enumerate(suppressions) if n not in used),
    )


def without_baseline(review: Review, baseline: Iterable[Entry], name: str, named: Naming) -> Review:
    """The review without the findings that are in the baseline."""
    baseline = tuple(baseline)
    prints = fingerprints(review.audit.findings, review.audit.sources, named)
    known = {entry.fingerprint for entry in baseline}
    return replace(
        review,
        findings=tuple(each for each in review.findings if prints[each] not in known),
        known=tuple(each for each in review.findings if prints[each] in known),
        known_by=name,
        gone=tuple(entry for entry in baseline if entry.fingerprint not in prints.values()),
    )


def since(review: Review, before: Audit, name: str, named: Naming) -> Review:
    """The review without the findings that ``before`` had: by fingerprint, and by what their line
    says where their file has gone, as one that was renamed has.
    """
    prints = fingerprints(review.audit.findings, review.audit.sources, named)
    earlier = fingerprints(before.findings, before.sources, named)
    there = {named(file) for file in review.audit.sources}
    moved = Counter(
        content(finding, before.sources)
        for finding in earlier
        if named(finding.place.file) not in there
    )
    known, new = [], []
    for finding in review.findings:
        if prints[finding] in set(earlier.values()):
            known.append(finding)
        elif moved[what := content(finding, review.audit.sources)] > 0:
            moved[what] -= 1
            known.append(finding)
        else:
            new.append(finding)
    return replace(review, findings=tuple(new), known=tuple(known), known_by=name)


def counts(findings: Iterable[Finding]) -> Mapping[Severity, int]:
    """How many there are of each severity."""
    return Counter(finding.severity for finding in findings)
