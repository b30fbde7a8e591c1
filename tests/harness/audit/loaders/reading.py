"""A text is read as the file of a name would be, and its secrets are looked for afterwards."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.audit.reading import Reading
from harness.audit.sources import SourceFile

SECRET = "hunter2-canary"


def source(name: str, text: str) -> SourceFile:
    """A file that is on no disk."""
    return SourceFile(Path(name), name, text)


def read(loader: ModuleType, name: str, text: str) -> Reading:
    """What the loader reads, after it has recognised the file."""
    file = source(name, text)
    assert loader.recognises(file), f"{name} is not recognised"
    found = loader.load(file)
    assert isinstance(found, Reading)
    return found


def texts(part: Any) -> str:
    """All that could reach an output: every text of a reading, however deep it stands.

    What is kept out of every repr is there to be read again, and reaches none.
    """
    if isinstance(part, dict):
        return " ".join(texts(each) for pair in part.items() for each in pair)
    if isinstance(part, tuple | list):
        return " ".join(texts(each) for each in part)
    if is_dataclass(part) and not isinstance(part, type):
        return " ".join(texts(getattr(part, each.name)) for each in fields(part) if each.repr)
    return str(part)
