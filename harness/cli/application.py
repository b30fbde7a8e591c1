"""The application, its consoles, and the options that several commands share."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from harness.errors import UsageError
from harness.incident import Incident, load_incident, load_without
from harness.stack_kinds import METAVAR, VARIABLE

app = typer.Typer(
    name="pooldrill",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Machine-readable on stdout, nothing else.")]
IncidentName = Annotated[
    str, typer.Argument(metavar="INCIDENT", help="A name from `pooldrill list`, or a YAML file.")
]
RunDirectory = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="A run directory, such as runs/2026…-undersized-pool-1."),
]
Without = Annotated[
    str | None,
    typer.Option(
        "--without",
        metavar="defect|trigger|loop",
        help="Take this cause away, as the incident's truth says how.",
    ),
]
StackKind = Annotated[
    str,
    typer.Option(
        "--stack",
        metavar=METAVAR,
        envvar=VARIABLE,
        help="Where PostgreSQL comes from: a wheel, containers, or a server of yours.",
    ),
]
OwnTarget = Annotated[
    str | None,
    typer.Option("--i-own-this-target", metavar="HOST", help="Permit a host beyond loopback."),
]
OwnDatabase = Annotated[
    bool,
    typer.Option("--i-own-this-database", help="Permit a DSN's database that is not empty."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a field; may be repeated."),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"pooldrill {importlib.metadata.version('pooldrill')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Reproduce connection-pool outages on real parts, measure them, judge them."""
    del version  # its callback has answered


def resolved(incident: str, settings: list[str] | None, without: str | None) -> Incident:
    """The incident that a command names, with its overrides and without that cause."""
    given = overrides(settings)
    if without is None:
        return load_incident(incident, given)
    return load_without(incident, without, given)


def overrides(settings: list[str] | None) -> dict[str, str]:
    """``--set KEY=VALUE`` as field paths and YAML values; UsageError for anything else."""
    found: dict[str, str] = {}
    for setting in settings or []:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UsageError(
                f"--set {setting}: not KEY=VALUE", remedy="Write --set service.pool.size=40."
            )
        found[key] = value
    return found


def print_json(value: Any) -> None:
    """On standard output, for machines."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))
