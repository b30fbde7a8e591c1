"""Alert rules against recordings: score, sweep, recommend, evaluate, record, import, export."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.application import (
    Json,
    OwnDatabase,
    OwnTarget,
    StackKind,
    app,
    err,
    out,
    print_json,
)
from harness.errors import ExitCode, UsageError
from harness.stack_kinds import EMBEDDED, Where, known

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
    from harness.recording import write_text
    from harness.report.scorecard import place_in_page, score_markdown

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
    from harness.recording import write_text
    from harness.report.sweep_grid import grid_dict, grid_table, heat_map

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
    from harness.recording import write_text
    from harness.report.sweep_grid import grid_dict, recommended_rule

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


def seed_range(text: str) -> list[int]:
    """``3`` or ``1..3`` as seeds; UsageError otherwise."""
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text.strip())
    if found is None or not 0 <= int(found[2] or found[1]) - int(found[1]) < 1000:
        raise UsageError(f"--seeds {text!r} is no range of seeds", remedy="Write --seeds 1..3.")
    return list(range(int(found[1]), int(found[2] or found[1]) + 1))


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
    from harness.alerts.importing import KNOWN_SERIES, import_range
    from harness.alerts.remote import Access

    window = None
    if harm is not None:
        first, dots, last = harm.partition("..")
        if not dots:
            raise UsageError(f"--harm {harm!r} is no range", remedy="Write --harm TIME..TIME.")
        window = (_instant("--harm", first), _instant("--harm", last))
    found = import_range(
        url,
        begin=_instant("--from", begin),
        end=_instant("--to", end),
        name=name,
        out=directory,
        selectors=tuple(selectors or (KNOWN_SERIES,)),
        step_s=_seconds("--step", step),
        window=window,
        access=Access(token=token, user=user, password=password),
    )
    if as_json:
        print_json({"recording": str(found)})
    else:
        out.print(str(found), soft_wrap=True, highlight=False)


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


def _instant(option: str, text: str) -> datetime:
    remedy = f"Write {option} 2026-11-02T09:00:00Z."
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}", remedy=remedy) from None
    if found.tzinfo is None:
        raise UsageError(f"{option} {text!r} has no time zone", remedy=remedy)
    return found


def _seconds(option: str, text: str) -> float:
    from harness.alerts.rules import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise UsageError(f"{option} {error}", remedy=f"Write {option} 15s.") from None


def _asking(
    rules: list[Path],
    recordings: list[Path] | None,
    mappings: list[Path] | None,
    durations: tuple[str, str, str, str],
) -> Asking:
    from harness.alerts.lab import Asking
    from harness.alerts.subjects import Settings

    names = ("--scrape", "--interval", "--group-wait", "--hold")
    found = [_seconds(name, text) for name, text in zip(names, durations, strict=True)]
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
    from harness.alerts.rules import seconds
    from harness.alerts.sweeping import Sweep

    thresholds = spread(threshold, float, "--threshold")
    waits = spread(wait, seconds, "--for")
    step_s = asking.settings.interval_s
    # Between two evaluations nothing happens: waits are whole intervals.
    return Sweep(asking, alert, thresholds, sorted({round(w / step_s) * step_s for w in waits}))


def spread(text: str, read: object, option: str) -> list[float]:
    """``A..B`` as 20 values from A to B, ``A..B/N`` as N, ``A`` as itself; UsageError otherwise."""
    assert callable(read)
    remedy = f"Write {option} A..B, A..B/N or one value."
    found = re.fullmatch(r"(.+?)(?:\.\.(.+?)(?:/(\d+))?)?", text.strip())
    if found is None:
        raise UsageError(f"{option} {text!r} is no range", remedy=remedy)
    try:
        low = float(read(found[1]))
        high = low if found[2] is None else float(read(found[2]))
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}", remedy=remedy) from None
    count = int(found[3] or 20)
    if high < low or not 1 <= count <= 100:
        raise UsageError(f"{option} {text!r}: from low to high, in at most 100", remedy=remedy)
    if high == low or count == 1:
        return [low]
    return [round(low + (high - low) * step / (count - 1), 9) for step in range(count)]
