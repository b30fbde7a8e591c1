"""A configured value with its provenance: known from a place, a product's default, or unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
S = TypeVar("S")

Origin = Literal["file", "default", "unknown"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands: a file, its line from 1 (0: the file as a whole), and its key."""

    file: str
    line: int = 0
    key: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Value(Generic[T]):
    """One setting.

    ``known`` is None exactly where ``origin`` is `unknown`, and ``why`` then says what would be
    needed. For a default, ``why`` says whose it is, and ``place`` is where it is not overridden.
    """

    known: T | None
    origin: Origin
    place: Place | None = None
    why: str = ""

    @classmethod
    def at(cls, value: T, place: Place) -> Value[T]:
        """As it stands in a file."""
        return cls(value, "file", place)

    @classmethod
    def default(cls, value: T, whose: str, place: Place | None = None) -> Value[T]:
        """What holds where nothing is said."""
        return cls(value, "default", place, whose)

    @classmethod
    def unknown(cls, why: str, place: Place | None = None) -> Value[T]:
        """Not to be known from what was read."""
        return cls(None, "unknown", place, why)

    @property
    def is_known(self) -> bool:
        """Whether there is a value to reckon with."""
        return self.origin != "unknown"

    def map(self, change: Callable[[T], S]) -> Value[S]:
        """The value changed, its provenance kept; an unknown one stays unknown."""
        known = None if self.known is None else change(self.known)
        return Value(known, self.origin, self.place, self.why)

    def or_else(self, other: Value[T]) -> Value[T]:
        """This one where it is known, else ``other``."""
        return self if self.is_known else other

    def __str__(self) -> str:
        if self.known is None:
            return f"unknown ({self.why})"
        shown = f"{self.known:g}" if isinstance(self.known, float) else str(self.known)
        return f"{shown} (default of {self.why})" if self.origin == "default" else shown
