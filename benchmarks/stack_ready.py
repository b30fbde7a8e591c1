"""How long until the stack is ready? ``python -m benchmarks.stack_ready [--json]``.

From nothing to PostgreSQL with 20,000 users, two replicas and the gateway, beside the embedded
PostgreSQL alone in the same run: the ratio is what the rest of the stack costs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.incident import DatabaseConfig, GatewayConfig, ServiceConfig
from harness.stack import Stack
from harness.stack.postgres import EmbeddedPostgres

TURNS = 3
READY_LIMIT_S = 6.0


@dataclass(frozen=True)
class Row:
    """One figure: its limit is None where it only informs."""

    name: str
    value: float
    unit: str
    limit: float | None

    @property
    def holds(self) -> bool | None:
        return None if self.limit is None else self.value <= self.limit


def measure() -> list[Row]:
    """Alternate the two, ``TURNS`` times; medians. Takes about half a minute."""
    alone, whole = [], []
    for _ in range(TURNS):
        with tempfile.TemporaryDirectory() as folder:
            alone.append(_postgres_alone(Path(folder)))
        with tempfile.TemporaryDirectory() as folder:
            whole.append(_whole_stack(Path(folder)))
    ratio = statistics.median(w / a for w, a in zip(whole, alone, strict=True))
    return [
        Row("stack ready: 20,000 users, 2 replicas, gateway", statistics.median(whole), "s",
            READY_LIMIT_S),
        Row("beside the embedded PostgreSQL alone", ratio, "×", None),
    ]  # fmt: skip


def _postgres_alone(folder: Path) -> float:
    began = time.perf_counter()
    server = EmbeddedPostgres.start(DatabaseConfig(), log=folder / "postgres.log")
    took_s = time.perf_counter() - began
    server.stop()
    return took_s


def _whole_stack(folder: Path) -> float:
    began = time.perf_counter()
    with Stack.start(
        ServiceConfig(), GatewayConfig(), DatabaseConfig(), directory=folder, prometheus=False
    ):
        return time.perf_counter() - began


def main() -> int:
    """Exit code 0 when the limit holds, 1 when it does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stack_ready")
    parser.add_argument("--json", action="store_true", help="rows as JSON on standard output")
    rows = measure()
    if parser.parse_args().json:
        json.dump([{**asdict(row), "holds": row.holds} for row in rows], sys.stdout, indent=2)
        print()
    else:
        for row in rows:
            print(f"{row.name}: {row.value:.2f} {row.unit} (limit {row.limit})")
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
