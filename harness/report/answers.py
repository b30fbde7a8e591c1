"""What a document leaves open, answered with figures of the counterfactuals."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.errors import UsageError
from harness.incident import Incident
from harness.report import matrix as matrices
from harness.report import words
from harness.verdicts.counterfactual import Matrix, RowResult

COLUMNS = ("affected", "minutes", "saved", "outcome", "survives")
"""What ``{ROW.COLUMN}`` may name of a row."""

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def answers(incident: Incident, matrix: Matrix | None) -> tuple[tuple[str, str], ...]:
    """Each open question with its answer, ``{ROW.COLUMN}`` replaced; ``{{`` is a plain brace.

    Raises UsageError that names every placeholder which the matrix has no figure for.
    """
    questions = incident.postmortem.open_questions if incident.postmortem else ()
    if questions and matrix is None:
        raise UsageError(
            f"{incident.name} has open questions and no counterfactuals to answer them: "
            + "; ".join(question.asks for question in questions),
            remedy=f"Run `pooldrill whatif {incident.name} --all`, then give --whatif its "
            "whatif.json.",
        )
    rows = matrix.rows if matrix else ()
    problems: list[str] = []
    found = tuple((q.asks, _resolved(q.answer, rows, problems)) for q in questions)
    if problems:
        listed = "\n".join(f"  {problem}" for problem in dict.fromkeys(problems))
        raise UsageError(
            f"{incident.name}: answers to its open questions cannot be resolved\n{listed}",
            remedy=f"There are the rows {', '.join(row.name for row in rows)}, each with "
            f"{', '.join(COLUMNS)}. Correct the answer, or try that row and give its whatif.json.",
        )
    return found


def _resolved(answer: str, rows: Sequence[RowResult], problems: list[str]) -> str:
    by_name = {row.name: row for row in rows}

    def figure(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        name, _, column = found[1].partition(".")
        row = by_name.get(name)
        if row is None or column not in COLUMNS:
            problems.append(f"{found[0]}: no row of the matrix has it")
            return found[0]
        told = _figure(row, column)
        if told is None:
            problems.append(f"{found[0]}: not measured (the row came to: {_outcome(row)})")
        return told or found[0]

    return _BRACES.sub(figure, answer)


def _figure(row: RowResult, column: str) -> str | None:
    """A figure in words; None where the row was not measured, or did not come to it."""
    if row.outcome == "invalid":
        return None
    match column:
        case "affected":
            return None if row.affected is None else words.percent(row.affected)
        case "minutes":
            return None if row.minutes is None else words.number(row.minutes)
        case "saved":
            return None if row.saved_minutes is None else words.number(row.saved_minutes)
        case "survives":
            return None if row.survives is None else ("yes" if row.survives else "no")
        case _:
            return _outcome(row)


def _outcome(row: RowResult) -> str:
    return matrices.cells(row)[1]
