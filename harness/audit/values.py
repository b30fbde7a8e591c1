"""A configured value with its provenance: known from a place, a product's default, or unknown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")
S = TypeVar("S")

MOST = 2**63 - 1
"""No count is larger: a number of hundreds of digits is none, and no float can hold it."""

Origin = Literal["file", "default", "unknown"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands: a file, its line from 1 (0: the file as a whole), and its key."""

    file: str
    line: int = 0
    key: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


Settings = Mapping[str, tuple[str, Place]]
"""Text by its key, each with its place: an environment, for instance."""


@dataclass(frozen=True, slots=True)
class Variable(Generic[T]):
    """Something outside of the file that decides a value, and how its text is read.

    ``name`` is an environment variable's. ``read`` raises `ValueError` for what it does not
    understand. Where ``attribute`` is set, ``name`` is that of a setting which another source
    declares (`settings.pool_size`, `config.POOL_SIZE`). With ``partial``, ``read`` copes with
    placeholders in parts of its text, as in a URL whose password is filled in elsewhere.
    ``aliases`` are other spellings of ``name``, of which it holds over all. ``owner`` is what a
    setting is an attribute of (`pool` of `settings.pool.size`), where the code shows it.
    """

    name: str
    read: Callable[[str], T]
    attribute: bool = False
    partial: bool = False
    aliases: tuple[str, ...] = ()
    owner: str = ""

    def named_in(self, environment: Settings) -> str | None:
        """The name under which an environment has it; None where that has none of them."""
        return next((name for name in (self.name, *self.aliases) if name in environment), None)


@dataclass(frozen=True, slots=True)
class Value(Generic[T]):
    """One setting.

    ``known`` is None exactly where ``origin`` is `unknown`, and ``why`` then says what would be
    needed. For a default, ``why`` says whose it is, and ``place`` is where it is not overridden.
    A value with a ``variable`` holds unless that variable says something else.
    """

    known: T | None
    origin: Origin
    place: Place | None = None
    why: str = ""
    variable: Variable[T] | None = field(default=None, compare=False)

    @classmethod
    def at(cls, value: T, place: Place) -> Value[T]:
        """As it stands in a file."""
        return cls(value, "file", place)

    @classmethod
    def default(cls, value: T, whose: str, place: Place | None = None) -> Value[T]:
        """What holds where nothing is said."""
        return cls(value, "default", place, whose)

    @classmethod
    def unknown(
        cls, why: str, place: Place | None = None, variable: Variable[T] | None = None
    ) -> Value[T]:
        """Not to be known from what was read; with ``variable``, from what that one says."""
        return cls(None, "unknown", place, why, variable)

    @property
    def is_known(self) -> bool:
        """Whether there is a value to reckon with."""
        return self.origin != "unknown"

    def decided_by(self, variable: Variable[T]) -> Value[T]:
        """The same, unless ``variable`` says something else."""
        return replace(self, variable=variable)

    def map(self, change: Callable[[T], S]) -> Value[S]:
        """The value changed, its provenance kept; an unknown one stays unknown."""
        known = None if self.known is None else change(self.known)
        variable: Variable[S] | None = None
        if (source := self.variable) is not None:
            read = source.read
            variable = Variable(
                source.name,
                lambda text: change(read(text)),
                attribute=source.attribute,
                partial=source.partial,
                aliases=source.aliases,
                owner=source.owner,
            )
        return Value(known, self.origin, self.place, self.why, variable)

    def or_else(self, other: Value[T]) -> Value[T]:
        """This one where it is known, else ``other``."""
        return self if self.is_known else other

    def resolved(self, environment: Settings) -> Value[T]:
        """As the environment decides it; unchanged where that does not name its variable."""
        variable = self.variable
        if variable is None or variable.attribute:
            return self
        name = variable.named_in(environment)
        if name is None:
            return self
        text, place = environment[name]
        return read_at(text, place, name, variable.read, partial=variable.partial)

    def __str__(self) -> str:
        if self.known is None:
            return f"unknown ({self.why})"
        shown = f"{self.known:g}" if isinstance(self.known, float) else str(self.known)
        return f"{shown} (default of {self.why})" if self.origin == "default" else shown


_PLACEHOLDER = re.compile(r"\$\{?[A-Za-z_]|\$\(|\{\{|<%|%\(")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?[?+][^{}]*|:?-?([^${}]*))?\}|\((\w+)\)|(\w+))")
"""All of a text: ``$NAME``, ``${NAME}``, ``${NAME:-default}``, Spring's ``${NAME:default}``,
Kubernetes' ``$(NAME)``; ``${NAME:?error}`` and ``${NAME:+other}`` have no default."""


def read_at(
    text: str, place: Place, key: str, read: Callable[[str], T], *, partial: bool = False
) -> Value[T]:
    """The value that ``text`` says; unknown for placeholders and nonsense.

    A text that is one variable becomes a value which this variable decides.
    """
    text = text.strip()
    if (found := _VARIABLE.fullmatch(text)) is not None:
        name, fallback = found[1] or found[3] or found[4], found[2]
        variable = Variable(name, read, partial=partial)
        if fallback:
            return read_at(fallback, place, key, read).decided_by(variable)
        return Value.unknown(f"{key} is filled in elsewhere: {name}", place, variable)
    if _PLACEHOLDER.search(text) and not partial:
        return Value.unknown(f"{key} is filled in elsewhere", place)
    try:
        value = read(text)
        if isinstance(value, int) and abs(value) > MOST:
            raise ValueError(text)
        return Value.at(value, place)
    except (ValueError, OverflowError):
        # The text itself might be a secret in the wrong place.
        return Value.unknown(f"{key} is not understood", place)


def replaced(part: T, change: Callable[[Value[Any]], Value[Any]]) -> T:
    """A part of the chain with every value in it changed, however deep it stands."""
    if isinstance(part, Value):
        return change(part)  # type: ignore[return-value]
    if isinstance(part, tuple):
        return tuple(replaced(each, change) for each in part)  # type: ignore[return-value]
    if is_dataclass(part) and not isinstance(part, type | Place):
        changed = {each.name: replaced(getattr(part, each.name), change) for each in fields(part)}
        return replace(part, **changed)
    return part
