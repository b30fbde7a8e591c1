"""What the lab holds and found, in the formats of other tools.

* **OpenMetrics**: a recording at length, to be backfilled anywhere.
* **promtool's unit tests**: the rules' behaviour, pinned (`harness.alerts.promtool`).
* **Lapilli's incidents**: when something was wrong, for rules judged over a history by Lapilli.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.alerts.expansion import Expanded
from harness.alerts.exposition import write_openmetrics
from harness.alerts.promtool import TESTS, Pinned, dumped, promtool_files
from harness.alerts.rules import RuleSet
from harness.alerts.score import Subject
from harness.writing import unwritable, write_text

LAB_LABELS: Mapping[str, str] = {"job": "auth"}
"""What the replicas' alerts have in common, for ``lapilli --match job``."""


def export_openmetrics(expanded: Expanded, path: Path, zero_epoch_s: float) -> int:
    """Write a recording at length to ``path``; how many samples.

    ``zero_epoch_s`` is the epoch second of its zero. Raises `RunDirectoryError`.
    """
    content = io.BytesIO()
    written = write_openmetrics([(expanded.table, zero_epoch_s)], content)
    _write(path, content.getvalue().decode())
    return written


def export_promtool(
    rules: RuleSet, pinned: Sequence[Pinned], folder: Path, *, interval_s: float
) -> tuple[Path, ...]:
    """Write `promtool_files` to ``folder``; the paths of the tests among them.

    Raises `UsageError` as that does, `RunDirectoryError` where it cannot be written.
    """
    files = promtool_files(rules, pinned, interval_s=interval_s)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    for name, text in files.items():
        _write(folder / name, text)
    return tuple(folder / name for name in files if name.endswith(TESTS))


def lapilli(
    subjects: Iterable[tuple[Subject, float]], *, labels: Mapping[str, str] = LAB_LABELS
) -> str:
    """Lapilli's incidents file: an entry for each incident; benign controls have none.

    Each subject comes with the epoch second of its zero. An incident begins where its definition
    says so and is over when service had recovered. ``labels`` are those of every entry.
    """
    entries = []
    seen: dict[str, int] = {}
    for subject, zero_epoch_s in subjects:
        if subject.benign:
            continue
        name = f"{subject.incident}-{subject.seed}"
        seen[name] = seen.get(name, 0) + 1
        over_s = max(subject.outage_end_s, subject.recovered_s or subject.outage_end_s)
        entries.append(
            {
                # An id stands once in the file.
                "id": name if seen[name] == 1 else f"{name}-{seen[name]}",
                "title": f"{subject.incident} ({subject.source}, seed {subject.seed})",
                "start": _rfc3339(zero_epoch_s + subject.onset_s),
                "end": _rfc3339(zero_epoch_s + over_s),
                "labels": dict(labels),
            }
        )
    return dumped({"incidents": entries})


def _rfc3339(epoch_s: float) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=round(epoch_s * 1000))
    kind = "milliseconds" if at.microsecond else "seconds"
    return at.isoformat(timespec=kind).replace("+00:00", "Z")


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise unwritable(path, error) from error
