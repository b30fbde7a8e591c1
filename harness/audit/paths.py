"""How near files and folders stand to each other, by their names as the user wrote them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePath


@lru_cache(maxsize=65_536)
def parts_of(path: str) -> tuple[str, ...]:
    """The names that a path is made of; "." has none."""
    return PurePath(path).parts


def is_within(folder: str, around: str) -> bool:
    """Whether ``folder`` is ``around``, or below it."""
    outer = parts_of(around)
    return parts_of(folder)[: len(outer)] == outer


def common(one: str, other: str) -> int:
    """How many folders the two have in common, from the outermost on."""
    count = 0
    for left, right in zip(parts_of(one), parts_of(other), strict=False):
        if left != right:
            break
        count += 1
    return count


def name_of(path: str) -> str:
    """The last of the names that a path is made of; "" where it has none."""
    return parts_of(path)[-1] if parts_of(path) else ""


@lru_cache(maxsize=65_536)
def folder_of(file: str) -> str:
    """The folder that a file stands in."""
    return str(PurePath(file).parent)
