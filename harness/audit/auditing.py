"""An audit, put together: files are read, joined into the chain, and judged by every rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from harness.audit.chain import Chain, Declared
from harness.audit.finding import SEVERITIES, Finding, Severity, Unknown, Unread
from harness.audit.joining.alternatives import chosen
from harness.audit.joining.calls import across
from harness.audit.joining.compose_files import extending
from harness.audit.joining.entry_points import started
from harness.audit.joining.join import joined, variant_of
from harness.audit.joining.nginx_files import included
from harness.audit.joining.python_files import importing
from harness.audit.joining.reexports import original
from harness.audit.joining.server_files import together
from harness.audit.joining.settings_modules import amended
from harness.audit.loaders import load
from harness.audit.reading import Reading
from harness.audit.rules import RULES, Rule
from harness.audit.sources import Selection, SourceFile, find, read
from harness.audit.values import Place

NOTHING = Reading()

TELLING_NAMES = frozenset(
    {
        *(f"{name}.{end}" for name in ("compose", "docker-compose") for end in ("yaml", "yml")),
        *("Dockerfile", "Procfile", "nginx.conf", "haproxy.cfg", "pgbouncer.ini"),
        *("postgresql.conf", "prometheus.yml", "alertmanager.yml", "gunicorn.conf.py"),
    }
)
"""A file of such a name in which no loader finds its format is said, and not passed over."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    ``files`` were understood, by name; others are of no format that is known. ``lines`` are what
    findings stand on, where nothing in them could be a secret. ``passed_over`` counts files by the
    name of the folder of tests that they are in. ``sources`` has the files' whole text, secrets
    and all: it is for looking into, and goes to no output.
    """

    findings: tuple[Finding, ...]
    unknown: tuple[Unknown, ...]
    unread: tuple[Unread, ...]
    files: tuple[str, ...]
    lines: Mapping[Place, str] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, SourceFile] = field(default_factory=dict, repr=False, compare=False)
    chains: tuple[Chain, ...] = field(default=(), repr=False, compare=False)
    """What the files say, joined: of each file that has a whole chain, and of all others."""

    @property
    def is_empty(self) -> bool:
        """Whether no part of a chain was found, so that there was nothing to judge."""
        parts = (
            getattr(chain, each.name)
            for chain in self.chains
            for each in fields(chain)
            if isinstance(getattr(chain, each.name), tuple)
        )
        return not self.files or not (self.findings or self.unknown or any(parts))

    def reaching(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings that are at least so grave."""
        return reaching(self.findings, severity)


def reaching(findings: Iterable[Finding], severity: Severity) -> tuple[Finding, ...]:
    """Those of ``findings`` that are at least so grave."""
    gravest = SEVERITIES[: SEVERITIES.index(severity) + 1]
    return tuple(finding for finding in findings if finding.severity in gravest)


def audit_files(
    paths: Iterable[Path],
    declared: Declared,
    selection: Selection | None = None,
    live: Iterable[Reading] = (),
) -> Audit:
    """Audit what ``selection`` admits below ``paths``, and what was ``live`` read besides.

    Raises `UsageError` for a path that does not exist.
    """
    found = find(paths, selection)
    audit = audit_sources((read(path, str(path)) for path in found.files), declared, live=live)
    return replace(audit, unread=(*audit.unread, *found.unread), passed_over=found.passed_over)


def audit_sources(
    files: Iterable[SourceFile | Unread],
    declared: Declared,
    load: Callable[[SourceFile], Reading | None] = load,
    live: Iterable[Reading] = (),
) -> Audit:
    """Audit texts, wherever they come from, and what was ``live`` read besides."""
    readings = [*live]
    lived = [part.place.file for each in readings for part in each.servers]
    lived += [part.place.file for each in readings for part in each.poolers]
    unread: list[Unread] = []
    sources: dict[str, SourceFile] = {}
    understood: list[str] = []
    for file in files:
        if not isinstance(file, SourceFile):
            unread.append(file)
            continue
        try:
            reading = load(file)
        except Exception as error:  # noqa: BLE001 - a defect of ours hides no other file's findings
            unread.append(Unread(file.name, f"its loader failed: {type(error).__name__}"))
            continue
        if reading is None:
            if file.path.name in TELLING_NAMES:
                unread.append(Unread(file.name, "empty, or not what its name says"))
            continue
        readings.append(replace(reading, variant=variant_of(file.name)))
        sources[file.name] = file
        if not reading.unread or replace(reading, unread=()) != NOTHING:
            understood.append(file.name)
    readings = chosen(across(amended(started(importing(original(included(extending(readings))))))))
    unread += [each for reading in readings if not reading.live for each in reading.unread]
    readings.append(of_servers := together(readings))
    unread += of_servers.unread
    chains = joined(readings, declared)
    findings, unknown = judged(*chains)
    lines = {
        finding.place: line
        for finding in findings
        if (line := line_at(finding.place, sources)) is not None and not may_be_secret(line)
    }
    return Audit(
        findings,
        unknown,
        tuple(unread),
        (*lived, *understood),
        lines,
        sources=sources,
        chains=chains,
    )


_SECRETIVE = re.compile(r"pass|pw|secret|token|key|cred|bearer|private|://|@", re.IGNORECASE)


def may_be_secret(line: str) -> bool:
    """Whether a line may hold a secret, and is shown nowhere."""
    return _SECRETIVE.search(line) is not None


def line_at(place: Place, sources: Mapping[str, SourceFile]) -> str | None:
    """The line of ``place``, secrets and all; None where it has none."""
    if place.file not in sources or place.line < 1:
        return None
    lines = sources[place.file].lines
    return lines[place.line - 1] if place.line <= len(lines) else None


def judged(*chains: Chain) -> tuple[tuple[Finding, ...], tuple[Unknown, ...]]:
    """What every rule says of the chains, the gravest first.

    One value may be that of many workloads, of an image that twenty services share: what a rule
    says of one place it says once, and how often it holds.
    """
    said = [each for chain in chains for rule in RULES for each in _checked(rule, chain)]
    findings: dict[tuple[str, Severity, Place], set[Finding]] = {}
    unknown: dict[tuple[str, Place | None], set[Unknown]] = {}
    for each in said:
        if isinstance(each, Finding):
            findings.setdefault((each.id, each.severity, each.place), set()).add(each)
        else:
            unknown.setdefault((each.id, each.place), set()).add(each)
    whole = [_once(sorted(group, key=lambda f: (f.message, f.fix))) for group in findings.values()]
    lacking = [_once_unknown(sorted(group, key=lambda u: u.needs)) for group in unknown.values()]
    return (
        tuple(sorted(whole, key=lambda f: (SEVERITIES.index(f.severity), f.id, f.place))),
        tuple(sorted(lacking, key=lambda u: (u.id, str(u.place), u.needs))),
    )


def _checked(rule: Rule, chain: Chain) -> list[Finding | Unknown]:
    """What a rule says; one that fails, by a defect of ours, could not tell."""
    try:
        return list(rule.check(chain))
    except Exception as error:  # noqa: BLE001 - the other rules' findings are not lost for it
        return [
            Unknown(rule.ID, None, f"a rule without a defect: it failed: {type(error).__name__}")
        ]


def _once(group: list[Finding]) -> Finding:
    first, more = group[0], len(group) - 1
    return replace(first, message=first.message + _so_for(more)) if more else first


def _once_unknown(group: list[Unknown]) -> Unknown:
    first, more = group[0], len(group) - 1
    return replace(first, needs=first.needs + _so_for(more)) if more else first


def _so_for(more: int) -> str:
    return f" (and {more} more like it)"
