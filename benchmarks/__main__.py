"""All benchmarks, one after the other, as one table. ``python -m benchmarks``.

Each compares side by side in one run of its own process; nothing else should run beside them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

BENCHMARKS = (
    "pool_instrumentation",
    "load_driver",
    "load_workers",
    "stack_ready",
    "alert_lab",
    "audit",
)


def main() -> int:
    """Exit code 0 when every limit holds, 1 when one does not, 3 when one was not measured."""
    console = Console()
    table = Table(box=None, pad_edge=False)
    for heading in ("benchmark", "figure", "measured", "limit", "holds", "beside"):
        table.add_column(heading, justify="right" if heading in ("measured", "limit") else "left")
    worst = 0
    for name in BENCHMARKS:
        console.print(f"{name} …", style="dim", highlight=False)
        ended = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", "--json"],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        try:
            rows = json.loads(ended.stdout)
        except ValueError:
            table.add_row(name, "not measured", "", "", "[red]invalid")
            worst = 3
            continue
        for row in rows:
            limit, holds = row["limit"], row["holds"]
            shown = "–" if limit is None or holds is None else "[green]yes" if holds else "[red]no"
            table.add_row(
                name,
                row["name"],
                f"{row['value']:.4g} {row.get('unit', '')}".strip(),
                "" if limit is None else f"{limit:g}",
                shown,
                _beside(row),
            )
            if limit is not None and holds is False:
                worst = max(worst, 1)
    console.print(table)
    return worst


def _beside(row: dict[str, Any]) -> str:
    """What OpenTelemetry's instrumentation takes for the same, where it was measured."""
    theirs = row.get("opentelemetry_us")
    if theirs is None:
        return ""
    if "µs" in row["unit"]:
        return f"OpenTelemetry {theirs - row['bare_us']:.1f} µs extra"
    return f"OpenTelemetry {theirs / row['bare_us']:.3f} × bare"


if __name__ == "__main__":
    raise SystemExit(main())
