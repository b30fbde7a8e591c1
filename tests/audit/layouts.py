"""The corpus: projects as people have them, sound ones and ones of which one thing is wrong.

A clean layout is a folder of `corpus/clean`. A broken one is its base with the files of its own
folder in `corpus/broken` instead, so that what is wrong is all that it holds; the few without a
base are whole stories. What an expert expects of each stands in `corpus/expected.toml`.
"""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.audit import Declared

CORPUS = Path(__file__).parent / "corpus"
CLEAN, BROKEN = CORPUS / "clean", CORPUS / "broken"
CANARY = "hunter2-canary"
"""Every password of the corpus that is not `change-me`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A project, and what is expected of it: ids of errors and warnings, and of notes."""

    name: str
    base: Path | None
    changed: Path | None
    declared: Declared
    finds: tuple[str, ...]
    notes: tuple[str, ...]
    understood: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    of_base: tuple[str, ...] = ()
    """Notes that its base has as well."""

    stands: str = ""
    misses: tuple[str, ...] = ()
    """Of `finds` and `notes`, what the audit does not see yet."""

    instead: tuple[str, ...] = ()
    """What it says in place of that."""

    silent: bool = False
    """Whether it does not even say that it cannot tell."""

    @property
    def breaks(self) -> frozenset[str]:
        """The files in which it differs from its base."""
        if self.changed is None:
            return frozenset()
        files = filter(Path.is_file, self.changed.rglob("*"))
        return frozenset(str(file.relative_to(self.changed)) for file in files)

    def written(self, to: Path) -> Path:
        """The project's folder, put together below ``to``."""
        folder = to / self.name
        for part in (self.base, self.changed):
            if part is not None:
                shutil.copytree(part, folder, dirs_exist_ok=True)
        return folder


def clean() -> tuple[Layout, ...]:
    """The sound ones."""
    return tuple(_clean(name, said) for name, said in _expected()["clean"].items())


def broken() -> tuple[Layout, ...]:
    """The others."""
    sound = {layout.name: layout for layout in clean()}
    return tuple(_broken(name, said, sound) for name, said in _expected()["broken"].items())


def _expected() -> dict[str, Any]:
    return tomllib.loads((CORPUS / "expected.toml").read_text("utf-8"))


def _clean(name: str, said: dict[str, Any]) -> Layout:
    return Layout(
        name,
        base=CLEAN / name,
        changed=None,
        declared=Declared(said.get("peak"), said.get("hold"), said.get("slo")),
        finds=(),
        notes=tuple(said["notes"]),
        understood=tuple(said["understood"]),
        unread=tuple(said.get("unread", ())),
        unknown=tuple(said.get("unknown", ())),
        misses=tuple(said.get("misses", ())),
    )


def _broken(name: str, said: dict[str, Any], sound: dict[str, Layout]) -> Layout:
    base = sound.get(said.get("base", ""))
    declared = base.declared if base else Declared()
    return Layout(
        name,
        base=base.base if base else None,
        changed=BROKEN / name,
        declared=Declared(
            said.get("peak", declared.peak_per_s),
            said.get("hold", declared.hold_s),
            said.get("slo", declared.slo_s),
        ),
        finds=tuple(said["finds"]),
        notes=tuple(said.get("notes", base.notes if base else ())),
        unread=base.unread if base else (),
        of_base=base.notes if base else (),
        stands=said.get("stands", ""),
        misses=tuple(said.get("misses", ())),
        instead=tuple(said.get("instead", ())),
        silent=said.get("silent", False),
    )
