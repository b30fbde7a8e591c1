"""The sheet on which the figure's panels are put together, and the marks they share.

Traces, shapes and annotations are Plotly's own JSON. Colours are names in angle quotes (``‹ink›``)
which the page replaces by those of its light or dark theme.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.report.series import Bins

Json = dict[str, Any]
"""Plotly's own shape: traces, layout, annotations."""

PLOT_WIDTH_PX = 960
"""Width of the plot area for which labels are laid out: the narrowest page that it fits."""
GAP_PX = 36


@dataclass
class Canvas:
    """Traces and layout while they are put together; pixels are turned into shares at the end."""

    length_s: float
    traces: list[Json] = field(default_factory=list)
    shapes: list[Json] = field(default_factory=list)
    notes: list[Json] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)


@dataclass(frozen=True)
class Panel:
    """A band of the figure: pixels from the top of the plot area, and its y axis."""

    number: int
    top_px: float
    height_px: float
    axis: Json

    @property
    def y(self) -> str:
        return f"y{self.number}"

    @property
    def legend(self) -> str:
        return f"legend{self.number}"


def add_panel(canvas: Canvas, height_px: float, title: str = "", **axis: Any) -> Panel:
    last = canvas.panels[-1] if canvas.panels else None
    top_px = 0.0 if last is None else last.top_px + last.height_px + (GAP_PX if title else 6)
    number = len(canvas.panels) + 1
    panel = Panel(number, top_px, height_px, axis)
    canvas.panels.append(panel)
    if title:
        head, _, rest = title.partition(" | ")
        text = f"<b>{head}</b>"
        if rest:
            text += f" <span style='color:‹soft›'>{rest}</span>"
        canvas.notes.append(
            note(text, x=0, y=1, yref=f"{panel.y} domain", yanchor="bottom", xref="paper", size=13)
            | {"bgcolor": "‹paper›", "borderpad": 1, "yshift": 3}
        )
    return panel


def note(text: str, *, x: float, y: float, size: int = 11, **more: Any) -> Json:
    base: Json = {
        "text": text,
        "x": x,
        "y": y,
        "xref": "x",
        "xanchor": "left",
        "yanchor": "middle",
        "showarrow": False,
        "font": {"size": size, "color": "‹ink›"},
    }
    return base | more


def band(begin_s: float, end_s: float, colour: str, *, y0: float, label: str | None) -> Json:
    """A band across all panels below ``y0`` pixels from the top."""
    shape: Json = {
        "type": "rect",
        "xref": "x",
        "yref": "paper",
        "x0": begin_s,
        "x1": end_s,
        "y0": 0,
        "y1": y0,
        "line": {"width": 0},
        "fillcolor": colour,
    }
    if label:
        shape["label"] = {"text": label, "font": {"color": "‹soft›", "size": 13}}
    return shape


def bottom_px(panel: Panel) -> float:
    """Where a band that starts below the strip ends: filled in by `_layout`."""
    return panel.top_px + panel.height_px


def area(panel: Panel, bins: Bins, values: Sequence[float | None], name: str, colour: str) -> Json:
    steps = [*values, values[-1]]  # the last step is drawn to its end
    return {
        "type": "scatter",
        "x": [number * bins.width_s for number in range(len(steps))],
        "y": [None if value is None else round(value, 2) for value in steps],
        "yaxis": panel.y,
        "legend": panel.legend,
        "name": name,
        "mode": "lines",
        "line": {"width": 0, "shape": "hv", "color": colour},
        "fillcolor": colour,
        "hovertemplate": f"{name} %{{y:.3~g}}<extra></extra>",
    }


def line(
    panel: Panel,
    bins: Bins,
    values: Sequence[float | None],
    name: str,
    colour: str,
    *,
    dash: str = "solid",
    shape: str = "linear",
) -> Json:
    return {
        "type": "scatter",
        "x": bins.mids_s[: len(values)],
        "y": [None if value is None else round(value, 3) for value in values],
        "yaxis": panel.y,
        "legend": panel.legend,
        "name": name,
        "mode": "lines",
        "connectgaps": False,
        "line": {"width": 1.5, "color": colour, "dash": dash, "shape": shape},
        "hovertemplate": f"{name} %{{y:.3~g}}<extra></extra>",
    }


def reference(canvas: Canvas, panel: Panel, value: float, text: str) -> None:
    """A dashed horizontal line with its meaning at its left end."""
    canvas.shapes.append(
        {
            "type": "line",
            "xref": "paper",
            "yref": panel.y,
            "x0": 0,
            "x1": 1,
            "y0": value,
            "y1": value,
            "line": {"width": 1, "color": "‹soft›", "dash": "dash"},
        }
    )
    canvas.notes.append(
        note(
            text,
            x=0,
            y=value,
            xref="paper",
            yref=panel.y,
            yanchor="bottom",
            xshift=2,
            font={"size": 10, "color": "‹ink›"},
        )
    )


def missing(canvas: Canvas, panel: Panel, text: str) -> None:
    canvas.traces.append(
        {"type": "scatter", "x": [0], "y": [None], "yaxis": panel.y, "showlegend": False}
    )
    panel.axis.update(showticklabels=False, showgrid=False)
    canvas.notes.append(
        note(
            f"<i>{text}</i>",
            x=0.5,
            y=0.5,
            xref="paper",
            yref=f"{panel.y} domain",
            xanchor="center",
            font={"size": 13, "color": "‹soft›"},
        )
    )
