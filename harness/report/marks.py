"""The top of the figure: what was shortened, what was done and when; and what was not played."""

from __future__ import annotations

import html
from collections.abc import Iterator
from itertools import pairwise

from harness.report import words
from harness.report.canvas import PLOT_WIDTH_PX, Canvas, Panel, add_panel, band, bottom_px, note
from harness.report.lanes import Label, pack
from harness.report.story import CLOCK_WORDS, Story
from harness.report.timeline import event_rows
from harness.timemap import Knot

KIND_STYLES = {
    "phase": ("#009E73", "triangle-right"),
    "action": ("#0072B2", "square"),
    "decoy": ("#CC79A7", "x"),
    "note": ("#E69F00", "circle"),
    "fault": ("#D55E00", "diamond"),
    "death": ("#D55E00", "cross"),
    "clock": ("‹ink›", "triangle-down"),
}

LANE_PX, STRIP_PX = 19, 20


def strip_panel(canvas: Canvas, story: Story) -> None:
    """The top strip: which stretches were shortened, and by what factor."""
    panel = add_panel(
        canvas, STRIP_PX, range=[0, 1], showticklabels=False, showgrid=False, fixedrange=True
    )
    for begin_s, end_s, knot in _plateaus(story):
        xs = [begin_s, end_s, end_s, begin_s, begin_s]
        until = story.timemap.to_incident_s(end_s)
        canvas.traces.append(
            {
                "type": "scatter",
                "x": xs,
                "y": [0, 0, 1, 1, 0],
                "yaxis": panel.y,
                "mode": "lines",
                "line": {"width": 0.5, "color": "‹soft›"},
                "fill": "toself",
                "fillcolor": "‹paper›",
                "fillpattern": {"shape": "/", "size": 6, "solidity": 0.15, "fgcolor": "‹soft›"},
                "hoveron": "fills",
                "hoverinfo": "text",
                "text": f"plateau: {words.duration(until - knot.incident_s)} of the incident "
                f"played in {words.duration(end_s - begin_s)}",
                "showlegend": False,
            }
        )
        canvas.shapes.append(
            band(begin_s, end_s, "‹band›", y0=bottom_px(panel), label=None) | {"layer": "below"}
        )
        weight = f"×{knot.weight:.0f}" if knot.weight >= 10 else f"×{knot.weight:.1f}"
        canvas.notes.append(
            note(
                f"<b>{weight}</b>",
                x=(begin_s + end_s) / 2,
                y=0.5,
                yref=panel.y,
                xanchor="center",
                bgcolor="‹paper›",
                borderpad=1,
            )
        )
    canvas.notes.append(
        note(
            "shortened<br>plateaus" if story.recording.info.source != "full-length" else "",
            x=1,
            y=0.5,
            xref="paper",
            yref=panel.y,
            xshift=8,
            align="left",
            font={"size": 10, "color": "‹soft›"},
        )
    )


def _plateaus(story: Story) -> Iterator[tuple[float, float, Knot]]:
    knots = story.timemap.knots
    for knot, after in pairwise(knots):
        if knot.weight > 1:
            yield knot.replay_s, after.replay_s, knot


def event_panel(canvas: Canvas, story: Story) -> None:
    """The lanes of labelled events and clocks, with their lines through every panel."""
    scale = PLOT_WIDTH_PX / story.length_s
    labels = [Label(row.t_s * scale, _shorten(row.short), row) for row in event_rows(story)]
    clocks = story.verdict.clocks_s
    for key in ("first_pool_timeout", "slo_breach", "recovered"):
        at_s = getattr(clocks, key)
        if at_s is not None:
            t_s = story.timemap.to_replay_s(at_s)
            words_ = CLOCK_WORDS[key].partition(":")[0].lower().replace("slo", "SLO")
            labels.append(Label(t_s * scale, words_, (t_s, words.clock(story.incident, at_s))))
    packed = pack(labels, PLOT_WIDTH_PX)
    lanes = max((place.lane for place in packed), default=0) + 1
    panel = add_panel(
        canvas,
        lanes * LANE_PX + 4,
        range=[lanes, -0.3],
        showticklabels=False,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
    for place in packed:
        _event(canvas, panel, place.label, place.lane, left=place.left)


def _event(canvas: Canvas, panel: Panel, label: Label, lane: int, *, left: bool) -> None:
    y = lane + 0.4
    if isinstance(label.of, tuple):
        t_s, clock = label.of
        kind, end_s, hover = "clock", None, f"{clock} measured: {label.text}"
    else:
        row = label.of
        t_s, kind, end_s = row.t_s, row.kind, row.end_s
        hover = f"{row.clock} {row.kind}: {row.says or row.short}"
    colour, symbol = KIND_STYLES.get(kind, KIND_STYLES["note"])
    if end_s is not None and end_s > t_s:
        shade = band(t_s, end_s, colour, y0=bottom_px(panel), label=None)
        canvas.shapes.append(shade | {"opacity": 0.18, "layer": "below"})
    canvas.shapes.append(
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": t_s,
            "x1": t_s,
            "y0": 0,
            "y1": panel.top_px + y * LANE_PX,
            "layer": "below",
            "line": {"width": 1, "color": colour, "dash": "dot" if kind != "phase" else "solid"},
        }
    )
    canvas.traces.append(
        {
            "type": "scatter",
            "x": [t_s],
            "y": [y],
            "yaxis": panel.y,
            "mode": "markers",
            "marker": {"symbol": symbol, "size": 9, "color": colour},
            "cliponaxis": False,
            "hoverinfo": "text",
            "hovertext": [html.escape(hover)],
            "showlegend": False,
        }
    )
    # An annotation, because its ground hides the lines of other events behind it.
    canvas.notes.append(
        note(
            html.escape(label.text),
            x=t_s,
            y=y,
            yref=panel.y,
            xanchor="right" if left else "left",
            xshift=-7 if left else 7,
            bgcolor="‹paper›",
            borderpad=0,
            hovertext=html.escape(hover),
        )
    )


def _shorten(text: str, most: int = 52) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def not_played(canvas: Canvas, story: Story) -> None:
    """What a partial run did not reach, over every panel."""
    end_s = story.recording.info.end_s
    if end_s is not None and end_s < story.length_s - 0.5:
        why = html.escape(story.recording.info.why or "the run ended early")
        label = f"not played: {why}"
        strip = canvas.panels[0]
        canvas.shapes.append(
            band(end_s, story.length_s, "‹dark›", y0=bottom_px(strip), label=label)
            | {"layer": "above"}
        )
