"""Rules evaluated over series by a real Prometheus: promtool backfills, the server answers.

Each table gets a stretch of time of its own in one database, with more silence before it than any
rule looks back. So one server holds many recordings, label sets stay as they are, and no query
sees two of them.

Backfilled series have no staleness markers. In their place the server looks back for one scrape
interval only: on a regular grid that is the same, for what was missing at the last scrape is gone.
Range selectors never see markers.

Recording rules, and alerts that others read as ``ALERTS``, are evaluated first and backfilled in
turn. Within a group later rules see earlier ones at the same instant, as in Prometheus; between
groups too, because all groups are evaluated at the same instants here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import TracebackType

import httpx
import numpy as np
from numpy.typing import NDArray

from harness.alerts.exposition import write_openmetrics
from harness.alerts.rules import Rule, RuleSet
from harness.alerts.series import Labels, SeriesTable, labels_of
from harness.alerts.timelines import (
    Answer,
    RuleResult,
    alerts_series,
    held,
    named_alerts,
    recorded,
    run_alert,
)
from harness.errors import (
    EvaluationError,
    PartStartError,
    PooldrillError,
    Problem,
    RulesError,
)
from harness.stack.guard import guard
from harness.stack.process import Child
from harness.stack.prometheus import Missing, Program, Prometheus, Series, find_program

EPOCH_S = 1_700_006_400
"""Where the first table begins; a whole number of hours, as far back as no retention reaches."""

FOLDER = "pooldrill-rules-"
HOUR_S = 3600
ALERTS = "ALERTS"
"""The series that Prometheus keeps of its alerts."""

WORKERS = 4
BACKFILL_TIMEOUT_S = 600
MOST_POINTS = 11_000
"""Points a series that Prometheus answers at most in one range query."""


@cache
def _program(path: str) -> Program | Missing:
    """What is installed, asked once; ``path`` is the search path it was found on."""
    del path
    return find_program()


def _installed() -> Program | Missing:
    return _program(os.environ.get("PATH", ""))


def require_programs() -> str:
    """The path of promtool; EvaluationError when it or Prometheus is not installed."""
    found = _installed()
    promtool = shutil.which("promtool")
    if isinstance(found, Missing) or promtool is None:
        why = found.reason if isinstance(found, Missing) else "there is no promtool beside it"
        raise EvaluationError(
            f"rules are evaluated by a real Prometheus, and {why}",
            remedy="`make setup` installs it; or put prometheus and promtool on PATH.",
        )
    return promtool


def check_rules(rules: RuleSet) -> None:
    """Prometheus's own opinion of the rule files; RulesError with what promtool said.

    Raises `EvaluationError` without promtool.
    """
    promtool = require_programs()
    problems = []
    for file in dict.fromkeys(group.file for group in rules.groups):
        done = subprocess.run(
            [promtool, "check", "rules", file], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            said = [line for line in said if not line.endswith("FAILED:")] or [done.stderr.strip()]
            problems += [_said_by_promtool(rules, file, line) for line in said]
    if problems:
        raise RulesError(problems)


def _said_by_promtool(rules: RuleSet, file: str, line: str) -> Problem:
    """A line of promtool's with the line of the rule that it is about."""
    said = line.removeprefix(f"{file}: ")
    if found := re.match(r"(\d+):\d+: (.*)", said):
        return Problem(f"Prometheus: {found.group(2)}", file, int(found.group(1)))
    if found := re.search(r'group "([^"]*)", rule (\d+)', said):
        for group in rules.groups:
            if (group.file, group.name) == (file, found.group(1)):
                rule = group.rules[int(found.group(2)) - 1]
                return Problem(f"Prometheus: {said}", file, rule.line)
    return Problem(f"Prometheus: {said}", file)


