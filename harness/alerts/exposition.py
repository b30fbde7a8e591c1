"""Series as OpenMetrics text, which promtool backfills and anybody reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
import polars as pl

from harness.alerts.series import NAME, Labels, SeriesTable

END = b"# EOF\n"


def write_openmetrics(tables: Iterable[tuple[SeriesTable, float]], file: BinaryIO) -> int:
    """Write tables, each with the epoch second of its zero; how many samples were written.

    Types are left out: they change nothing in a time series database.
    """
    written = 0
    for table, zero_epoch_s in tables:
        epochs = np.round(table.grid.instants_s() + zero_epoch_s, 3)
        stamps = pl.Series(epochs)
        # Whole seconds are shorter by half, and most scrapes are at whole seconds.
        whole = bool(np.all(epochs == np.floor(epochs)))
        times = (stamps.cast(pl.Int64) if whole else stamps).cast(pl.String)
        for labels, values, present in zip(table.labels, table.values, table.present, strict=True):
            shown = pl.Series(values[present]).cast(pl.String)
            shown = shown.replace(["inf", "-inf"], ["+Inf", "-Inf"])
            head = pl.Series([f"{series_text(labels)} "])
            lines = pl.select((head + shown + " " + times.filter(pl.Series(present))).alias("line"))
            file.write(lines.write_csv(include_header=False, quote_style="never").encode())
            written += len(shown)
    file.write(END)
    return written


def series_text(labels: Labels) -> str:
    """``name{a="b"}`` with OpenMetrics' escapes."""
    name = dict(labels)[NAME]
    own = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels if key != NAME)
    return f"{name}{{{own}}}" if own else name


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
