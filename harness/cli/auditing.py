"""What will break, found in the files: audit."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.audit import Declared, Severity, audit_files
from harness.cli.application import Json, app, print_json
from harness.errors import ExitCode, UsageError
from harness.incident.units import parse_duration_s, parse_rate_per_s
from harness.report.findings import as_github, as_json, as_text


class Format(StrEnum):
    """How findings are shown."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


class FailOn(StrEnum):
    """From which severity on the exit code is 1."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@app.command(epilog="Example: pooldrill audit . --peak 300/s --hold 45ms")
def audit(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH…", help="Files and folders of configuration.")
    ],
    peak: Annotated[
        str | None, typer.Option(metavar="RATE", help="The logins to survive: 300/s.")
    ] = None,
    hold: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="For how long one holds a connection: 45ms."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How findings are shown.")] = Format.TEXT,
    fail_on: Annotated[
        FailOn, typer.Option(help="Exit 1 for findings that are at least so grave.")
    ] = FailOn.WARNING,
    as_json_: Json = False,
) -> None:
    """Join configuration files into one chain, and say what will break, where and why.

    Exit code 0: nothing so grave; 1: findings; 2: bad input, or nothing that could be audited.
    """
    declared = Declared(
        peak_per_s=None if peak is None else _positive("--peak", peak, parse_rate_per_s),
        hold_s=None if hold is None else _positive("--hold", hold, parse_duration_s),
    )
    found = audit_files(paths, declared)
    if not found.files:
        why = "; ".join(f"{unread.file}: {unread.why}" for unread in found.unread[:3])
        raise UsageError(
            f"nothing was audited: no file is of a format that is known{why and f' ({why})'}",
            remedy="Name the files that configure the service, its gateway and its database.",
        )
    if as_json_ or form is Format.JSON:
        print_json(as_json(found))
    else:
        for line in as_text(found) if form is Format.TEXT else as_github(found):
            print(line)
    severity: Severity = fail_on.value
    raise typer.Exit(ExitCode.FAIL if found.reaching(severity) else ExitCode.PASS)


def _positive(option: str, text: str, parse: Callable[[str], float]) -> float:
    try:
        value = parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if value <= 0:
        raise UsageError(f"{option} {text}: more than nothing is needed")
    return value
