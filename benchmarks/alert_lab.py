"""The alert lab: scoring many rules on many recordings, and a sweep against promtool.

``scoring``: 20 rules on 20 recordings of four hours at 15 s scrapes, from run directories to
scores. ``sweep``: 20 thresholds x 20 waits on 10 of them, after loading; beside it what ``promtool
test rules`` takes for one cell, which evaluates the same rule over the same series and says
whether it fired. The ratio is of times a cell, measured side by side in this run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from harness.alerts.engine import RuleEngine
from harness.alerts.evaluating import PACKAGED
from harness.alerts.expressions import LOOKBACK_S, comparison, parse
from harness.alerts.lab import Asking, score
from harness.alerts.promtool import Pinned, promtool_files
from harness.alerts.rules import load_rules
from harness.alerts.subjects import Settings, load_recordings
from harness.alerts.sweeping import Sweep, sweep_grid
from tests.recordings import synthetic_recording

RECORDINGS, SWEPT, SIDE, CELLS = 20, 10, 20, 3
SCORING_LIMIT_S, SWEEP_LIMIT_S, RATIO_LIMIT = 20.0, 5.0, 50.0
ONE_MORE = """\
groups:
- name: one-more
  rules:
  - {alert: AnyPending, expr: 'max by (instance) (db_client_connection_pending_requests) > 0'}
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder))
    if "--json" in sys.argv:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(f"{row['name']}: {row['value']:.4g} {row['unit']} (limit {row['limit']})")
    return 0 if all(row["holds"] for row in rows) else 1


def measure(folder: Path) -> list[dict[str, Any]]:
    directories = recordings(folder)
    more = folder / "one-more.yml"
    more.write_text(ONE_MORE, "utf-8")
    rules = (PACKAGED, more)
    count = len(load_rules(rules).alerts)
    began = perf_counter()
    scored = score(Asking(rules, directories, Settings(hold_s=0.0)))
    scoring_s = perf_counter() - began
    assert len(scored.subjects) == RECORDINGS
    swept_s, promtool_s = swept(folder, directories[:SWEPT], more)
    cells = SIDE * SIDE
    ratio = promtool_s / (swept_s / cells)
    return [
        row(f"{count} rules x {RECORDINGS} recordings of 4 h", scoring_s, "s", SCORING_LIMIT_S),
        row(f"sweep {SIDE} x {SIDE} over {SWEPT} recordings", swept_s, "s", SWEEP_LIMIT_S),
        row("promtool test rules, one cell", promtool_s, "s", None),
        row("promtool / sweep, a cell", ratio, "x", RATIO_LIMIT, least=True),
    ]


def row(
    name: str, value: float, unit: str, limit: float | None, *, least: bool = False
) -> dict[str, Any]:
    holds = None if limit is None else value >= limit if least else value <= limit
    return {"name": name, "value": value, "unit": unit, "limit": limit, "holds": holds is not False}


def recordings(folder: Path) -> list[Path]:
    """Two simulated runs of four hours, one with an outage, each ten times under other seeds."""
    made = []
    for number, size in enumerate((5, 20)):
        own = {"clock.duration": "240m"}
        first = synthetic_recording(folder / f"run-{number}", pool_size=size, overrides=own)
        for seed in range(RECORDINGS // 2):
            place = folder / f"run-{number}-{seed}"
            shutil.copytree(first, place)
            info = json.loads((place / "run.json").read_text("utf-8"))
            (place / "run.json").write_text(json.dumps(info | {"seed": seed}), "utf-8")
            made.append(place)
    return made[::2] + made[1::2]


def swept(folder: Path, directories: list[Path], file: Path) -> tuple[float, float]:
    """Seconds of the whole sweep after loading, and of one of its cells under promtool."""
    settings = Settings(hold_s=0.0)
    rules = load_rules([file])
    (rule,) = rules.alerts
    found = comparison(parse(rule.expr))
    assert found is not None
    loaded = load_recordings(
        directories, settings=settings, lead_in_s=rules.window_s, wanted=rules.wants
    )
    thresholds = [float(step * 5) for step in range(SIDE)]
    waits_s = [step * 30.0 for step in range(SIDE)]
    with RuleEngine(loaded.tables, gap_s=rules.window_s + LOOKBACK_S) as engine:
        asked = Sweep(Asking([file], directories, settings), rule.alert, thresholds, waits_s)
        began = perf_counter()
        sweep_grid(asked, rule, found, engine, loaded.subjects)
        sweep_s = perf_counter() - began
        results = engine.evaluate(rules, interval_s=settings.interval_s)
    pinned = [
        Pinned(f"{number}", table, {rule: results[rule][number]})
        for number, table in enumerate(loaded.tables)
    ]
    place = folder / "promtool"
    place.mkdir()
    for name, text in promtool_files(rules, pinned, interval_s=settings.interval_s).items():
        (place / name).write_text(text, "utf-8")
    took = []
    for _ in range(CELLS):
        began = perf_counter()
        subprocess.run(
            ["promtool", "test", "rules", *map(str, place.glob("*.test.yml"))],
            check=True,
            capture_output=True,
        )
        took.append(perf_counter() - began)
    return sweep_s, min(took)


if __name__ == "__main__":
    raise SystemExit(main())
