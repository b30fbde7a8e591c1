"""What expressions yield over all recordings, asked of the Prometheus that holds them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from harness.alerts.diagnosis import Extent
from harness.alerts.engine import WORKERS, RuleEngine
from harness.alerts.expressions import plain_selector
from harness.alerts.series import NAME
from harness.errors import EvaluationError


@dataclass
class Extents:
    """Extents over all tables, each expression asked once."""

    engine: RuleEngine
    count: int
    step_s: float
    known: dict[tuple[str, int], Extent] = field(default_factory=dict)
    overall: dict[str, Extent] = field(default_factory=dict)

    def __call__(self, expression: str) -> Extent:
        if expression not in self.overall:
            plain = plain_selector(expression)
            self.overall[expression] = (
                self._of_selector(expression) if plain else self._of_all(expression)
            )
        return self.overall[expression]

    def _of_selector(self, selector: str) -> Extent:
        """One query over all tables instead of one for each."""
        try:
            counts = self.engine.somewhere(selector, "count_over_time")
            lows = self.engine.somewhere(selector, "min_over_time")
            highs = self.engine.somewhere(selector, "max_over_time")
        except EvaluationError:
            return Extent(0)
        least = [series.points[0][1] for series in lows]
        most = [series.points[0][1] for series in highs]
        return Extent(
            int(sum(series.points[0][1] for series in counts)),
            min((value for value in least if math.isfinite(value)), default=None),
            max((value for value in most if math.isfinite(value)), default=None),
            tuple(sorted({name for series in counts for name in series.labels} - {NAME})),
        )

    def _of_all(self, expression: str) -> Extent:
        with ThreadPoolExecutor(WORKERS) as pool:
            found = list(pool.map(lambda number: self.on(expression, number), range(self.count)))
        lows = [each.least for each in found if each.least is not None]
        highs = [each.most for each in found if each.most is not None]
        labels = next((each.labels for each in found if each.points), ())
        return Extent(
            sum(each.points for each in found),
            min(lows, default=None),
            max(highs, default=None),
            labels,
        )

    def on(self, expression: str, number: int) -> Extent:
        key = (expression, number)
        if key not in self.known:
            self.known[key] = self._asked(expression, number)
        return self.known[key]

    def _asked(self, expression: str, number: int) -> Extent:
        try:
            answer = self.engine.ask(expression, number, step_s=self.step_s)
        except EvaluationError:
            return Extent(0)
        values = answer.values[answer.there]
        finite = values[np.isfinite(values)]
        names = {key for labels in answer.labels for key, _ in labels if key != NAME}
        return Extent(
            int(answer.there.sum()),
            float(finite.min()) if len(finite) else None,
            float(finite.max()) if len(finite) else None,
            tuple(sorted(names)),
        )
