"""Thin commands over the library; `ExitCode` says what each exit code means."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from harness import doctor as doctoring
from harness.errors import ExitCode, IncidentError, PooldrillError, UsageError
from harness.incident import dump_incident, library, load_incident, schema_text
from harness.incident.units import format_duration
from harness.progress import watching
from harness.timemap import build_timemap
from harness.verdicts import exit_code

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


@app.command("list", epilog="Example: pooldrill list --json")
def list_(as_json: Json = False) -> None:
    """The incidents that can be replayed."""
    incidents = [load_incident(name) for name in library()]
    if as_json:
        _print_json([_listed(incident) for incident in incidents])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("incident", "title", "incident lasts", "replay takes"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "title")
    for incident in incidents:
        row = _listed(incident)
        table.add_row(
            row["name"],
            row["title"],
            format_duration(row["duration_s"]),
            f"{row['replay_s']:.0f} s",
        )
    out.print(table)


@app.command(epilog="Example: pooldrill show undersized-pool --set service.pool.size=40")
def show(incident: IncidentName, settings: Settings = None, as_json: Json = False) -> None:
    """An incident's resolved definition, or every problem it has."""
    resolved = load_incident(incident, _overrides(settings))
    if as_json:
        _print_json(resolved.model_dump(mode="json"))
    else:
        print(dump_incident(resolved), end="")


@app.command(epilog="Example: pooldrill run undersized-pool --seed 2 --set service.pool.size=40")
def run(
    incident: IncidentName,
    seed: Annotated[int, typer.Option(min=0, help="Decides the arrivals and all jitter.")] = 1,
    full_length: Annotated[
        bool, typer.Option("--full-length", help="Run the incident's true hours.")
    ] = False,
    settings: Settings = None,
    stack: Annotated[
        str, typer.Option(metavar="embedded|DSN", help="Where PostgreSQL comes from.")
    ] = "embedded",
    directory: Annotated[Path, typer.Option("--out", help="Folder for the run directory.")] = Path(
        "runs"
    ),
    prometheus: Annotated[
        bool, typer.Option(help="Run a real Prometheus beside it, where there is one.")
    ] = True,
    load_processes: Annotated[
        int | None, typer.Option(min=1, max=16, help="Locust processes; default by the peak rate.")
    ] = None,
    own_target: Annotated[
        str | None,
        typer.Option("--i-own-this-target", metavar="HOST", help="Permit a host beyond loopback."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Replay an incident on real parts, judge it, report it."""
    # Imported here: the other commands need neither the stack nor the load.
    from harness.report import summary
    from harness.run import RunPlan, run_incident

    resolved = load_incident(incident, _overrides(settings))
    with watching(err) as watch:
        recording, verdict = run_incident(
            RunPlan(
                incident=resolved,
                seed=seed,
                full_length=full_length,
                postgres=stack,
                out=directory,
                prometheus=prometheus,
                load_processes=load_processes,
                allowed_host=own_target,
                watch=watch,
            )
        )
    if as_json:
        print(verdict.to_json(), end="")
    else:
        out.print(summary(recording, verdict))
        out.print(
            f"\nReport: {recording.directory / 'report.html'}", soft_wrap=True, highlight=False
        )
    raise typer.Exit(exit_code(verdict.outcome))


@app.command(epilog="Example: pooldrill judge runs/20261120T090000Z-undersized-pool-1")
def judge(directory: RunDirectory, as_json: Json = False) -> None:
    """Judge a stored run again, from its directory alone, and write verdict.json."""
    from harness.conclude import judge_directory
    from harness.report import summary

    recording, verdict = judge_directory(directory)
    if as_json:
        print(verdict.to_json(), end="")
    else:
        out.print(summary(recording, verdict))
    raise typer.Exit(exit_code(verdict.outcome))


@app.command(epilog="Example: pooldrill report runs/20261120T090000Z-undersized-pool-1")
def report(directory: RunDirectory, as_json: Json = False) -> None:
    """Write report.html, postmortem.md and junit.xml of a stored run."""
    from harness.conclude import judge_directory, write_reports

    written = write_reports(*judge_directory(directory))
    if as_json:
        _print_json({path.name: str(path) for path in written})
    else:
        for path in written:
            out.print(str(path), soft_wrap=True, highlight=False)


@app.command(epilog="Example: pooldrill doctor --json")
def doctor(as_json: Json = False) -> None:
    """What this machine has, what is missing, and how to get it."""
    findings = doctoring.examine()
    if as_json:
        _print_json([finding.as_dict() for finding in findings])
    else:
        out.print(doctoring.render(findings))
    if any(finding.state == "missing" and finding.required for finding in findings):
        raise typer.Exit(ExitCode.INFRASTRUCTURE)


@app.command(epilog="Example: pooldrill schema > incident.schema.json")
def schema(as_json: Json = False) -> None:
    """The JSON Schema of an incident file."""
    del as_json  # it is JSON either way
    print(schema_text())


def main() -> None:
    """Entry point: known errors become their text and exit code, not a traceback."""
    as_json = "--json" in sys.argv
    try:
        app()
    except PooldrillError as error:
        if as_json:
            _print_json({"error": _error_dict(error)})
        err.print(f"[bold red]error[/] {_escape(str(error))}", highlight=False, soft_wrap=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(ExitCode.INVALID) from None
    except Exception:  # noqa: BLE001 - said in full, and not as a verdict
        # A defect of ours must not leave with Python's exit code 1, which means "fail".
        err.print_exception()
        raise SystemExit(ExitCode.INVALID) from None
    except BrokenPipeError:
        # The reader of a pipe has gone: nothing is left to say to it.
        sys.stderr.close()
        raise SystemExit(ExitCode.PASS) from None


def _overrides(settings: list[str] | None) -> dict[str, str]:
    overrides: dict[str, str] = {}
    for setting in settings or []:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UsageError(
                f"--set {setting}: not KEY=VALUE", remedy="Write --set service.pool.size=40."
            )
        overrides[key] = value
    return overrides


def _listed(incident: Any) -> dict[str, Any]:
    return {
        "name": incident.name,
        "title": incident.title,
        "duration_s": incident.clock.duration_s,
        "replay_s": build_timemap(incident).replay_length_s,
        "users_affected": incident.expect.users_affected.share,
    }


def _error_dict(error: PooldrillError) -> dict[str, Any]:
    problems: list[dict[str, Any]] = []
    if isinstance(error, IncidentError):
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


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


if __name__ == "__main__":
    main()
