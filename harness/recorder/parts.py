"""Samples on disk as they come: a killed run loses the last few seconds, not all."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from harness.recording import SAMPLES
from harness.writing import write_parquet

Row = tuple[float, str, str, str, float]
"""Epoch second, target, metric, labels, value."""

EPOCH_SAMPLES = pl.Schema({"epoch_s": pl.Float64} | {k: SAMPLES[k] for k in list(SAMPLES)[1:]})
FOLDER = "samples.parts"


class SampleParts:
    """A growing sequence of small Parquet files in a folder of the run directory.

    Files are written beside their place and renamed, so each is whole or absent.
    """

    def __init__(self, run_directory: Path) -> None:
        self._folder = run_directory / FOLDER
        self._next = len(list(self._folder.glob("*.parquet")))

    def append(self, rows: list[Row]) -> None:
        """Store rows. Raises OSError when the disk does not take them."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_parquet(self._folder / f"{self._next:06d}.parquet", frame(rows))
        self._next += 1

    def read(self) -> pl.DataFrame:
        """All rows that were stored, in order."""
        paths = sorted(self._folder.glob("*.parquet"))
        frames = [pl.read_parquet(path, memory_map=False) for path in paths]
        return pl.concat([frame([]), *frames])

    def discard(self) -> None:
        """Remove the folder; for when its contents stand in `samples.parquet`."""
        shutil.rmtree(self._folder, ignore_errors=True)


def frame(rows: list[Row]) -> pl.DataFrame:
    """Rows as a table with epoch time."""
    return pl.DataFrame(rows, schema=EPOCH_SAMPLES, orient="row")


def in_replay_time(samples: pl.DataFrame, t0_epoch: float) -> pl.DataFrame:
    """The table of `samples.parquet`: seconds since ``t0_epoch``, negative before it."""
    return samples.select((pl.col("epoch_s") - t0_epoch).alias("time_s"), *list(SAMPLES)[1:])
