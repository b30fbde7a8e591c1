"""Shell scripts that start a server: an image's entrypoint, a unit's wrapper.

A script is not run and not understood as a program: each line, with those that a backslash joins
to it, is taken as a command, and the last one that starts a known server counts. Of one that
chooses what it starts by a word that it is given, that word decides (`entry_points`), or nobody
knows which it is. An interpreter by itself (``python -m pytest``) is what a developer's script
ends with as well, and counts where the script is called one that starts something. Which image or
unit starts the script, its folder tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from harness.audit.loaders.commands import Word, ends_by_itself, located, runtime_of, words_at
from harness.audit.loaders.entry_points import OTHERWISE, entry_point
from harness.audit.loaders.serving import PROGRAMS
from harness.audit.reading import Reading, Runtime
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value

ASIDE = frozenset({"bin", "deploy", "docker", "entrypoint", "ops", "scripts", "run", ".docker"})
"""Folders of scripts: the program that they start stands beside the folder."""

_SHEBANG = re.compile(r"#!.*\b(sh|bash|dash|ash|zsh)\b")
_CHOICE = re.compile(r"^[ \t]*(case[ \t]|(function[ \t]+)?[\w-]+[ \t]*\(\)[ \t]*\{)", re.MULTILINE)
"""A word decides, or functions do that are called elsewhere."""

_STARTING = frozenset(
    {"boot", "cmd", "entry", "entrypoint", "launch", "main", "run", "serve", "server", "start"}
    | {"startup", "web", "api", "app", "worker"}
)
_AT_WORK = frozenset(
    {"build", "check", "ci", "deps", "dev", "format", "generate", "lint", "release", "setup"}
    | {"test", "tests"}
)
"""Words in a script's name: those of one that starts something, and those of a developer's."""

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
    if (point := entry_point(file, _lines(file), str(folder))) is not None:
        otherwise = point.starts.get(OTHERWISE)
        return Reading(entry_points=(point,), runtimes=(otherwise,) if otherwise else ())
    found = [
        runtime
        for words, place in _commands(file)
        if not ends_by_itself(words)
        and (runtime := runtime_of(words, place, str(folder))) is not None
    ]
    # Of an interpreter by itself nobody can say whether it serves.
    servers = [each for each in found if each.serves.is_known]
    if _CHOICE.search(file.text) is None:
        alone = found if _starts(file.path.stem) else []
        return Reading(runtimes=tuple((servers or alone)[-1:]))
    one_of = [_one_of(servers, file.path.name)] if len(servers) > 1 else servers
    return Reading(runtimes=tuple(one_of))


def _starts(name: str) -> bool:
    """Whether a script's name is that of one that starts a program."""
    words = set(re.split(r"[\W_]+", name.lower()))
    return bool(words & _STARTING) and not words & _AT_WORK


def _one_of(servers: Sequence[Runtime], script: str) -> Runtime:
    """What is known of several, of which the script starts one."""
    last = servers[-1]
    why = f"{script} starts one of several programs"
    return Runtime(
        place=last.place,
        folder=last.folder,
        processes=Value.unknown(why, last.place),
        serves=Value.unknown(why, last.place),
    )


def _commands(file: SourceFile) -> Iterator[tuple[tuple[Word, ...], Place]]:
    """Each command with its place; ``${X:-default}`` is a word of it, as in any command."""
    for line, place in _lines(file):
        yield located(words_at(line, place), file.text), place


def _lines(file: SourceFile) -> Iterator[tuple[str, Place]]:
    """Each line, with those that a backslash joins to it."""
    joined, first = "", 0
    for number, line in enumerate(file.lines, 1):
        text = line.strip()
        if not joined and (not text or text.startswith("#")):
            continue
        first = first if joined else number
        if text.endswith("\\"):
            joined += text[:-1] + " "
            continue
        yield joined + text, Place(file.name, first)
        joined = ""
