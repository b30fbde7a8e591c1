"""Findings that stood there when somebody began: they are known, and new ones are not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.audit.finding import Finding
from harness.audit.reviewing.fingerprints import Naming
from harness.errors import AuditInputError, Problem

SCHEMA = 1


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One known finding. ``fingerprint`` is what counts; the rest is for people."""

    file: str
    id: str
    key: str
    fingerprint: str


def entries(prints: Mapping[Finding, str], named: Naming) -> tuple[Entry, ...]:
    """The findings as entries, sorted."""
    return tuple(
        sorted(
            Entry(named(finding.place.file), finding.id, finding.place.key, fingerprint)
            for finding, fingerprint in prints.items()
        )
    )


def rendered(known: tuple[Entry, ...]) -> str:
    """The text of a baseline: the same for the same findings, an entry a line."""
    lines = ",\n".join(
        "    "
        + json.dumps(
            {"id": e.id, "file": e.file, "key": e.key, "fingerprint": e.fingerprint},
            ensure_ascii=False,
        )
        for e in known
    )
    listed = f"[\n{lines}\n  ]" if lines else "[]"
    return f'{{\n  "schema": {SCHEMA},\n  "findings": {listed}\n}}\n'


def read_baseline(file: Path) -> tuple[Entry, ...]:
    """The entries of a baseline. Raises `AuditInputError` for a file that is none."""
    name = os.path.relpath(file)
    try:
        found = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise _refused(name, f"cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise _refused(name, f"not JSON: {error.msg}", error.lineno) from None
    except (UnicodeDecodeError, RecursionError):
        raise _refused(name, "not JSON") from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise _refused(name, f"its schema is {schema}: a newer Pooldrill wrote it")
    if schema != SCHEMA or not isinstance(found.get("findings"), list):
        raise _refused(name, "not a baseline: `pooldrill audit --write-baseline` writes one")
    return tuple(_entry(each, name) for each in found["findings"])


def _entry(said: Any, name: str) -> Entry:
    parts = ("file", "id", "key", "fingerprint")
    if not isinstance(said, dict) or not all(isinstance(said.get(part), str) for part in parts):
        raise _refused(name, "an entry lacks its id, file, key or fingerprint")
    return Entry(*(said[part] for part in parts))


def _refused(name: str, why: str, line: int | None = None) -> AuditInputError:
    return AuditInputError([Problem(why, name, line)])
