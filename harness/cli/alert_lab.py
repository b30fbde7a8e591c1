"""Alert rules against recordings: score, sweep, recommend, evaluate, export."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.application import (
    Json,
    app,
    err,
    out,
    print_json,
)
from harness.cli.option_values import duration_s, spread
from harness.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from harness.alerts.lab import Asking
    from harness.alerts.sweeping import Sweep


class Form(StrEnum):
    """What can be exported."""

    OPENMETRICS = "openmetrics"
    PROMTOOL = "promtool"
    LAPILLI = "lapilli"


alerts = typer.Typer(
    no_args_is_help=True,
    help="Would this rule have paged in time, and would it have stayed silent?",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(alerts, name="alerts")


def interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """A signal ends what the command has started, and then the command, with exit code 3."""

    @wraps(command)
    def guarded(*arguments: Any, **options: Any) -> None:
        from harness.stack.interrupts import signals_interrupt

        with signals_interrupt():
            command(*arguments, **options)

    return guarded


Rules = Annotated[
    list[Path],
    typer.Argument(metavar="RULES…", help="Prometheus rule files, or folders of them."),
]
Recordings = Annotated[
    list[Path] | None,
    typer.Option(
        "--recordings",
        "-r",
        metavar="DIR",
        help="Run directories, or folders with runs in them; may be repeated. "
        "Default: the library's own, three seeds of each.",
    ),
]
Mappings = Annotated[
    list[Path] | None,
    typer.Option(
        "--mapping", metavar="FILE", help="Other people's names for our series; may be repeated."
    ),
]
Scrape = Annotated[str, typer.Option(metavar="15s", help="Scrape interval of the imagined server.")]
Interval = Annotated[
    str, typer.Option(metavar="15s", help="Evaluation interval of groups that name none.")
]
GroupWait = Annotated[
    str, typer.Option(metavar="30s", help="Alertmanager's delay before a notification.")
]
Hold = Annotated[
    str,
    typer.Option(
        metavar="20m", help="How long stationary stretches of short recordings are held; 0s: not."
    ),
]


@alerts.command(
    epilog="Example: pooldrill alerts score dashboards/prometheus/rules "
    "--require 'recall(all) >= 1' --require 'silent on benign'"
)
@interruptible
def score(
    rules: Rules,
    recordings: Recordings = None,
    mappings: Mappings = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--alert", metavar="NAME", help="This alert alone; may be repeated."),
    ] = None,
    requirements: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="REQUIREMENT",
            help="Such as 'lead(PoolPending) >= 60s' or 'silent on benign'; may be repeated.",
        ),
    ] = None,
    scrape: Scrape = "15s",
    interval: Interval = "15s",
    group_wait: GroupWait = "30s",
    hold: Hold = "20m",
    into: Annotated[
        str | None,
        typer.Option(
            metavar="PAGE.md#NAME",
            help="Put the tables between the page's marks of that name, and the figures beside it.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Every rule on every recording: fired or silent, lead, reset, precision, recall."""
    from dataclasses import asdict, replace

    from harness.alerts.lab import score as score_all
    from harness.alerts.requirements import read_requirement
    from harness.report.scorecard import score_dict, scorecard

    asking = _asking(rules, recordings, mappings, (scrape, interval, group_wait, hold))
    asking = replace(
        asking,
        alerts=tuple(only or ()),
        requirements=tuple(read_requirement(text) for text in requirements or ()),
    )
    found = score_all(asking)
    for directory in found.left_out:
        err.print(f"left out, for the run is not complete: {directory}", highlight=False)
    data = score_dict(found.scores, found.coverage, found.requirements, asdict(found.settings))
    if into is not None:
        _write_into(into, data)
    if as_json:
        print_json(data)
    else:
        out.print(scorecard(found.scores, found.coverage, found.requirements, width=out.width))
    raise typer.Exit(_code([met.met for met in found.requirements], found.nothing_known))