def agree(tests: Sequence[Path]) -> None:
    """Run promtool's own tests; EvaluationError with its words where they do not pass."""
    promtool = require_programs()
    done = subprocess.run(
        [promtool, "test", "rules", *map(str, tests)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-1500:]
        raise EvaluationError(
            f"promtool does not agree with what was found:\n{said}",
            remedy="Rules that read later rules of their own group see them an evaluation later "
            "there; order the group so that what is read comes first.",
        )


class RuleEngine:
    """A Prometheus that holds tables; used as a context manager, gone with its folder after it.

    ``gap_s`` is the longest look back of any rule; ``interval_s`` the evaluation interval, which
    is also a subquery's default step. All tables have the same scrape interval.
    """

    def __init__(
        self, tables: Sequence[SeriesTable], *, gap_s: float, interval_s: float = 15.0
    ) -> None:
        if not tables:
            raise EvaluationError("there is nothing to evaluate rules over")
        self.promtool = require_programs()
        self._tables = list(tables)
        self._interval_s = interval_s
        self._scrape_s = max(table.grid.step_s for table in tables)
        self._zeros: list[float] = []
        self._folder = Path(tempfile.mkdtemp(prefix=FOLDER))
        guard().add_folder(self._folder)
        self._server: Prometheus | None = None
        at = EPOCH_S
        for table in tables:
            at += _whole_hours(gap_s + self._scrape_s)
            self._zeros.append(at - table.grid.start_s)
            at += _whole_hours(table.grid.length_s + self._scrape_s)
        self._end_s = float(at)

    @property
    def zeros(self) -> tuple[float, ...]:
        """The epoch second of each table's zero."""
        return tuple(self._zeros)

    def __enter__(self) -> RuleEngine:
        try:
            self._backfill(list(zip(self._tables, self._zeros, strict=True)))
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def add(self, extra: Sequence[Sequence[SeriesTable]]) -> None:
        """Backfill further series: for each table that there is, tables on grids of their own."""
        more = [
            (held(table, self._scrape_s), zero)
            for tables, zero in zip(extra, self._zeros, strict=True)
            for table in tables
            if len(table.labels)
        ]
        if more:
            # A running server does not look for blocks again: it is started anew, in a second.
            self._stop()
            self._backfill(more)
            self._start()

    def ask(self, expression: str, number: int, *, step_s: float, offset_s: float = 0.0) -> Answer:
        """``expression`` over the whole of table ``number``, each ``step_s`` seconds.

        Raises `EvaluationError` with Prometheus's reason.
        """
        assert self._server is not None
        grid = self._tables[number].grid
        zero = self._zeros[number]
        count = int((grid.length_s - offset_s) / step_s + 1e-9) + 1
        instants = grid.start_s + offset_s + np.arange(count, dtype=np.float64) * step_s
        rows: dict[Labels, int] = {}
        values = np.zeros((0, count))
        there = np.zeros((0, count), dtype=bool)
        for begin in range(0, count, MOST_POINTS):
            end = min(count, begin + MOST_POINTS) - 1
            try:
                found = self._server.query_range(
                    expression,
                    from_epoch=zero + float(instants[begin]),
                    to_epoch=zero + float(instants[end]),
                    step_s=step_s,
                )
            except PooldrillError as error:
                raise EvaluationError(error.message) from error
            fresh = [series for series in found if labels_of(series.labels) not in rows]
            for series in fresh:
                rows[labels_of(series.labels)] = len(rows)
            grown = len(rows) - len(values)
            values = np.concatenate([values, np.zeros((grown, count))])
            there = np.concatenate([there, np.zeros((grown, count), dtype=bool)])
            for series in found:
                _place(series, rows[labels_of(series.labels)], values, there, zero, instants)
        return Answer(tuple(rows), values, there, instants)

    def somewhere(self, selector: str, how: str) -> tuple[Series, ...]:
        """``how`` (such as ``max_over_time``) of a selector's series over all tables at once.

        Raises `EvaluationError`.
        """
        assert self._server is not None
        span_s = int(self._end_s - EPOCH_S) + HOUR_S
        try:
            return self._server.query(f"{how}({selector}[{span_s}s])", at_epoch=self._end_s)
        except PooldrillError as error:
            raise EvaluationError(error.message) from error

    def evaluate(
        self, rules: RuleSet, *, interval_s: float, offset_s: float = 0.0
    ) -> dict[Rule, list[RuleResult]]:
        """Every alerting rule over every table, each at its group's interval or ``interval_s``.

        The first evaluation comes ``offset_s`` seconds after the first scrape.

        Rules whose results others read come first; what they yield is backfilled before those.
        """
        results: dict[Rule, list[RuleResult]] = {}
        for level in _levels(rules):
            tasks = [
                (rule, every_s or interval_s, number)
                for rule, every_s in level
                for number in range(len(self._tables))
            ]
            with ThreadPoolExecutor(WORKERS) as pool:
                done = list(pool.map(lambda t: self._evaluate(t[0], t[1], t[2], offset_s), tasks))
            extra: list[list[SeriesTable]] = [[] for _ in self._tables]
            read = _read_of(level, rules)
            for (rule, _, number), (result, yielded) in zip(tasks, done, strict=True):
                if rule.alert:
                    results.setdefault(rule, []).append(result)
                if (rule.record or ALERTS) in read:
                    extra[number].append(yielded)
            if read:
                self.add(extra)
        return results

    def _evaluate(
        self, rule: Rule, step_s: float, number: int, offset_s: float
    ) -> tuple[RuleResult, SeriesTable]:
        grid = self._tables[number].grid
        nothing = SeriesTable(grid, (), np.empty((0, grid.count)), np.empty((0, grid.count), bool))
        try:
            answer = self.ask(rule.expr, number, step_s=step_s, offset_s=offset_s)
            if rule.record:
                return RuleResult((), len(answer.instants_s), 0, 0.0), recorded(rule, answer)
            named = named_alerts(rule, answer)
        except EvaluationError as error:
            return RuleResult((), 0, 0, 0.0, failed=error.message), nothing
        return run_alert(rule, named), alerts_series(rule, named)

    def _backfill(self, pairs: Sequence[tuple[SeriesTable, float]]) -> None:
        text = self._folder / "series.txt"
        try:
            with text.open("wb") as file:
                written = write_openmetrics(pairs, file)
            if not written:
                return
            command = [
                self.promtool, "tsdb", "create-blocks-from", "openmetrics",
                "--max-block-duration=8760h", "--quiet", str(text), str(self._folder / "tsdb"),
            ]  # fmt: skip
            # As a child of the stack, for it may take seconds in which the harness may be killed.
            Child("promtool", command, log=self._folder / "promtool.log").finish(BACKFILL_TIMEOUT_S)
        except (OSError, PartStartError) as error:
            raise EvaluationError(f"the series could not be backfilled: {error}") from error
        finally:
            text.unlink(missing_ok=True)

    def _start(self) -> None:
        program = _installed()
        if isinstance(program, Missing):
            raise EvaluationError(program.reason)
        with httpx.Client(trust_env=False) as client:
            self._server = Prometheus.start(
                program,
                client=client,
                logs=self._folder,
                folder=self._folder,
                evaluation_s=self._interval_s,
                options=(
                    # A sample as old as an interval is the one before the scrape that missed it.
                    f"--query.lookback-delta={round(self._scrape_s * 1000) - 1}ms",
                    "--storage.tsdb.retention.time=100y",
                    "--query.max-samples=500000000",
                ),
            )

    def _stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _end(self) -> None:
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        guard().drop_folder(self._folder)


def _place(
    series: Series,
    row: int,
    values: NDArray[np.float64],
    there: NDArray[np.bool_],
    zero: float,
    instants_s: NDArray[np.float64],
) -> None:
    points = np.array(series.points)
    columns = np.searchsorted(instants_s, points[:, 0] - zero - 5e-4)
    values[row, columns] = points[:, 1]
    there[row, columns] = True


def _levels(rules: RuleSet) -> list[list[tuple[Rule, float | None]]]:
    """Rules by depth: those that read nobody's results, those that read theirs, and so on.

    A rule that reads its own results, through others or not, sees none of them.
    """
    every = [(rule, group.interval_s) for group in rules.groups for rule in group.rules]
    makers: dict[str, list[Rule]] = {}
    for rule, _ in every:
        makers.setdefault(rule.record or ALERTS, []).append(rule)

    def depth(rule: Rule, above: frozenset[Rule]) -> int:
        above |= {rule}
        read = {selector.metric for selector in rule.selectors}
        below = [
            depth(maker, above)
            for name in read & set(makers)
            for maker in makers[name or ""]
            if maker not in above
        ]
        return 1 + max(below) if below else 0

    levels: dict[int, list[tuple[Rule, float | None]]] = {}
    for rule, every_s in every:
        levels.setdefault(depth(rule, frozenset()), []).append((rule, every_s))
    return [levels[number] for number in sorted(levels)]


def _read_of(level: Sequence[tuple[Rule, float | None]], rules: RuleSet) -> frozenset[str]:
    """Which of the series that a level yields are read by any rule."""
    yields = {rule.record or ALERTS for rule, _ in level}
    return frozenset(
        name for name in yields if any(s.metric == name for rule in rules for s in rule.selectors)
    )


def _whole_hours(length_s: float) -> int:
    return (int(length_s // HOUR_S) + 1) * HOUR_S
