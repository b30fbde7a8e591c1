"""The figure's panels of measured series, each with its own scale."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from harness.report import series, words
from harness.report.canvas import Canvas, Panel, add_panel, area, band, line, missing, reference
from harness.report.series import Bins, PoolSeries
from harness.report.story import Story

# Okabe and Ito's palette: told apart with every common colour blindness, and in grey.
BUCKET_COLOURS = {
    "ok": "#009E73",
    "http_error": "#D55E00",
    "gateway_timeout": "#E69F00",
    "client_timeout": "#CC79A7",
    "refused": "#56B4E9",
    "in_flight_at_end": "#999999",
    "shed_by_generator": "#444444",
}
BUCKET_WORDS = {
    "ok": "ok",
    "http_error": "HTTP error",
    "gateway_timeout": "gateway timeout",
    "client_timeout": "client timeout",
    "refused": "refused",
    "in_flight_at_end": "in flight at end",
    "shed_by_generator": "not started",
}
TARGET_COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#999999")
STATE_COLOURS = {"active": "#D55E00", "idle": "#56B4E9", "idle in transaction": "#E69F00"}
NOT_SEEN = "none"


def outcome_panel(canvas: Canvas, story: Story, bins: Bins) -> None:
    panel = add_panel(
        canvas, 165, "Logins per second | by the instant they were meant for and how they ended"
    )
    reached = _reached(story, bins)
    _clock_in_hover(canvas, panel, story, bins)
    for bucket, values in series.outcomes_per_s(story.recording, bins).items():
        if bucket == "shed_by_generator" and not any(values[:reached]):
            continue
        trace = area(panel, bins, values[:reached], BUCKET_WORDS[bucket], BUCKET_COLOURS[bucket])
        canvas.traces.append(trace | {"stackgroup": "buckets"})
    done = series.completed_per_s(story.recording, bins)[:reached]
    canvas.traces.append(line(panel, bins, done, "answered ok", "‹ink›"))
    predicted = story.verdict.capacity.predicted_per_s
    if predicted is not None:
        text = f"capacity {words.rate(predicted)}, predicted"
        reference(canvas, panel, predicted, text)


def _clock_in_hover(canvas: Canvas, panel: Panel, story: Story, bins: Bins) -> None:
    """An unseen trace that heads what a pointer shows with the incident's clock."""
    to_incident_s = story.timemap.to_incident_s
    clocks = [words.clock(story.incident, to_incident_s(mid_s)) for mid_s in bins.mids_s]
    trace = line(panel, bins, [0.0] * bins.count, "clock", "rgba(0,0,0,0)")
    trace["hovertemplate"] = f"<b>%{{customdata}} {words.zone(story.incident)}</b><extra></extra>"
    canvas.traces.append(trace | {"customdata": clocks, "showlegend": False})


def _reached(story: Story, bins: Bins) -> int:
    """Bins that the run reached."""
    end_s = story.recording.info.end_s
    return bins.count if end_s is None else min(bins.count, max(1, math.ceil(end_s / bins.width_s)))


def latency_panel(canvas: Canvas, story: Story, bins: Bins) -> None:
    panel = add_panel(
        canvas,
        150,
        "Latency of successful logins | from the instant they were meant for, retries included",
        range=[-2, 1.85],
        tickvals=[-2, -1, 0, 1],
        ticktext=["10 ms", "100 ms", "1 s", "10 s"],
    )
    found = series.latency(story.recording, bins)
    logs = _logs(series.LATENCY_EDGES_S)
    if not any(map(any, found.heat)):
        missing(canvas, panel, "no login succeeded")
        return
    canvas.traces.append(
        {
            "type": "heatmap",
            "x": [*bins.starts_s, bins.count * bins.width_s],
            "y": logs,
            "z": [[count**0.5 if count else None for count in row] for row in found.heat],
            "yaxis": panel.y,
            "colorscale": [[0, "‹heat0›"], [1, "‹heat1›"]],
            "showscale": False,
            "hoverinfo": "skip",
        }
    )
    for name, values, dash in (
        ("p50", found.p50_s, "solid"),
        ("p95", found.p95_s, "dash"),
        ("p99", found.p99_s, "dot"),
    ):
        trace = line(panel, bins, _logs(values), name, "‹ink›", dash=dash)
        shown = [NOT_SEEN if value is None else words.duration(value) for value in values]
        hover = {"customdata": shown, "hovertemplate": f"{name} %{{customdata}}<extra></extra>"}
        canvas.traces.append(trace | hover)
    pool, client = story.incident.service.pool, story.incident.load.client
    for value_s, text in (
        (pool.timeout_s, "pool timeout"),
        (client.patience_s, "patience"),
    ):
        if value_s > 0:
            said = f"{text} {words.duration(value_s)}"
            reference(canvas, panel, _logs([value_s])[0] or 0.0, said)


