"""What an image's entry point starts for each word that it is given.

``case "$1" in web) exec gunicorn …;; worker) exec celery …;; esac``, or the same with ``if``. The
script is not run: a start counts for the arm that it stands in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.audit.loaders.commands import Word, ends_by_itself, located, runtime_of, words_at
from harness.audit.reading import EntryPoint, Runtime
from harness.audit.sources import SourceFile
from harness.audit.values import Place

OTHERWISE = "*"
"""Any other word, or none."""

_ENDED = re.compile(r"\bfi\s*;?\s*$")
_FUNCTION = re.compile(r"^[ \t]*(?:function[ \t]+)?[\w-]+[ \t]*\(\)", re.MULTILINE)

_FIRST = r"""["']?\$\{?1(?::?-[\w.-]*)?\}?["']?"""
_CASE = re.compile(rf"case\s+{_FIRST}\s+in\b")
_WORD = r"""["']?[\w.*-]+["']?"""
_ARM = re.compile(rf"\(?\s*({_WORD}(?:\s*\|\s*{_WORD})*)\s*\)(.*)", re.DOTALL)
_IF = re.compile(
    rf"""(?:el)?if\s+\[\[?\s+{_FIRST}\s+==?\s+["']?([\w.-]+)["']?\s+\]\]?\s*(?:;\s*then\b(.*))?""",
    re.DOTALL,
)


@dataclass(slots=True)
class _Arms:
    """Which words lead to the line that is read; None outside of a choice by the first word."""

    words: tuple[str, ...] | None = None
    in_case: bool = False
    depth: int = 0
    """Of other conditions within."""

    starts: dict[str, Runtime | None] = field(default_factory=dict)

    def command_of(self, line: str) -> str:
        """What is left of a line as a command, once it is known where the line stands."""
        if _CASE.match(line):
            self.in_case, self.words = True, ()
            return ""
        if self.in_case:
            return self._in_case(line)
        if (found := _IF.match(line)) is not None and not self.depth:
            self.words = (found[1],)
            return found[2] or ""
        first = line.partition(" ")[0].rstrip(";")
        if first == "if":
            self.depth += self.words is not None and _ENDED.search(line) is None
        elif first == "fi":
            self.words = self.words if self.depth else None
            self.depth = max(0, self.depth - 1)
        elif first in ("else", "elif") and self.words is not None and not self.depth:
            self.words = (OTHERWISE,) if first == "else" else ()
            return line.removeprefix("else") if first == "else" else ""
        return line

    def _in_case(self, line: str) -> str:
        if line.startswith("esac"):
            self.in_case, self.words = False, None
            return ""
        if not self.words and (found := _ARM.match(line)) is not None:
            self.words = tuple(re.sub(r"[\"'\s]", "", found[1]).split("|"))
            line = found[2].strip()
        return line

    def after(self, line: str) -> None:
        """An arm ends with ``;;``."""
        if self.in_case and line.rstrip().endswith(";;"):
            self.words = ()

    def note(self, words: tuple[Word, ...], place: Place, folder: str) -> None:
        """What is started for these words; None for a task that is done once."""
        is_task = self.words is not None and ends_by_itself(words)
        started = None if is_task else runtime_of(words, place, folder)
        if is_task or (started is not None and not ends_by_itself(words)):
            to = (OTHERWISE,) if self.words is None else self.words
            self.starts.update({word: started for word in to if started or word not in self.starts})


def entry_point(
    file: SourceFile, lines: Iterable[tuple[str, Place]], folder: str
) -> EntryPoint | None:
    """The choice that a script makes by the first word it is given; None where it makes none.

    What it starts besides is for all other words. Where functions are declared, a line does not
    say when it is done.
    """
    arms, chooses = _Arms(), False
    if _FUNCTION.search(file.text) is not None:
        return None
    for line, place in lines:
        command = arms.command_of(line.strip())
        chooses = chooses or arms.words is not None
        words = located(words_at(command.rstrip().removesuffix(";;"), place), file.text)
        arms.note(words, place, folder)
        arms.after(line)
    if not chooses or not set(arms.starts) - {OTHERWISE}:
        return None
    return EntryPoint(place=Place(file.name), folder=folder, starts=arms.starts)