def _write_into(into: str, data: dict[str, Any]) -> None:
    """The tables into a page, and the figures they are made of into ``PAGE.NAME.json``."""
    from harness.report.scorecard import place_in_page, score_markdown
    from harness.writing import write_text

    place, _, name = into.partition("#")
    path = Path(place)
    try:
        page = place_in_page(path.read_text("utf-8"), name, score_markdown(data))
        if page is None:
            raise UsageError(
                f"{path} has no marks for {name!r}",
                remedy=f"Write <!-- scores: {name} --> and <!-- end of scores: {name} --> there.",
            )
        figures = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        write_text(path.with_suffix(f".{name}.json"), figures + "\n")
        write_text(path, page)
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror or error}", remedy="Give a page that exists."
        ) from error


def _code(met: list[bool | None], nothing_known: bool) -> ExitCode:
    if False in met:
        return ExitCode.FAIL
    return ExitCode.INVALID if None in met or nothing_known else ExitCode.PASS


Alert = Annotated[str, typer.Option("--alert", metavar="NAME", help="The alert to be varied.")]
Threshold = Annotated[
    str, typer.Option(metavar="A..B", help="Thresholds from A to B; A..B/N for N of them.")
]
Wait = Annotated[
    str,
    typer.Option("--for", metavar="0s..10m", help="Waits from one to the other; A..B/N for N."),
]


@alerts.command(
    epilog="Example: pooldrill alerts sweep dashboards/prometheus/rules --alert PoolBusy "
    "--threshold 0.5..1 --for 0s..10m --heat-map sweep.html"
)
@interruptible
def sweep(
    rules: Rules,
    alert: Alert,
    threshold: Threshold,
    wait: Wait = "0s..10m",
    recordings: Recordings = None,
    mappings: Mappings = None,
    scrape: Scrape = "15s",
    interval: Interval = "15s",
    group_wait: GroupWait = "30s",
    hold: Hold = "20m",
    picture: Annotated[
        Path | None, typer.Option("--heat-map", metavar="FILE.html", help="Draw the grid.")
    ] = None,
    as_json: Json = False,
) -> None:
    """One alert under many thresholds and waits: lead against false pages, and the Pareto front."""
    from harness.alerts.sweep import recommend as choose
    from harness.alerts.sweeping import sweep as sweep_all
    from harness.report.sweep_grid import grid_dict, grid_table, heat_map
    from harness.writing import write_text

    asked = _sweep(
        _asking(rules, recordings, mappings, (scrape, interval, group_wait, hold)),
        alert, threshold, wait,
    )  # fmt: skip
    _, grid = sweep_all(asked)
    choice = choose(grid)
    if picture is not None:
        write_text(picture, heat_map(grid, choice))
    if as_json:
        print_json(grid_dict(grid, choice))
        return
    out.print(grid_table(grid, choice, width=out.width))
    if choice is not None:
        for reason in choice.why:
            out.print(f"  {reason}", highlight=False)
    if picture is not None:
        out.print(f"\nHeat map: {picture}", soft_wrap=True, highlight=False)


