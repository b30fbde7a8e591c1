"""How much is needed for how many logins: size."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from harness.cli.application import Json, app, err, out, print_json
from harness.errors import ExitCode, UsageError
from harness.incident.units import parse_duration_s, parse_rate_per_s
from harness.load import suggested_shards
from harness.report.fleets import SizedFleet, table_of
from harness.report.scorecard import markdown_table, place_in_page
from harness.sizing import Fleet, smallest_fleet
from harness.writing import write_text

EXAMPLE = (
    "Example: pooldrill size --rate 290/s --hold 50ms --replicas 4 --pool 5 --max-connections 100"
)


@app.command(epilog=EXAMPLE)
def size(
    rates: Annotated[
        list[str],
        typer.Option("--rate", metavar="RATE", help="Logins: 80/s, 4800/min; may be repeated."),
    ],
    hold: Annotated[
        str,
        typer.Option(
            help="What one login holds connections for, all its checkouts together: 50ms."
        ),
    ],
    replicas: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Replicas; may be repeated. Default: 1."),
    ] = None,
    per_replica: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="Instead: one replica for each such rate, 500/s."),
    ] = None,
    pool: Annotated[
        int | None,
        typer.Option(min=1, help="A replica's limit, size + overflow. Default: the smallest."),
    ] = None,
    wait: Annotated[
        str, typer.Option(help="What 99 % of the logins may wait at most, for the smallest pool.")
    ] = "100ms",
    timeout: Annotated[str, typer.Option(help="The pools' timeout.")] = "30s",
    hashing: Annotated[
        str, typer.Option("--hash", metavar="TIME", help="What a password costs a core.")
    ] = "0s",
    max_connections: Annotated[
        int | None, typer.Option(min=1, help="What the database accepts.")
    ] = None,
    reserved: Annotated[
        int, typer.Option(min=0, help="Of those, kept for administrators and agents.")
    ] = 0,
    into: Annotated[
        str | None,
        typer.Option(metavar="FILE#NAME", help="Write the table between that page's marks."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Connections, waits and load generators for a rate of logins, by queueing theory.

    Stationary predictions of M/M/c: Poisson arrivals, exponential hold times, no retries. Nothing
    is started or measured. Exit code 1: the pools do not carry the rate, or the database has fewer
    connections than the pools may open.
    """
    if replicas and per_replica:
        raise UsageError("--replicas and --per-replica", remedy="Give one of them.")
    hold_s = _read("--hold", hold, parse_duration_s)
    granted = None if max_connections is None else max_connections - reserved
    rows = []
    for text in rates:
        rate_per_s = _read("--rate", text, parse_rate_per_s)
        counts = replicas or [1]
        if per_replica:
            counts = [math.ceil(rate_per_s / _read("--per-replica", per_replica, parse_rate_per_s))]
        rows += [
            SizedFleet(
                _fleet(rate_per_s, hold_s, count, pool, _read("--wait", wait, parse_duration_s)),
                timeout_s=_read("--timeout", timeout, parse_duration_s),
                generators=suggested_shards(rate_per_s),
                hash_s=_read("--hash", hashing, parse_duration_s, zero=True),
                granted=granted,
            )
            for count in counts
        ]
    headings, cells = table_of(rows)
    if into is not None:
        _write_into(into, markdown_table(headings, cells))
    if as_json:
        print_json([row.as_dict() for row in rows])
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for line in zip(headings, *cells, strict=True):  # a column a fleet: it fits a terminal
            table.add_row(*line)
        for number, column in enumerate(table.columns):
            column.justify = "right" if number else "left"
        out.print(table)
        _explain(rows)
    if not all(row.carried for row in rows):
        raise typer.Exit(ExitCode.FAIL)


def _read(option: str, text: str, parse: Callable[[str], float], *, zero: bool = False) -> float:
    try:
        value = parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", remedy=EXAMPLE) from None
    if value <= 0 and not zero:
        raise UsageError(f"{option} {text}: must be more than 0", remedy=EXAMPLE)
    return value


def _fleet(
    rate_per_s: float, hold_s: float, replicas: int, pool: int | None, wait_s: float
) -> Fleet:
    try:
        if pool is None:
            return smallest_fleet(rate_per_s, hold_s, replicas=replicas, wait_s=wait_s)
    except ValueError as error:
        raise UsageError(str(error), remedy="Spread the rate over more --replicas.") from None
    return Fleet(rate_per_s, hold_s, replicas, pool)


def _explain(rows: list[SizedFleet]) -> None:
    """What a row that is not carried lacks."""
    for row in rows:
        fleet = row.fleet
        what = f"{fleet.rate_per_s:g}/s over {fleet.replicas} × {fleet.pool}"
        if fleet.utilisation >= 1:
            err.print(
                f"{what}: the pools carry {fleet.capacity_per_s:g}/s; give them more connections,"
                " or hold each for a shorter time",
                highlight=False,
                soft_wrap=True,
            )
        if row.granted is not None and fleet.connections > row.granted:
            err.print(
                f"{what}: {fleet.connections} connections, and the database grants {row.granted};"
                " put PgBouncer between them, or take fewer, larger pools",
                highlight=False,
                soft_wrap=True,
            )


def _write_into(into: str, table: str) -> None:
    place, _, name = into.partition("#")
    path = Path(place)
    try:
        page = place_in_page(path.read_text("utf-8"), name, table, what="fleets")
        if page is None:
            raise UsageError(
                f"{path} has no marks for {name!r}",
                remedy=f"Write <!-- fleets: {name} --> and <!-- end of fleets: {name} --> there.",
            )
        write_text(path, page)
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror or error}", remedy="Give a page that exists."
        ) from error
