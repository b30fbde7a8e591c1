"""A sweep's grid: as a table, as JSON, as a heat map, and as the rule that is recommended."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import yaml
from plotly.subplots import make_subplots
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.alerts.rules import Rule, duration
from harness.alerts.sweep import Cell, Choice, Grid
from harness.report.scorecard import signed

CELL_WIDTH = 15
"""Columns that a cell of the grid takes on a terminal."""


def grid_dict(grid: Grid, choice: Choice | None) -> dict[str, Any]:
    """As ``pooldrill alerts sweep --json`` prints it. Seconds."""
    return {
        "schema": 1,
        "alert": grid.alert,
        "expression": grid.left,
        "operator": grid.operator,
        "cells": [_cell(cell) for cell in grid.cells],
        "recommended": None if choice is None else {**_cell(choice.cell), "why": list(choice.why)},
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "threshold": cell.threshold,
        "for_s": cell.for_s,
        "caught": cell.caught,
        "incidents": cell.incidents,
        "false_pages": cell.false_pages,
        "benign": cell.benign,
        "lead_s": cell.lead_s,
        "least_lead_s": cell.least_lead_s,
        "most_lead_s": cell.most_lead_s,
        "on_front": cell.on_front,
    }


def grid_table(grid: Grid, choice: Choice | None, *, width: int) -> RenderableType:
    """The Pareto front, and below it the whole grid where ``width`` columns hold it."""
    front = Table(box=None, pad_edge=False)
    for heading in ("threshold", "for", "caught", "false pages", "median lead", "range", ""):
        front.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for cell in grid.front:
        chosen = choice is not None and cell == choice.cell
        spread = ("–", "–") if cell.lead_s is None else _span(cell)
        front.add_row(
            f"{grid.operator} {cell.threshold:.4g}",
            duration(cell.for_s),
            f"{cell.caught} of {cell.incidents}",
            f"{cell.false_pages} of {cell.benign}",
            *spread,
            Text("recommended" if chosen else "", "green"),
        )
    head = Text(f"{one_line(grid.left)} {grid.operator} threshold\n")
    table = _whole(grid, choice)
    needed = 10 + CELL_WIDTH * len(grid.waits_s)
    parts: list[RenderableType] = [head, Text("Pareto front", style="bold"), front]
    if width >= needed:
        legend = "median lead, incidents caught / false pages; bold: on the front"
        parts += [Text("\nThe grid", style="bold"), table, Text(legend, "dim")]
    else:
        parts.append(
            Text(
                f"\nThe whole grid needs {needed} columns; --heat-map draws it, --json has it.",
                "dim",
            )
        )
    return Group(*parts)


def _span(cell: Cell) -> tuple[str, str]:
    assert cell.lead_s is not None
    assert cell.least_lead_s is not None
    assert cell.most_lead_s is not None
    return signed(cell.lead_s), f"{signed(cell.least_lead_s)} … {signed(cell.most_lead_s)}"


def _whole(grid: Grid, choice: Choice | None) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("\\ for", justify="right", no_wrap=True)
    for wait_s in grid.waits_s:
        table.add_column(duration(wait_s), justify="right", no_wrap=True)
    by_place = {(cell.threshold, cell.for_s): cell for cell in grid.cells}
    for threshold in grid.thresholds:
        row = [by_place[threshold, wait_s] for wait_s in grid.waits_s]
        cells = [_text(cell, choice is not None and cell == choice.cell) for cell in row]
        table.add_row(f"{threshold:.4g}", *cells)
    return table


def _text(cell: Cell, chosen: bool) -> Text:
    if not cell.caught:
        return Text("·" if not cell.false_pages else f"· /{cell.false_pages}", "dim")
    lead = "–" if cell.lead_s is None else _short(cell.lead_s)
    style = "red" if cell.false_pages else "green" if (cell.lead_s or 0) > 0 else "yellow"
    style += (" bold" if cell.on_front else "") + (" reverse" if chosen else "")
    return Text(f"{lead} {cell.caught}/{cell.false_pages}", style)


def _short(seconds: float) -> str:
    return f"{'+' if seconds >= 0 else '−'}{duration(abs(round(seconds)))}"


def heat_map(grid: Grid, choice: Choice | None) -> str:
    """A self-contained page: lead, recall and false pages over threshold and wait."""
    x = [duration(wait_s) for wait_s in grid.waits_s]
    y = [f"{threshold:.4g}" for threshold in grid.thresholds]
    rows = [
        [cell for cell in grid.cells if cell.threshold == threshold]
        for threshold in grid.thresholds
    ]
    one = grid.cells[0]
    leads = [abs(cell.lead_s) / 60 for cell in grid.cells if cell.lead_s is not None]
    reach = max(leads, default=1.0) or 1.0
    panels: Sequence[tuple[str, Any, str, float, float]] = (
        ("Median lead before the first harm [min]", _lead_minutes, "RdYlGn", -reach, reach),
        (f"Incidents caught, of {one.incidents}", _caught, "Blues", 0, one.incidents or 1),
        (f"Benign recordings paged for, of {one.benign}", _false, "Reds", 0, one.benign or 1),
    )
    figure = make_subplots(
        rows=1, cols=3, subplot_titles=[title for title, *_ in panels], horizontal_spacing=0.08
    )
    for column, (title, value, colours, low, high) in enumerate(panels, start=1):
        right = figure.get_subplot(1, column).xaxis.domain[1]
        figure.add_trace(
            go.Heatmap(
                x=x,
                y=y,
                z=[[value(cell) for cell in row] for row in rows],
                colorscale=colours,
                zmin=low,
                zmax=high,
                xgap=1,
                ygap=1,
                colorbar={
                    "x": right + 0.004,
                    "xanchor": "left",
                    "thickness": 10,
                    "outlinewidth": 0,
                },
                hovertemplate=f"{title}: %{{z}}<br>for %{{x}}, threshold %{{y}}<extra></extra>",
                hoverongaps=False,
            ),
            row=1,
            col=column,
        )
        chosen = [choice.cell] if choice is not None else []
        for cells, symbol, name in (
            (grid.front, "circle-open", "on the Pareto front"),
            (chosen, "star", "recommended"),
        ):
            figure.add_trace(
                go.Scatter(
                    x=[duration(cell.for_s) for cell in cells],
                    y=[f"{cell.threshold:.4g}" for cell in cells],
                    mode="markers",
                    marker={"symbol": symbol, "size": 11, "color": "#111", "line": {"width": 2}},
                    name=name,
                    showlegend=column == 1,
                    hoverinfo="skip",
                ),
                row=1,
                col=column,
            )
    figure.update_xaxes(title_text="for", type="category", tickangle=-60)
    figure.update_yaxes(type="category", showticklabels=False)
    figure.update_yaxes(title_text="threshold", showticklabels=True, col=1)
    expression = "<br>".join(textwrap.wrap(f"{one_line(grid.left)} {grid.operator} threshold", 150))
    figure.update_layout(
        title={
            "text": f"<b>{grid.alert}</b><br><span style='font-size:12px'>{expression}</span>",
            "x": 0.01,
            "y": 0.97,
            "yanchor": "top",
        },
        font={"family": "system-ui, sans-serif", "size": 13},
        width=1400,
        height=660,
        margin={"t": 150, "l": 80, "r": 60, "b": 120},
        legend={"orientation": "h", "y": -0.24},
        template="plotly_white",
    )
    page: str = figure.to_html(include_plotlyjs=True, full_html=True)
    return page


def _lead_minutes(cell: Cell) -> float | None:
    return None if cell.lead_s is None else round(cell.lead_s / 60, 2)


def _caught(cell: Cell) -> int:
    return cell.caught


def _false(cell: Cell) -> int:
    return cell.false_pages


def one_line(expression: str) -> str:
    """An expression without the line breaks of its layout; spaces in its texts stay."""
    return re.sub(r"\s*\n\s*", " ", expression)


def recommended_rule(rule: Rule, grid: Grid, choice: Choice, *, recordings: int) -> str:
    """A rule file with the chosen threshold and wait; why, and the figures, in its comments."""
    cell = choice.cell
    reasons: list[str] = [
        f"Chosen from {len(grid.thresholds)} x {len(grid.waits_s)} thresholds and waits, scored on "
        f"{recordings} recordings:",
        *(f"  - {reason}" for reason in choice.why),
        f"The rule as it was: {grid.operator} "
        f"{_threshold_of(rule)}, for {duration(rule.for_s)} ({rule.place}).",
        "Neighbours on the Pareto front:",
        *(
            f"  - {grid.operator} {each.threshold:.6g} for {duration(each.for_s)}: "
            f"{each.caught}/{each.incidents} caught, {each.false_pages}/{each.benign} false, "
            f"lead {'none' if each.lead_s is None else signed(each.lead_s)}"
            for each in [front for front in grid.front if front != cell][:5]
        ),
    ]
    data: dict[str, Any] = {
        "alert": rule.alert,
        "expr": f"{one_line(grid.left)} {grid.operator} {cell.threshold:.6g}",
        "for": duration(cell.for_s),
    }
    if rule.keep_firing_for_s:
        data["keep_firing_for"] = duration(rule.keep_firing_for_s)
    fields: tuple[tuple[str, Mapping[str, str]], ...] = (
        ("labels", rule.labels),
        ("annotations", rule.annotations),
    )
    data |= {name: dict(value) for name, value in fields if value}
    body = yaml.safe_dump(
        {"groups": [{"name": rule.group, "rules": [data]}]},
        sort_keys=False,
        width=110,
        allow_unicode=True,
    )
    return "".join(f"# {line}\n" for line in reasons) + body


def _threshold_of(rule: Rule) -> str:
    from harness.alerts.expressions import comparison, parse

    found = comparison(parse(rule.expr))
    return "?" if found is None else f"{found.threshold:g}"
