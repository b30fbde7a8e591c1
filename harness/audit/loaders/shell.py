"""Words of a command line, and the commands among them, behind whatever prepares them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from harness.audit.values import Place, Settings

Word = tuple[str, Place]
"""A word of a command line, and where it stands."""

_OPERATORS = re.compile(r"[;|&]+")

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh"})

_FARTHEST = 20
"""Lines within which the next word of a command stands."""

_WRAPPERS: Mapping[str, int] = {
    **dict.fromkeys(("exec", "env", "command", "nohup", "time", "nice", "ionice", "stdbuf"), 0),
    **dict.fromkeys(("dumb-init", "tini", "catatonit", "sudo", "--"), 0),
    **dict.fromkeys(("poetry", "uv", "uvx", "pipenv", "pdm", "hatch", "rye", "pixi", "doppler"), 0),
    **dict.fromkeys(("ddtrace-run", "opentelemetry-instrument", "newrelic-admin"), 0),
    **dict.fromkeys(("watchmedo", "chamber", "infisical", "dotenv"), 0),
    **dict.fromkeys(("gosu", "su-exec", "setuidgid"), 1),
}
"""Programs that start another, with how many arguments of theirs come before it."""

_SUBCOMMANDS = frozenset({"run", "exec", "run-program", "tool", "auto-restart"})

_VALUED = frozenset(
    {"--with", "--env-file", "--python", "--package", "--directory", "--project", "--extra"}
    | {"--group", "-p", "-u", "-g", "-n", "-c", "-C"}
)
"""Options of wrappers that take a value of their own."""


def words_at(text: str, place: Place) -> tuple[Word, ...]:
    """The words of a line as a shell finds them; ``;``, ``&&`` and the like stand alone.

    A text with quotes that do not end is taken apart at its blanks.
    """
    splitter = shlex.shlex(text, posix=True, punctuation_chars=";|&")
    splitter.whitespace_split = True
    splitter.commenters = ""
    try:
        words = list(splitter)
    except ValueError:
        words = text.split()
    return tuple((word, place) for word in words)


def located(words: Iterable[Word], text: str) -> tuple[Word, ...]:
    """The words of a command of several lines, each on the line of the file where it is found.

    ``text`` is the file's. A word that is not found as it is stays on the line of the one before.
    """
    lines = text.splitlines()
    found: list[Word] = []
    line = column = 0
    for word, place in words:
        line, column = max((line, column), (place.line - 1, 0))
        for number_ in range(line, min(line + _FARTHEST, len(lines))):
            start = lines[number_].find(word, column if number_ == line else 0)
            if start >= 0:
                line, column = number_, start + len(word)
                break
        found.append((word, replace(place, line=line + 1)))
    return tuple(found)


def commands_of(words: Sequence[Word], depth: int = 0) -> list[list[Word]]:
    """Each command that is not empty; those of ``sh -c`` in the place of the shell."""
    commands: list[list[Word]] = [[]]
    for word in words:
        if _OPERATORS.fullmatch(word[0]):
            commands.append([])
        else:
            commands[-1].append(word)
    found: list[list[Word]] = []
    for command in filter(None, commands):
        command = _unwrapped(command)
        script = _script(command)
        if script is not None and depth < 3:
            text = script[0].replace("\\\n", " ").replace("\n", " ; ")
            found += commands_of(words_at(text, script[1]), depth + 1)
        elif command:
            found.append(command)
    return found


def _script(command: Sequence[Word]) -> Word | None:
    """What ``sh -c`` executes."""
    if not command or base_name(command[0][0]) not in _SHELLS:
        return None
    for number_, (word, _) in enumerate(command[1:-1], 1):
        if word.startswith("-") and word.endswith("c"):
            return command[number_ + 1]
    return None


def _unwrapped(command: list[Word]) -> list[Word]:
    """Without what only prepares it: variables, an init, a runner, an entrypoint's script."""
    while command:
        base = base_name(command[0][0])
        if _ASSIGNMENT.match(command[0][0]):
            command = command[1:]
        elif base in _WRAPPERS:
            command = _after_dashes(command) or _without_options(command[1:])[_WRAPPERS[base] :]
        elif len(command) > 1 and (base.endswith(".sh") or "entrypoint" in base):
            command = _after_dashes(command) or command[1:]
        else:
            break
    return command


def _after_dashes(command: list[Word]) -> list[Word]:
    """What stands behind ``--``; nothing where that does not."""
    dashes = [number_ for number_, word in enumerate(command) if word[0] == "--"]
    return command[dashes[0] + 1 :] if dashes else []


def _without_options(command: list[Word]) -> list[Word]:
    while command:
        word = command[0][0]
        if word in _VALUED:
            command = command[2:]
        elif word.startswith("-") or word in _SUBCOMMANDS or word.isdecimal():
            command = command[1:]
        else:
            break
    return command


def base_name(word: str) -> str:
    """The program's own name, without the folders before it."""
    return PurePosixPath(word).name


def assigned_by(words: Sequence[Word]) -> Settings:
    """Variables that are set in front of the program: ``WEB_CONCURRENCY=2 gunicorn app``."""
    found = {}
    for word, place in words:
        if _ASSIGNMENT.match(word) is not None:
            key, _, text = word.partition("=")
            found[key] = text, replace(place, key=key)
        elif base_name(word) not in _WRAPPERS and word != "export":
            break
    return found
