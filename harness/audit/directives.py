"""Configuration that is made of directives: a name, arguments, and others in its braces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Directive:
    """One of them, where it stands, with those in its braces."""

    name: str
    arguments: tuple[str, ...]
    line: int
    inside: tuple[Directive, ...] = ()
    file: str = ""


Blocks = tuple[Directive, ...]


def walk(blocks: Blocks, around: Blocks = ()) -> Iterator[tuple[Directive, Blocks]]:
    """Every directive with the blocks around it, the outermost first."""
    for directive in blocks:
        yield directive, around
        yield from walk(directive.inside, (*around, directive))
