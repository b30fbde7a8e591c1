"""Replaying, and what becomes of a recording: run, judge, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.application import (
    IncidentName,
    Json,
    OwnDatabase,
    OwnTarget,
    RunDirectory,
    Settings,
    StackKind,
    Without,
    app,
    err,
    out,
    print_json,
    resolved,
)
from harness.errors import UsageError
from harness.progress import watching
from harness.stack_kinds import EMBEDDED
from harness.verdicts import exit_code


@app.command(epilog="Example: pooldrill run undersized-pool --seed 2 --set service.pool.size=40")
def run(
    incident: IncidentName,
    seed: Annotated[int, typer.Option(min=0, help="Decides the arrivals and all jitter.")] = 1,
    full_length: Annotated[
        bool, typer.Option("--full-length", help="Run the incident's true hours.")
    ] = False,
    settings: Settings = None,
    without: Without = None,
    stack: StackKind = EMBEDDED,
    directory: Annotated[Path, typer.Option("--out", help="Folder for the run directory.")] = Path(
        "runs"
    ),
    prometheus: Annotated[
        bool, typer.Option(help="Run a real Prometheus beside it, where there is one.")
    ] = True,
    load_processes: Annotated[
        int | None, typer.Option(min=1, max=16, help="Locust processes; default by the peak rate.")
    ] = None,
    load_workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Locust workers of one master; started here by default."),
    ] = None,
    load_master: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Have the workers come from other machines, to this address."
        ),
    ] = None,
    own_target: OwnTarget = None,
    own_database: OwnDatabase = False,
    as_json: Json = False,
) -> None:
    """Replay an incident on real parts, judge it, report it."""
    # Imported here: the other commands need neither the stack nor the load.
    from harness.load import workers_wanted
    from harness.report import summary
    from harness.run import RunPlan, run_incident

    if load_processes is not None and (load_workers is not None or load_master is not None):
        raise UsageError(
            "--load-processes has no master; --load-workers and --load-master are about one",
            remedy="Leave one of the two out.",
        )
    found = resolved(incident, settings, without)
    with watching(err) as watch:
        recording, verdict = run_incident(
            RunPlan(
                incident=found,
                seed=seed,
                full_length=full_length,
                postgres=stack,
                out=directory,
                prometheus=prometheus,
                load_processes=load_processes,
                load_workers=workers_wanted(load_workers, load_master, own_target),
                allowed_host=own_target,
                allow_tables=own_database,
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


@app.command("load-worker", epilog="Example: pooldrill load-worker 192.0.2.7:5557")
def load_worker(
    master: Annotated[
        str, typer.Argument(metavar="HOST:PORT", help="What --load-master says on the other end.")
    ],
    name: Annotated[
        str | None, typer.Option(help="What the run calls this worker; default: its host's name.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long to wait for the master.")
    ] = 300.0,
    own_target: OwnTarget = None,
) -> None:
    """Play a share of the load of a run on another machine, and end with that run."""
    from harness.load import serve_master

    serve_master(master, name=name, owned_host=own_target, within_s=wait)


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
        print_json({path.name: str(path) for path in written})
    else:
        for path in written:
            out.print(str(path), soft_wrap=True, highlight=False)
