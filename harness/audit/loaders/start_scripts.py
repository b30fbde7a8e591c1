"""Shell scripts that start a server: an image's entrypoint, a unit's wrapper.

A script is not run and not understood as a program: each line, with those that a backslash joins
to it, is taken as a command, and the last one that starts a known server counts. Which image or
unit starts the script, its folder tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from harness.audit.loaders.commands import Word, ends_by_itself, located, runtime_of, words_at
from harness.audit.loaders.serving import PROGRAMS
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place

ASIDE = frozenset({"bin", "deploy", "docker", "entrypoint", "ops", "scripts", "run", ".docker"})
"""Folders of scripts: the program that they start stands beside the folder."""

_SHEBANG = re.compile(r"#!.*\b(sh|bash|dash|ash|zsh)\b")
_SERVERS = re.compile(rf"\b({'|'.join(sorted(map(re.escape, PROGRAMS)))})\b")


def recognises(file: SourceFile) -> bool:
    """By its name or its first line, and a server's name in it."""
    is_script = file.path.suffix in (".sh", ".bash") or _SHEBANG.match(file.text) is not None
    return is_script and _SERVERS.search(file.text) is not None


def load(file: SourceFile) -> Reading:
    """How the server is started that the script ends with; nothing where it starts none."""
    folder = PurePath(file.name).parent
    if folder.name in ASIDE:
        folder = folder.parent
    found = [
        runtime
        for words, place in _commands(file)
        if not ends_by_itself(words)
        and (runtime := runtime_of(words, place, str(folder))) is not None
    ]
    return Reading(runtimes=tuple(found[-1:]))


def _commands(file: SourceFile) -> Iterator[tuple[tuple[Word, ...], Place]]:
    """Each command with its place; ``${X:-default}`` is a word of it, as in any command."""
    joined, first = "", 0
    for number, line in enumerate(file.lines, 1):
        text = line.strip()
        if not joined and (not text or text.startswith("#")):
            continue
        first = first if joined else number
        if text.endswith("\\"):
            joined += text[:-1] + " "
            continue
        place = Place(file.name, first)
        yield located(words_at(joined + text, place), file.text), place
        joined = ""
