"""What no single field of a definition can show: parts that do not fit each other.

Reads plain data, so that it speaks even beside other errors; what cannot be read as a time or a
number is left to its field's own message.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.incident.source import Path
from harness.incident.units import parse_duration_s

Found = Iterator[tuple[Path, str]]


def contradictions(data: dict[str, Any]) -> Found:
    """Each with the path at which it is best mended."""
    duration_s = _seconds(data, ("clock", "duration"))
    yield from _order(data, ("load", "phases"), duration_s)
    yield from _order(data, ("timeline",), duration_s)
    first_s = _seconds(data, ("load", "phases", 0, "at"))
    if first_s:
        yield ("load", "phases", 0, "at"), "the first phase begins at 0s"
    begin_s, end_s = (_seconds(data, ("outage", key)) for key in ("begin", "end"))
    if begin_s is not None and end_s is not None and begin_s >= end_s:
        yield ("outage",), "the outage ends before it begins"
    if duration_s is not None and end_s is not None and end_s > duration_s:
        yield ("outage", "end"), "the outage ends after the incident does"
    at_s = _seconds(data, ("whatif", "at"))
    if duration_s is not None and at_s is not None and at_s >= duration_s:
        yield ("whatif", "at"), "comes after the end of the incident (clock.duration)"
    yield from _too_long(data, duration_s)
    yield from _repeated(data, ("load", "phases"), "name", "a phase called")
    yield from _repeated(data, ("expect", "measured"), "id", "an expectation called")
    yield from _repeated(data, ("whatif", "rows"), "name", "a row called")
    yield from _unknown_parts(data)
    yield from _unmeasurable(data, duration_s)


def _order(
    data: dict[str, Any], path: Path, duration_s: float | None
) -> Iterator[tuple[Path, str]]:
    entries = _get(data, path)
    previous_s: float | None = None
    for number in range(len(entries) if isinstance(entries, list) else 0):
        here = (*path, number, "at")
        at_s = _seconds(data, here)
        if at_s is None:
            continue
        if previous_s is not None and at_s < previous_s:
            yield here, "out of order: it stands after an entry that comes later"
        if duration_s is not None and at_s >= duration_s:
            yield here, "comes after the end of the incident (clock.duration)"
        previous_s = at_s


def _too_long(data: dict[str, Any], duration_s: float | None) -> Found:
    for path, event in _entries(data, ("timeline",)):
        at_s, for_s = _seconds(event, ("at",)), _seconds(event, ("for",))
        if None not in (at_s, for_s, duration_s) and at_s + for_s > duration_s:  # type: ignore[operator]
            yield (*path, "for"), "lasts beyond the end of the incident (clock.duration)"


def _repeated(data: dict[str, Any], where: Path, key: str, what: str) -> Found:
    seen: set[str] = set()
    for path, entry in _entries(data, where):
        name = entry.get(key)
        if isinstance(name, str) and name in seen:
            yield (*path, key), f"{what} '{name}' came before"
        elif isinstance(name, str):
            seen.add(name)


def _unknown_parts(data: dict[str, Any]) -> Found:
    """Actions on replicas that will not be there, and figures of parts that are not there."""
    replicas = _count(data, ("service", "replicas"), 2)
    backups = [f"backup-{n + 1}" for n in range(_count(data, ("service", "backups"), 0))]
    rows = [(*path, "actions") for path, _ in _entries(data, ("whatif", "rows"))]
    for where in (("timeline",), *rows):
        serving = replicas
        for path, event in _entries(data, where):
            known = [*_numbered("replica", serving), *backups]
            only = event.get("only")
            for number, name in enumerate(only if isinstance(only, list) else ()):
                if name not in known:
                    yield (*path, "only", number), _no_part("replica", name, known)
            if event.get("do") == "redirect" and not backups:
                yield (*path, "do"), "there is no backup to redirect to: give service.backups"
            if event.get("do") == "set-pgbouncer" and not _get(data, ("pgbouncer",)):
                yield (*path, "do"), "there is no PgBouncer: give pgbouncer"
            if event.get("do") == "scale-out":
                serving += _count(event, ("add",), 1)
    known = [*_numbered("replica", _serving_at_end(data, replicas)), *backups]
    parts = [*known, "gateway", "postgres", "recorder"]
    parts += ["pgbouncer"] if _get(data, ("pgbouncer",)) else []
    if _get(data, ("database", "exporter")) not in (None, "none"):
        parts.append("exporter")
    signals = [e for _, e in _entries(data, ("timeline",)) if e.get("do") in SIGNALS]
    parts += _numbered("bystander", len(signals))
    for path, claim in _entries(data, ("expect", "measured")):
        for key, choices in (("replica", known), ("target", parts)):
            name = claim.get(key)
            if isinstance(name, str) and name not in choices:
                yield (*path, key), _no_part(key, name, choices)


SIGNALS = ("packet-loss", "noisy-log", "database-noise", "chatty-client")
"""Events that start a bystander."""


def _serving_at_end(data: dict[str, Any], replicas: int) -> int:
    """How many replicas the timeline leaves behind."""
    events = [event for _, event in _entries(data, ("timeline",))]
    return replicas + sum(
        _count(event, ("add",), 1) for event in events if event.get("do") == "scale-out"
    )


def _unmeasurable(data: dict[str, Any], duration_s: float | None) -> Found:
    """Expectations that nothing on the timeline or in the incident could meet or miss."""
    events = [event for _, event in _entries(data, ("timeline",))]
    if not any(event.get("fix") is True for event in events):
        for key in ("recovered_success_at_least", "unrecovered_success_at_most"):
            if _get(data, ("expect", key)) is not None:
                yield ("expect", key), "cannot be measured: nothing on the timeline is a fix"
    for path, _ in _entries(data, ("expect", "measured")):
        for stretch in (path, (*path, "relative_to")):
            from_s, until_s = (
                _seconds(data, (*stretch, "from")),
                _seconds(data, (*stretch, "until")),
            )
            if from_s is not None and until_s is not None and from_s >= until_s:
                yield (*stretch, "until"), "ends before it begins"
            for key, at_s in (("from", from_s), ("until", until_s)):
                if duration_s is not None and at_s is not None and at_s > duration_s:
                    yield (*stretch, key), "lies after the end of the incident (clock.duration)"


def _no_part(kind: str, name: object, known: list[str]) -> str:
    return f"no {kind} is called {name}; there are: {', '.join(known)}"


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}-{number}" for number in range(1, count + 1)]


def _entries(data: Any, where: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The mappings of a list, each with its path."""
    found = _get(data, where)
    for number, entry in enumerate(found if isinstance(found, list) else ()):
        if isinstance(entry, dict):
            yield (*where, number), entry


def _count(data: Any, path: Path, default: int) -> int:
    value = _get(data, path)
    return value if isinstance(value, int) and 0 <= value <= 100 else default


def _get(data: Any, path: Path) -> Any:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _seconds(data: Any, path: Path) -> float | None:
    value = _get(data, path)
    try:
        return parse_duration_s(value) if isinstance(value, str) else None
    except ValueError:
        return None
