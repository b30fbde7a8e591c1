"""How long an audit takes. ``python -m benchmarks.audit [--json]``.

1,000 files of configuration: the sound projects of the tests' corpus, again and again, below one
folder, so that all of them are read, joined into one chain and judged. Beside it, in the same run,
what merely parsing these files as what they are takes. And a database that runs: one connection.

A corpus that grows is another mixture of files: only figures of the same corpus may be compared.
"""

from __future__ import annotations

import argparse
import ast
import json
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import yaml

from harness.audit import Declared, audit_files, live
from harness.incident import DatabaseConfig
from harness.stack.postgres import EmbeddedPostgres

CLEAN = Path(__file__).parent.parent / "tests" / "audit" / "corpus" / "clean"
FILES = 1000
TURNS = 3
LIMIT_S, LIVE_LIMIT_S = 3.0, 1.0


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
    """Alternate the two, ``TURNS`` times; medians."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "projects"
        paths = written(root)
        audited, parsed = [], []
        for _ in range(TURNS):
            parsed.append(seconds(lambda: [parse(path) for path in paths]))
            found = audit_files([root], Declared(300.0, 0.045))
            assert found.files
            audited.append(seconds(lambda: audit_files([root], Declared(300.0, 0.045))))
        running = statistics.median(live_audits(Path(folder)))
    ratio = statistics.median(a / p for a, p in zip(audited, parsed, strict=True))
    understood = len(found.files)
    return [
        Row(f"{len(paths):,} files audited, {understood:,} understood",
            statistics.median(audited), "s", LIMIT_S),
        Row("beside parsing its YAML, Python and JSON alone", ratio, "×", None),
        Row("a database that runs, with its connection", running, "s", LIVE_LIMIT_S),
    ]  # fmt: skip


def written(root: Path) -> list[Path]:
    """``FILES`` files below ``root``: whole projects, the last one cut off."""
    layouts = sorted(path for path in CLEAN.iterdir() if path.is_dir())
    paths: list[Path] = []
    for number in count():
        for layout in layouts:
            for source in sorted(path for path in layout.rglob("*") if path.is_file()):
                if len(paths) == FILES:
                    return paths
                target = root / f"{number}-{layout.name}" / source.relative_to(layout)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                paths.append(target)
    raise AssertionError


def parse(path: Path) -> None:
    """By the parser that its suffix asks for; other files are only read."""
    text = path.read_text("utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if path.suffix in (".yaml", ".yml"):
                list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
            elif path.suffix == ".py":
                ast.parse(text)
            elif path.suffix == ".json":
                json.loads(text)
        except (yaml.YAMLError, SyntaxError, ValueError):
            pass  # a template


def live_audits(folder: Path) -> list[float]:
    """Seconds of some audits of an embedded server, each with a connection of its own."""
    server = EmbeddedPostgres.start(DatabaseConfig(), log=folder / "postgres.log")
    try:
        dsn = server.admin_dsn
        return [
            seconds(lambda: audit_files([], Declared(), live=[live.read(dsn)])) for _ in range(5)
        ]
    finally:
        server.stop()


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    """Exit code 0 when every limit holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    rows = measure()
    if parser.parse_args().json:
        print(json.dumps([{**asdict(row), "holds": row.holds} for row in rows]))
    else:
        for row in rows:
            print(f"{row.name}: {row.value:.3g} {row.unit} (limit {row.limit or '–'})")
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
