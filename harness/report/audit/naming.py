"""A file's name as other programs want it: from the working directory on, with slashes."""

from __future__ import annotations

import os
from pathlib import Path


def from_here(name: str) -> str | None:
    """``name`` from the working directory on; None for a file that is not below it."""
    relative = os.path.relpath(name)
    outside = os.path.isabs(relative) or relative.split(os.sep)[0] == os.pardir
    return None if outside else Path(relative).as_posix()
