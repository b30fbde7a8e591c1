"""Our series under other people's names, so that their rules can be scored unchanged.

A mapping is a YAML file:

    schema: 1
    title: HikariCP through Micrometer
    series:
      - from: db_client_connection_count      # a metric of ours
        where: {state: used}                  # only series with these labels, which are left out
        to: hikaricp_connections_active       # its name there
        labels: {pool: $db_client_connection_pool_name}   # a label of ours, or a fixed text
        drop: [job]                           # labels that are left out besides
        scale: 1000                           # seconds to milliseconds
        combine: sum                          # series that become one: sum or max
    keep: true                                # ours stay as well

In ``where`` a text that begins with ``=~`` is a regular expression for the whole value, as in
PromQL. ``labels`` may speak of a label that ``where`` leaves out. Of a ``_bucket`` it is the bound
``le`` that ``scale`` multiplies: what is counted stays the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from harness.alerts.series import NAME, Labels, SeriesTable, labels_of
from harness.errors import Problem, RulesError
from harness.incident.source import Source

Metric = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
Label = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]

Row = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""A series' values, and where they are present."""

MATCHES = "=~"
"""What a regular expression in ``where`` begins with."""

_REFERENCE = re.compile(r"\$[a-zA-Z_][a-zA-Z0-9_]*")


class Entry(BaseModel):
    """How series of one of our metrics are called there."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: Metric = Field(alias="from")
    to: Metric
    where: dict[Label, str] = Field(default_factory=dict)
    labels: dict[Label, str] = Field(default_factory=dict)
    drop: tuple[Label, ...] = ()
    scale: float = 1.0
    combine: Literal["sum", "max"] | None = None

    @field_validator("where")
    @classmethod
    def _can_be_matched(cls, where: dict[str, str]) -> dict[str, str]:
        for text in where.values():
            if text.startswith(MATCHES):
                try:
                    re.compile(text.removeprefix(MATCHES))
                except re.error as error:
                    raise ValueError(f"{text!r} is no regular expression: {error}") from error
        return where

    @field_validator("labels")
    @classmethod
    def _can_be_read(cls, labels: dict[str, str]) -> dict[str, str]:
        for text in labels.values():
            if text.startswith("$") and not _REFERENCE.fullmatch(text):
                raise ValueError(f"{text!r}: after $ stands the name of a label of ours, alone")
        return labels

    @property
    def scales_bounds(self) -> bool:
        """Whether ``scale`` speaks of a histogram's bounds: a bucket's value is a count."""
        return self.to.endswith("_bucket")

    def renamed(self, labels: Labels) -> Labels | None:
        """The label set there; None when this entry does not speak of the series."""
        own = dict(labels)
        if own.get(NAME) != self.source:
            return None
        # A label that is not there is an empty one, as in Prometheus.
        if not all(_matches(text, own.get(key, "")) for key, text in self.where.items()):
            return None
        used = {text[1:] for text in self.labels.values() if text.startswith("$")}
        gone = {NAME, *self.where, *self.drop, *used}
        fresh = {key: value for key, value in own.items() if key not in gone}
        for key, text in self.labels.items():
            fresh[key] = own.get(text[1:], "") if text.startswith("$") else text
        if self.scales_bounds and "le" in fresh:
            fresh["le"] = _scaled_bound(fresh["le"], self.scale)
        return labels_of({key: value for key, value in fresh.items() if value} | {NAME: self.to})


class Mapping(BaseModel):
    """A mapping file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    version: Literal[1] = Field(alias="schema")
    title: str
    series: tuple[Entry, ...]
    keep: bool = True


@dataclass(frozen=True)
class Names:
    """Several mappings together; without any, series keep their names."""

    mappings: Sequence[Mapping] = field(default_factory=tuple)

    def needs(self, metric: str, wanted: Callable[[str], bool]) -> bool:
        """Whether a metric of ours is wanted, under its own name or one that a mapping gives."""
        return wanted(metric) or any(
            entry.source == metric and wanted(entry.to) for _, entry in self._entries
        )

    def apply(self, table: SeriesTable) -> SeriesTable:
        """The table with what the mappings add.

        Raises `RulesError` when two series become one and their entry does not say how.
        """
        if not self.mappings:
            return table
        rows: dict[Labels, Row] = {}
        if all(mapping.keep for mapping in self.mappings):
            for index, labels in enumerate(table.labels):
                rows[labels] = (table.values[index], table.present[index])
        for title, entry in self._entries:
            scale = 1.0 if entry.scales_bounds else entry.scale
            for index, labels in enumerate(table.labels):
                fresh = entry.renamed(labels)
                if fresh is None:
                    continue
                row = (table.values[index] * scale, table.present[index])
                rows[fresh] = _combined(rows[fresh], row, entry, title) if fresh in rows else row
        shape = (len(rows), table.grid.count)
        values = np.array([row for row, _ in rows.values()]).reshape(shape)
        present = np.array([there for _, there in rows.values()], dtype=bool).reshape(shape)
        return SeriesTable(table.grid, tuple(rows), values, present)

    @cached_property
    def _entries(self) -> tuple[tuple[str, Entry], ...]:
        """Every entry with its file's title; what two files have in common counts once."""
        found: list[tuple[str, Entry]] = []
        for mapping in self.mappings:
            known = [entry for _, entry in found]
            found += [(mapping.title, entry) for entry in mapping.series if entry not in known]
        return tuple(found)


def load_mapping(path: Path) -> Mapping:
    """The mapping in ``path``; RulesError with every problem, file and line."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise RulesError([Problem(f"cannot be read: {why}", str(path))]) from error
    source = Source(text, file=str(path), what="a mapping file")
    if source.data is None or source.problems:
        raise _refused(source.problems)
    try:
        return Mapping.model_validate(source.data)
    except ValidationError as error:
        raise _refused(
            source.problem(each["loc"], each["msg"].removeprefix("Value error, "))
            for each in error.errors()
        ) from None


def _refused(problems: Iterable[Problem]) -> RulesError:
    return RulesError(problems, remedy="docs/guides/alert-design.md shows a mapping.")


def _matches(text: str, value: str) -> bool:
    if text.startswith(MATCHES):
        return re.fullmatch(text.removeprefix(MATCHES), value) is not None
    return text == value


def _scaled_bound(text: str, scale: float) -> str:
    """``0.5`` by 1000 is ``500``; ``+Inf``, and what is no number, stays as it is."""
    if scale == 1.0:
        return text
    try:
        bound = float(text)
    except ValueError:
        return text
    # Ten digits: the product of a decimal fraction and 1000 is not exact in binary.
    return f"{bound * scale:.10g}" if np.isfinite(bound) else text


def _combined(one: Row, other: Row, entry: Entry, title: str) -> Row:
    if entry.combine is None:
        said = f"several series become one {entry.to}, the last of them of {entry.source}"
        raise RulesError(
            [Problem(said, field=title)],
            remedy="Say `combine: sum` or `combine: max` there, or drop fewer labels.",
        )
    (left, left_there), (right, right_there) = one, other
    both = np.add if entry.combine == "sum" else np.maximum
    joined = np.where(
        left_there & right_there, both(left, right), np.where(left_there, left, right)
    )
    return joined, left_there | right_there
