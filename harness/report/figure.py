"""The run as one figure: panels above each other on one axis of replay time, as Plotly JSON.

The axis is replay time, because that is where physics is true; the document's clock stands below
it, and shortened plateaus are hatched with the factor by which they were shortened.
"""

from __future__ import annotations

from itertools import pairwise

from harness.report import series, words
from harness.report.canvas import PLOT_WIDTH_PX, Canvas, Json, Panel
from harness.report.marks import event_panel, not_played, strip_panel
from harness.report.panels import connection_panel, latency_panel, outcome_panel, pool_panels
from harness.report.story import Story
from harness.timemap import Knot

LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 62, 158, 44, 58


def build(story: Story) -> Json:
    """``{"data": …, "layout": …}`` for Plotly."""
    canvas = Canvas(story.length_s)
    bins = series.bins_for(story.length_s)
    strip_panel(canvas, story)
    event_panel(canvas, story)
    outcome_panel(canvas, story, bins)
    latency_panel(canvas, story, bins)
    pool_panels(canvas, story, bins)
    connection_panel(canvas, story, bins)
    not_played(canvas, story)
    return {"data": canvas.traces, "layout": _layout(canvas, story)}


def alternative(story: Story) -> str:
    """What the figure shows, for who cannot see it."""
    return (
        f"Seven panels over {words.duration(story.length_s)} of replay: events, logins per second "
        "by how they ended, latency of successful logins, connections in use and their limit, "
        "requests waiting for a connection, pool timeouts per second, and database connections by "
        "state. Every figure that matters stands in the tables of this page."
    )


def _layout(canvas: Canvas, story: Story) -> Json:
    last = canvas.panels[-1]
    height_px = last.top_px + last.height_px
    for shape in canvas.shapes:
        if shape["yref"] == "paper":
            shape["y1"] = 1 - shape["y1"] / height_px
    layout: Json = {
        "autosize": True,
        "height": height_px + TOP_PX + BOTTOM_PX,
        "margin": {"l": LEFT_PX, "r": RIGHT_PX, "t": TOP_PX, "b": BOTTOM_PX},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 11, "color": "‹ink›"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "‹soft›", "activecolor": "‹ink›"},
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "hoverlabel": {"bgcolor": "‹paper›", "font": {"size": 11, "color": "‹ink›"}},
        "shapes": canvas.shapes,
        "annotations": canvas.notes,
        "xaxis": _clock_axis(canvas, story),
        "xaxis2": {
            "overlaying": "x",
            "matches": "x",
            "side": "top",
            "anchor": "y1",
            "range": [0, story.length_s],
            "ticksuffix": " s",
            "nticks": 20,
            "showgrid": False,
            "zeroline": False,
            "color": "‹soft›",
            "title": {"text": "replay time", "font": {"size": 11}, "standoff": 4},
        },
    }
    # The top axis is drawn only for a trace of its own.
    canvas.traces.append(
        {
            "type": "scatter",
            "x": [0, story.length_s],
            "y": [None, None],
            "xaxis": "x2",
            "yaxis": "y1",
            "hoverinfo": "skip",
            "showlegend": False,
        }
    )
    for panel in canvas.panels:
        bottom = 1 - (panel.top_px + panel.height_px) / height_px
        top = 1 - panel.top_px / height_px
        layout[_axis_name(panel)] = {
            "domain": [max(0.0, bottom), min(1.0, top)],
            "anchor": "x",
            "gridcolor": "‹grid›",
            "zeroline": False,
            "nticks": 5,
            "rangemode": "tozero",
            "fixedrange": True,
            "color": "‹ink›",
        } | panel.axis
        layout[panel.legend] = {
            "x": 1.005,
            "y": top,
            "xanchor": "left",
            "yanchor": "top",
            "bgcolor": "rgba(0,0,0,0)",
            "font": {"size": 11, "color": "‹ink›"},
            "tracegroupgap": 0,
            "traceorder": "reversed" if panel.number == 3 else "normal",
            "itemwidth": 30,
        }
    return layout


def _axis_name(panel: Panel) -> str:
    return "yaxis" if panel.number == 1 else f"yaxis{panel.number}"


def _clock_axis(canvas: Canvas, story: Story) -> Json:
    """The bottom axis: the document's clock at the instants where things change."""
    scale = PLOT_WIDTH_PX / story.length_s
    knots = story.timemap.knots
    changed = [knots[0], *(b for a, b in pairwise(knots) if _is_event(a, b))]
    ticks: dict[float, float] = {}
    for knot in (*changed, knots[-1], *knots):
        if all(abs(knot.replay_s - other) * scale > 62 for other in ticks):
            ticks[knot.replay_s] = knot.incident_s
    ordered = sorted(ticks.items())
    return {
        "anchor": canvas.panels[-1].y,
        "range": [0, story.length_s],
        "tickvals": [replay_s for replay_s, _ in ordered],
        "ticktext": [_tick(story, incident_s) for _, incident_s in ordered],
        "ticks": "outside",
        "tickcolor": "‹soft›",
        "showgrid": False,
        "zeroline": False,
        "color": "‹ink›",
        "hoverformat": ".0f",
        "unifiedhovertitle": {"text": "replay %{x} s"},
        "title": {
            "text": f"{words.zone(story.incident)} on the incident's clock",
            "font": {"size": 11},
            "standoff": 6,
        },
    }


def _is_event(before: Knot, knot: Knot) -> bool:
    """Whether ``knot`` is where something happens: true speed after true speed is an approach."""
    return before.weight == 1 and knot.weight == 1


def _tick(story: Story, incident_s: float) -> str:
    text = words.clock(story.incident, incident_s)
    return f"<b>{text[:5]}</b>" if text.endswith(":00") else text
