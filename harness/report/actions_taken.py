"""What a row of the counterfactuals did, in the words of a table cell."""

from __future__ import annotations

from harness.incident import Event, Incident, Row, as_yaml
from harness.report import words
from harness.report.setup import TOLD_ELSEWHERE

NO_CHANGE: tuple[object, ...] = ("0s", [], {}, "")
"""Values of an action's fields that say nothing."""


def row_words(incident: Incident, row: Row, moment_s: float) -> str:
    """``size 8``, or with its name where the row's own does not say it: ``shed rate 8/s``.

    An action that is not taken at ``moment_s`` says when.
    """
    told = []
    for action in row.actions:
        named = "" if len(row.actions) == 1 and row.name == action.do else action.do
        told.append(" ".join(filter(None, (named, _settings(incident, action, moment_s)))))
    return "; ".join(filter(None, told))


def _settings(incident: Incident, action: Event, moment_s: float) -> str:
    named = action.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    told = [
        f"{key} {_value(value)}"
        for key, value in named.items()
        if key not in TOLD_ELSEWHERE | {"decoy"} and value not in NO_CHANGE
    ]
    instant = [] if action.at_s == moment_s else [f"at {words.clock(incident, action.at_s)}"]
    return ", ".join([*told, *instant])


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else as_yaml(value)
