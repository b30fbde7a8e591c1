"""What one audit is: its load, its preferences, and against what its findings are held."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.audit import Audit, Declared
from harness.audit.auditing import audit_sources
from harness.audit.reading import Reading
from harness.audit.reviewing.baseline import entries, read_baseline, rendered
from harness.audit.reviewing.fingerprints import fingerprints, relative_to
from harness.audit.reviewing.preferences import Preferences, preferences_for, read_preferences
from harness.audit.reviewing.review import Review, reviewed, since, without_baseline
from harness.audit.reviewing.revision import sources_at
from harness.audit.reviewing.suppressions import comments
from harness.audit.rules import RULES
from harness.audit.sources import Selection
from harness.cli.audit_output import encodable
from harness.errors import AuditInputError, UsageError
from harness.incident.units import parse_duration_s, parse_rate_per_s
from harness.stack.interrupts import signals_interrupt
from harness.writing import write_text

KNOWN = frozenset(rule.ID for rule in RULES)
today = datetime.date.today
"""The only clock of an audit: it decides which suppressions are over."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is audited, and against what it is held."""

    paths: list[Path]
    declared: Declared
    selection: Selection
    preferences: Preferences
    diff: str | None
    baseline: Path | None
    running: tuple[Reading, ...] = ()
    """What was read of servers that run, now and for every revision."""

    def review(self, found: Audit) -> Review:
        """Without what is suppressed, in the baseline, or was there before."""
        beside, problems = comments(found.sources.values(), KNOWN)
        if problems:
            raise AuditInputError(problems)
        review = reviewed(found, [*beside, *self.preferences.suppressions], today())
        if self.baseline is not None:
            named = relative_to(self.baseline.parent)
            return without_baseline(review, read_baseline(self.baseline), str(self.baseline), named)
        if self.diff is not None:
            with (
                signals_interrupt(),
                sources_at(self.diff, self.paths, self.selection) as sources,
            ):
                before = audit_sources(sources, self.declared, live=self.running)
            return since(review, before, self.diff, relative_to(Path()))
        return review


def preferences_of(paths: list[Path], config: Path | None) -> Preferences:
    """Patterns of a file that was found count from its folder, those of --config from here."""
    if config is not None:
        if not config.is_file():
            raise UsageError(
                f"--config {config}: there is no such file", remedy="Name a file that is there."
            )
        return read_preferences(config, Path(), KNOWN)
    found = preferences_for(paths) if paths else None
    return Preferences() if found is None else read_preferences(found, found.parent, KNOWN)


def declared(peak: str | None, hold: str | None, slo: str | None, said: Preferences) -> Declared:
    """The command line holds over the file."""

    def of(
        option: str, given: str | None, in_file: str | None, parse: Callable[[str], float]
    ) -> float | None:
        if given is not None:
            return _positive(f"--{option}", given, parse)
        return None if in_file is None else _positive(f"{said.file}: {option}", in_file, parse)

    return Declared(
        peak_per_s=of("peak", peak, said.peak, parse_rate_per_s),
        hold_s=of("hold", hold, said.hold, parse_duration_s),
        slo_s=of("slo", slo, said.slo, parse_duration_s),
    )


def save_baseline(review: Review, file: Path) -> None:
    """Write what counts as a baseline. Raises `UsageError` where that cannot be."""
    named = relative_to(file.parent)
    prints = fingerprints(review.audit.findings, review.audit.sources, named)
    known = entries({finding: prints[finding] for finding in review.findings}, named)
    try:
        write_text(file, encodable(rendered(known)))
    except OSError as error:
        raise UsageError(f"--write-baseline {file}: {error.strerror}") from None
    count = f"{len(known)} finding{'s' * (len(known) != 1)}"
    print(f"{file}: {count} that --baseline will leave out", file=sys.stderr)


def _positive(option: str, text: str, parse: Callable[[str], float]) -> float:
    try:
        value = parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if value <= 0:
        raise UsageError(f"{option} {text}: more than nothing is needed")
    return value