@alerts.command(
    epilog="Example: pooldrill alerts recommend dashboards/prometheus/rules --alert PoolBusy "
    "--threshold 0.5..1 --out pool-busy.yml"
)
@interruptible
def recommend(
    rules: Rules,
    alert: Alert,
    threshold: Threshold,
    wait: Wait = "0s..10m",
    recordings: Recordings = None,
    mappings: Mappings = None,
    scrape: Scrape = "15s",
    interval: Interval = "15s",
    group_wait: GroupWait = "30s",
    hold: Hold = "20m",
    file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the rule there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The rule that would be chosen from a sweep, its reason and numbers in its comments."""
    from harness.alerts.sweep import recommend as choose
    from harness.alerts.sweeping import sweep as sweep_all
    from harness.report.sweep_grid import grid_dict, recommended_rule
    from harness.writing import write_text

    asked = _sweep(
        _asking(rules, recordings, mappings, (scrape, interval, group_wait, hold)),
        alert, threshold, wait,
    )  # fmt: skip
    rule, grid = sweep_all(asked)
    choice = choose(grid)
    if choice is None:
        err.print("No cell of the grid catches any incident: there is nothing to recommend.")
        if as_json:
            print_json(grid_dict(grid, None))
        raise typer.Exit(ExitCode.FAIL)
    cells = grid.cells[0]
    text = recommended_rule(rule, grid, choice, recordings=cells.incidents + cells.benign)
    if file is not None:
        write_text(file, text)
    if as_json:
        print_json(grid_dict(grid, choice) | {"rule": text})
    else:
        print(text, end="")


@alerts.command(epilog="Example: pooldrill alerts evaluate runs/2026…-undersized-pool-1")
@interruptible
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="FILE", help="Other rules than ours; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate rules over one run at its incident's length; its reports are written anew."""
    from dataclasses import asdict

    from harness.alerts.evaluating import PACKAGED, evaluate_run
    from harness.conclude import judge_directory, write_reports
    from harness.report import summary

    timelines = evaluate_run(run, rules=tuple(rules or [PACKAGED]))
    recording, verdict = judge_directory(run)
    write_reports(recording, verdict)
    if as_json:
        print_json([asdict(timeline) for timeline in timelines])
    else:
        out.print(summary(recording, verdict))


@alerts.command(
    epilog="Example: pooldrill alerts export dashboards/prometheus/rules --recordings runs "
    "--format promtool --out pinned"
)
@interruptible
def export(
    rules: Rules,
    directory: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write to.")],
    form: Annotated[Form, typer.Option("--format", help="What to write.")] = Form.PROMTOOL,
    recordings: Recordings = None,
    mappings: Mappings = None,
    scrape: Scrape = "15s",
    interval: Interval = "15s",
    group_wait: GroupWait = "30s",
    hold: Hold = "20m",
    as_json: Json = False,
) -> None:
    """Recordings as OpenMetrics, behaviour as promtool unit tests, incidents for Lapilli."""
    from harness.alerts.lab import export as write

    asking = _asking(rules, recordings, mappings, (scrape, interval, group_wait, hold))
    written = write(asking, form.value, directory)
    if as_json:
        print_json([str(path) for path in written])
    else:
        for path in written:
            out.print(str(path), soft_wrap=True, highlight=False)


def _asking(
    rules: list[Path],
    recordings: list[Path] | None,
    mappings: list[Path] | None,
    durations: tuple[str, str, str, str],
) -> Asking:
    from harness.alerts.lab import Asking
    from harness.alerts.subjects import Settings

    names = ("--scrape", "--interval", "--group-wait", "--hold")
    found = [duration_s(name, text) for name, text in zip(names, durations, strict=True)]
    scrape_s, interval_s, group_wait_s, hold_s = found
    for name, value in (("--scrape", scrape_s), ("--interval", interval_s)):
        if value < 1:
            raise UsageError(
                f"{name} is below a second", remedy="A recording has a sample a second at most."
            )
    places = recordings or []
    for place in places:
        if not place.exists():
            raise UsageError(
                f"{place}: no such folder of recordings",
                remedy="Give --recordings DIR; `pooldrill alerts record` makes some.",
            )
    return Asking(
        rules=rules,
        recordings=places,
        settings=Settings(scrape_s, interval_s, group_wait_s, hold_s),
        mappings=mappings or (),
    )


def _sweep(asking: Asking, alert: str, threshold: str, wait: str) -> Sweep:
    from harness.alerts.rules import seconds as duration
    from harness.alerts.sweeping import Sweep

    thresholds = spread(threshold, float, "--threshold")
    waits = spread(wait, duration, "--for")
    step_s = asking.settings.interval_s
    # Between two evaluations nothing happens: waits are whole intervals.
    return Sweep(asking, alert, thresholds, sorted({round(w / step_s) * step_s for w in waits}))
