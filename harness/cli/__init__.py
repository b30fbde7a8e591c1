"""Thin commands over the library; `ExitCode` says what each exit code means."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from rich.markup import escape

# Importing a module of commands is what adds them; their order is the help's.
# isort: off
from harness.cli import (  # noqa: F401
    definitions,
    runs,
    experiments,
    alert_lab,
    alert_recordings,
    auditing,
    sizing,
    machine,
)

# isort: on
from harness.cli.application import app, err, print_json
from harness.errors import (
    AuditInputError,
    ExitCode,
    IncidentError,
    PooldrillError,
    RulesError,
    UsageError,
)


def main() -> None:
    """Entry point: known errors become their text and exit code, not a traceback."""
    as_json = asks_for_json(sys.argv[1:])
    _usable_streams()
    try:
        _run(as_json)
    except PooldrillError as error:
        if as_json:
            print_json({"error": _error_dict(error)})
        err.print(f"[bold red]error[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(ExitCode.INVALID) from None
    except BrokenPipeError:
        # The reader of a pipe has gone: nothing is left to say to it.
        sys.stderr.close()
        raise SystemExit(ExitCode.PASS) from None
    except Exception as error:  # noqa: BLE001 - said in full, and not as a verdict
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            err.print(f"[bold red]error[/] {error.strerror}: what was to be said is not whole")
            raise SystemExit(ExitCode.INVALID) from None
        # A defect of ours must not leave with Python's exit code 1, which means "fail".
        err.print_exception()
        raise SystemExit(ExitCode.INVALID) from None


def asks_for_json(words: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, by ``--json`` or ``--format json``, even a wrong one.

    A program that reads standard output is told there why there is nothing else.
    """
    pairs = zip(words, (*words[1:], ""), strict=False)
    return any(
        word in ("--json", "--format=json") or (word, following) == ("--format", "json")
        for word, following in pairs
    )


def _run(as_json: bool) -> None:
    """Run the command. What is wrong with its words is said by Typer, except in JSON."""
    if not as_json:
        app()
        return
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        said = getattr(error, "format_message", error.__str__)()
        remedy = "The same command with --help shows its options."
        raise UsageError(said, remedy=remedy) from None
    raise SystemExit(code or ExitCode.PASS)


def _usable_streams() -> None:
    """Streams that are there and take every sign.

    A caller may have closed one; a terminal may lack a sign; a file's name may be no UTF-8.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - until the process ends
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _error_dict(error: PooldrillError) -> dict[str, Any]:
    problems: list[dict[str, Any]] = []
    if isinstance(error, (AuditInputError, IncidentError, RulesError)):
        problems = [
            {"file": p.file, "line": p.line, "field": p.field, "message": p.message}
            for p in error.problems
        ]
    return {
        "code": error.code,
        "message": error.message,
        "remedy": error.remedy,
        "exit_code": int(error.exit_code),
        "problems": problems,
    }
