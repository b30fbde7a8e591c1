"""What the load processes wrote, as one table of attempts."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from harness.errors import RecordingError
from harness.recording import REQUESTS

LINES = pl.Schema(
    {
        "event": pl.String,
        "arrival": pl.UInt32,
        "user": pl.UInt32,
        "attempt": pl.UInt8,
        "at_s": pl.Float64,
        "outcome": pl.String,
        "status": pl.Int16,
        "code": pl.String,
        "replica": pl.String,
    }
)
"""A line of a load process's CSV: ``event`` is ``sent`` or ``end``, ``at_s`` when it happened."""


def read_attempts(paths: Iterable[Path]) -> pl.DataFrame:
    """One row an attempt (`harness.recording.REQUESTS`), sorted by arrival and attempt.

    A killed process leaves a last line without its end: it is passed over. An attempt that was
    sent and of whose end nothing was written has the outcome ``in_flight_at_end`` and no
    ``done_s``. Files that are missing or empty count as processes that sent nothing.

    Raises RecordingError for a file of another kind.
    """
    lines = pl.concat([pl.DataFrame(schema=LINES), *(_read_lines(path) for path in paths)])
    sent = lines.filter(pl.col("event") == "sent").select(
        "arrival", "user", "attempt", sent_s="at_s"
    )
    ended = lines.filter(pl.col("event") == "end").select(
        "arrival", "attempt", "outcome", "status", "code", "replica", done_s="at_s"
    )
    return (
        sent.join(ended, on=["arrival", "attempt"], how="left", validate="1:1")
        .with_columns(
            pl.col("outcome").fill_null("in_flight_at_end"), pl.col("code", "replica").fill_null("")
        )
        .select(pl.col(name).cast(kind) for name, kind in REQUESTS.items())
        .sort("arrival", "attempt")
    )


def _read_lines(path: Path) -> pl.DataFrame:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return pl.DataFrame(schema=LINES)
    whole = data[: data.rfind(b"\n") + 1]
    if not whole:
        return pl.DataFrame(schema=LINES)
    header, _, body = whole.partition(b"\n")
    if header.decode("ascii", "replace").split(",") != LINES.names():
        raise RecordingError(f"{path.name} is not the output of a load process")
    if not body:
        return pl.DataFrame(schema=LINES)
    try:
        return pl.read_csv(io.BytesIO(body), has_header=False, schema=LINES, quote_char=None)
    except pl.exceptions.PolarsError as error:
        raise RecordingError(f"{path.name} is damaged: {str(error).splitlines()[0]}") from error
