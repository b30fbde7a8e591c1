"""The counterfactuals as a table: in a terminal, and in Markdown."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from harness.report import words
from harness.verdicts.counterfactual import Matrix, RowResult, order

HEADINGS = (
    "action",
    "outcome",
    "minutes to recovery",
    "minutes saved",
    "users affected",
    "survives a second surge",
)
STYLES = {"fully": "green", "partly": "yellow", "not": "red", "invalid": "magenta"}


def cells(row: RowResult) -> tuple[str, ...]:
    """A row as text, in the order of `HEADINGS`."""
    if row.outcome == "invalid":
        return (row.name, "invalid", "", "", "", row.why)
    return (
        row.name,
        {"fully": "recovers fully", "partly": "recovers partly", "not": "does not recover"}[
            row.outcome
        ],
        *("–" if each is None else words.number(each) for each in (row.minutes, row.saved_minutes)),
        words.percent(row.affected),
        {True: "yes", False: "no", None: words.NOT_MEASURED}[row.survives],
    )


def table(matrix: Matrix) -> Table:
    """For a terminal."""
    shown = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        shown.add_column(heading, no_wrap=heading in ("action", "outcome"), overflow="fold")
    for row in order(matrix):
        first, outcome, *rest = cells(row)
        shown.add_row(first, Text(outcome, style=STYLES[row.outcome]), *rest)
    return shown


def markdown(matrix: Matrix) -> str:
    """For a page."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *(cells(row) for row in order(matrix))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
