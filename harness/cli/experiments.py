"""Several runs together: whatif, document."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.application import (
    IncidentName,
    Json,
    OwnDatabase,
    OwnTarget,
    Settings,
    StackKind,
    app,
    err,
    out,
    overrides,
    print_json,
)
from harness.errors import ExitCode, UsageError
from harness.incident import load_incident
from harness.stack_kinds import EMBEDDED, Where


@app.command(epilog="Example: pooldrill whatif flash-sale-deploy --action scale-out --jobs 2")
def whatif(
    incident: IncidentName,
    everything: Annotated[
        bool, typer.Option("--all", help="Every row that the incident permits.")
    ] = False,
    actions: Annotated[
        list[str] | None,
        typer.Option("--action", metavar="ROW", help="One row; may be repeated."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="30m", help="The moment of the actions, in incident time."),
    ] = None,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides the arrivals and all jitter.")] = 1,
    jobs: Annotated[
        int,
        typer.Option(min=1, max=8, help="Runs side by side; two cores carry two."),
    ] = 1,
    stack: StackKind = EMBEDDED,
    directory: Annotated[Path, typer.Option("--out", help="Folder for the experiment.")] = Path(
        "runs"
    ),
    own_target: OwnTarget = None,
    own_database: OwnDatabase = False,
    as_json: Json = False,
) -> None:
    """Replay an incident under other actions: which would have helped, and how soon?"""
    from harness.report.matrix import cells, table
    from harness.whatif import WhatIf, planned
    from harness.whatif import whatif as try_all

    given = overrides(settings)
    if at is not None:
        given["whatif.at"] = at
    asked = WhatIf(
        incident=load_incident(incident, given),
        source=incident,
        actions=None if everything else tuple(actions or ()),
        overrides=given,
        seed=seed,
        jobs=jobs,
        out=directory,
        where=Where(stack, own_target, own_database),
        said=lambda row, done, of: err.print(
            f"{done}/{of} {' · '.join(cell for cell in cells(row) if cell)}", highlight=False
        ),
    )
    if not everything and not actions:
        rows = ", ".join(row.name for row in planned(replace(asked, actions=None)))
        raise UsageError("what is to be tried?", remedy=f"Give --all, or --action of: {rows}.")
    matrix, folder = try_all(asked)
    if as_json:
        print_json(matrix.model_dump(mode="json"))
    else:
        out.print(table(matrix))
        out.print(f"\nMatrix: {folder / 'whatif.json'}", soft_wrap=True, highlight=False)
    if any(row.outcome == "invalid" for row in matrix.rows):
        raise typer.Exit(ExitCode.INVALID)


@app.command(
    epilog="Example: pooldrill document undersized-pool runs/first runs/second "
    "--without-defect runs/third"
)
def document(
    incident: Annotated[
        str | None, typer.Argument(metavar="INCIDENT", help="A name from `pooldrill list`.")
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN…", help="Run directories that passed, one a seed."),
    ] = None,
    without_defect: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="A run with `--without defect`; it must have failed."),
    ] = None,
    whatif: Annotated[
        Path | None,
        typer.Option(metavar="WHATIF.JSON", help="What `pooldrill whatif INCIDENT --all` wrote."),
    ] = None,
    directory: Annotated[
        Path, typer.Option("--out", help="Folder of the pages, their figures and the index.")
    ] = Path("docs/incidents"),
    from_figures: Annotated[
        bool,
        typer.Option(
            "--from-figures",
            help="Write the page again from its figures; without INCIDENT, every page.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write an incident's page, and the figures on it, from its runs."""
    from harness.document import Sources, rewrite
    from harness.document import document as write

    if from_figures and (runs or without_defect or whatif):
        raise UsageError("--from-figures takes no runs", remedy="Leave out one of the two.")
    if from_figures:
        written = rewrite(incident, directory)
    elif incident is None:
        raise UsageError(
            "which incident is to be documented?",
            remedy="Give INCIDENT and its runs, or --from-figures for every page.",
        )
    else:
        written = write(Sources(incident, runs or [], without_defect, whatif, directory))
    if as_json:
        print_json({path.name: str(path) for path in written})
    else:
        for path in written:
            out.print(str(path), soft_wrap=True, highlight=False)
