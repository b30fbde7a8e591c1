"""Pieces of Markdown that mean only themselves, whatever text is put into them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)|<(?=[\w/!?])|&(?=#?\w+;)")
"""What would begin a mark in the middle of a line; an underscore within a word does not."""

_AT_THE_BEGINNING = re.compile(r"^(?:[-+>=]|#{1,6}|\d+[.)])(?=\s|$)|^>")


def line(value: str) -> str:
    """``value`` as one line of text, also where it stands at the beginning of a paragraph.

    Its narrow spaces stay: they keep a number in one piece.
    """
    one = re.sub(r"[ \t\r\n]+", " ", value.strip())
    escaped = _SPECIAL.sub(r"\\\g<0>", one)
    return _AT_THE_BEGINNING.sub(lambda mark: f"{mark[0][:-1]}\\{mark[0][-1]}", escaped)


def code(value: str) -> str:
    """``value`` as it is typed. Not for a table: there a pipe would end the cell."""
    fence = "`" * (max(map(len, re.findall("`+", value)), default=0) + 1)
    pad = " " if "`" in value else ""
    return f"{fence}{pad}{value}{pad}{fence}"


def bullets(items: Iterable[str]) -> str:
    """A list of ``items`` that are Markdown already."""
    return "\n".join(f"- {item}" for item in items)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
