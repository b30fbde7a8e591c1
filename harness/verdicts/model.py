"""Verdicts as values: what was expected, what was measured, and which way it went.

``verdict.json`` is `Verdict` dumped as JSON, version 1. Clocks are incident seconds from the
incident's start, null when the thing did not happen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from harness.errors import ExitCode
from harness.measurements.model import Arrivals, Capacity, Clocks, Latency, Users, Value

Outcome = Literal["pass", "fail", "invalid"]


def merge(outcomes: Iterable[Outcome]) -> Outcome:
    """fail > invalid > pass; nothing at all is invalid, for nothing was shown."""
    seen = set(outcomes)
    if "fail" in seen:
        return "fail"
    if "invalid" in seen or not seen:
        return "invalid"
    return "pass"


def exit_code(outcome: Outcome) -> ExitCode:
    """The process exit code of an outcome."""
    codes: dict[Outcome, ExitCode] = {
        "pass": ExitCode.PASS,
        "fail": ExitCode.FAIL,
        "invalid": ExitCode.INVALID,
    }
    return codes[outcome]


class Check(Value):
    """One claim about a run. ``why`` is empty for a pass that needs no words."""

    id: str
    outcome: Outcome
    expected: str
    measured: float | int | str | None
    why: str = ""


class Alert(Value):
    name: str
    state: Literal["fired", "silent", "unknown"]
    fired_s: float | None
    lead_s: float | None
    resolved_s: float | None


class Verdict(Value):
    """Everything that was concluded from one recording."""

    schema_version: Literal[1] = Field(1, alias="schema")
    incident: str
    seed: int
    outcome: Outcome
    source: Literal["replay", "full-length", "twin", "import"]
    arrivals: Arrivals
    users: Users
    latency_s: Latency
    clocks_s: Clocks
    capacity: Capacity
    alerts: tuple[Alert, ...] = ()
    checks: tuple[Check, ...]

    def to_json(self) -> str:
        """Canonical text: the same verdict is always the same bytes."""
        data = self.model_dump(mode="json", by_alias=True)
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