def _logs(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None or value <= 0 else math.log10(value) for value in values]


def pool_panels(canvas: Canvas, story: Story, bins: Bins) -> None:
    """Three panels: in use against the limit, waiting, timeouts; each stacked by replica."""
    found = series.pools(story.recording, bins)
    used = add_panel(canvas, 120, "Pool connections in use | all replicas, and their limit")
    waiting = add_panel(canvas, 100, "Requests waiting for a connection | as seen once a second")
    timeouts = add_panel(canvas, 80, "Pool timeouts per second")
    if not found:
        for panel in (used, waiting, timeouts):
            missing(canvas, panel, words.NOT_MEASURED)
        return
    for number, (target, pool) in enumerate(found.items()):
        colour = TARGET_COLOURS[number % len(TARGET_COLOURS)]
        for panel, values, what in (
            (used, pool.used, " in use"),
            (waiting, pool.pending, " waiting"),
            (timeouts, pool.timeouts_per_s, " timeouts/s"),
        ):
            if not any(value is not None for value in values):
                continue
            trace = area(panel, bins, values, f"{target}{what}", colour)
            trace |= {"name": target, "showlegend": panel is used}
            canvas.traces.append(trace | {"stackgroup": f"targets{panel.number}"})
    limits = _total_limit(found, story.incident.service.replica_names)
    canvas.traces.append(line(used, bins, limits, "limit", "‹ink›", dash="dash", shape="hvh"))
    for panel, pick in ((waiting, "pending"), (timeouts, "timeouts_per_s")):
        values = [v for pool in found.values() for v in getattr(pool, pick) if v is not None]
        if not any(values):
            missing(canvas, panel, "none, throughout" if values else words.NOT_MEASURED)
    for panel in (used, waiting, timeouts):
        _unseen(canvas, story, bins, panel, story.incident.service.replica_names)


def _total_limit(found: Mapping[str, PoolSeries], replicas: Sequence[str]) -> list[float | None]:
    """The limits of all targets together; null where a replica was not seen, for a part is not
    the whole. A retiring process counts while it is there."""
    if not set(replicas) <= set(found):
        return []
    columns = zip(*(pool.limit for pool in found.values()), strict=True)
    totals: list[float | None] = []
    for column in columns:
        seen = dict(zip(found, column, strict=True))
        whole = all(seen[name] is not None for name in replicas)
        totals.append(sum(v for v in column if v is not None) if whole else None)
    return totals


def connection_panel(canvas: Canvas, story: Story, bins: Bins) -> None:
    panel = add_panel(canvas, 110, "Database connections | by state, against max_connections")
    found = series.connections(story.recording, bins)
    if not found:
        missing(canvas, panel, words.NOT_MEASURED)
        return
    for number, (state, values) in enumerate(found.items()):
        colour = STATE_COLOURS.get(state, TARGET_COLOURS[-1 - number % len(TARGET_COLOURS)])
        trace = area(panel, bins, values, html.escape(state), colour)
        canvas.traces.append(trace | {"stackgroup": "states"})
    most = series.max_connections(story.recording)
    if most is not None:
        reference(canvas, panel, most, f"max_connections {most:.0f}")
    _unseen(canvas, story, bins, panel, ("postgres",))


def _unseen(
    canvas: Canvas, story: Story, bins: Bins, panel: Panel, targets: tuple[str, ...]
) -> None:
    """Grey where a part that feeds ``panel`` was not seen."""
    for target, stretches in series.unseen(story.recording, bins).items():
        for begin_s, end_s in stretches if target in targets else ():
            shape = band(begin_s, end_s, "‹dark›", y0=1, label=None)
            canvas.shapes.append(shape | {"yref": f"{panel.y} domain", "layer": "above"})
