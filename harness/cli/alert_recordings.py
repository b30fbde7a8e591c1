"""Recordings that rules are scored on: replayed here, or taken from anybody's Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.alert_lab import alerts
from harness.cli.application import Json, OwnDatabase, OwnTarget, StackKind, err, out, print_json
from harness.cli.option_values import duration_s, instant, seed_range
from harness.errors import ExitCode, UsageError
from harness.stack_kinds import EMBEDDED, Where, known


@alerts.command(epilog="Example: pooldrill alerts record --seeds 1..3 --jobs 2 --out recordings")
def record(
    incidents: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INCIDENT…]", help="Names; all of the library without any."),
    ] = None,
    seeds: Annotated[
        str, typer.Option(metavar="1..3", help="One seed, or from one to another.")
    ] = "1",
    jobs: Annotated[
        int, typer.Option(min=1, max=8, help="Replays side by side; two cores carry two.")
    ] = 1,
    directory: Annotated[Path, typer.Option("--out", help="Folder of the recordings.")] = Path(
        "recordings"
    ),
    stack: StackKind = EMBEDDED,
    packed: Annotated[
        Path | None,
        typer.Option("--pack", metavar="FILE.zip", help="Put them all into one file as well."),
    ] = None,
    own_target: OwnTarget = None,
    own_database: OwnDatabase = False,
    as_json: Json = False,
) -> None:
    """Replay the library, for rules to be scored on. Goes on where it was interrupted."""
    from dataclasses import asdict

    from harness.alerts.library import record_library
    from harness.alerts.packed import pack
    from harness.incident import library, load_incident

    names = list(incidents or library())
    for name in names:
        load_incident(name)  # refused before anything is replayed
    found = record_library(
        names,
        seed_range(seeds),
        out=directory,
        jobs=jobs,
        where=Where(known(stack), own_target, own_database),
        said=lambda done, number, of: err.print(
            f"{number}/{of} {done.incident} / {done.seed}: {done.outcome} {done.why}".rstrip(),
            highlight=False,
        ),
    )
    if as_json:
        print_json([asdict(each) for each in found])
    outcomes = {each.outcome for each in found}
    if packed is not None and outcomes == {"pass"}:
        pack([Path(each.directory) for each in found], packed)
    if outcomes - {"pass"}:
        raise typer.Exit(ExitCode.INVALID if "fail" not in outcomes else ExitCode.FAIL)


@alerts.command(
    name="import",
    epilog="Example: pooldrill alerts import http://prometheus:9090 --from 2026-11-02T09:00Z "
    "--to 2026-11-02T13:00Z --harm 2026-11-02T10:12Z..2026-11-02T11:40Z --name pool-outage",
)
def import_(
    url: Annotated[str, typer.Argument(metavar="URL", help="The Prometheus's base address.")],
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="RFC 3339, with a zone.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="RFC 3339, with a zone.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="What the recording is called.")],
    harm: Annotated[
        str | None,
        typer.Option(
            metavar="TIME..TIME",
            help="When users were harmed; without it no alert may fire: a benign control.",
        ),
    ] = None,
    selectors: Annotated[
        list[str] | None,
        typer.Option("--select", metavar="SELECTOR", help="Series to take; may be repeated."),
    ] = None,
    step: Annotated[str, typer.Option(metavar="15s", help="Its scrape interval.")] = "15s",
    directory: Annotated[Path, typer.Option("--out", help="Folder for the recording.")] = Path(
        "runs"
    ),
    token: Annotated[
        str,
        typer.Option(envvar="POOLDRILL_PROMETHEUS_TOKEN", help="Bearer token.", show_default=False),
    ] = "",
    user: Annotated[str, typer.Option(help="Name for basic authentication.")] = "",
    password: Annotated[
        str,
        typer.Option(
            envvar="POOLDRILL_PROMETHEUS_PASSWORD", help="Its password.", show_default=False
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Take a range from any Prometheus as a recording that rules can be scored on."""
    from harness.alerts.importing import import_range
    from harness.alerts.remote import Access
    from harness.alerts.remote_range import KNOWN_SERIES

    window = None
    if harm is not None:
        first, dots, last = harm.partition("..")
        if not dots:
            raise UsageError(f"--harm {harm!r} is no range", remedy="Write --harm TIME..TIME.")
        window = (instant("--harm", first), instant("--harm", last))
    found = import_range(
        url,
        begin=instant("--from", begin),
        end=instant("--to", end),
        name=name,
        out=directory,
        selectors=tuple(selectors or (KNOWN_SERIES,)),
        step_s=duration_s("--step", step),
        window=window,
        access=Access(token=token, user=user, password=password),
    )
    if as_json:
        print_json({"recording": str(found)})
    else:
        out.print(str(found), soft_wrap=True, highlight=False)
