"""What a loader has found in one file, before it is joined with the others."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from harness.audit.chain import Client, Gateway, Pooler, Server, Workload
from harness.audit.finding import Unread
from harness.audit.values import Place, Value

T = TypeVar("T")

_PLACEHOLDER = re.compile(r"\$\{?[A-Za-z_]|\{\{|<%|%\(")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One file's share of the chain; with ``complete`` it is a chain of its own."""

    clients: tuple[Client, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    workloads: tuple[Workload, ...] = ()
    poolers: tuple[Pooler, ...] = ()
    servers: tuple[Server, ...] = ()
    peak_per_s: Value[float] = field(default_factory=lambda: Value.unknown("no peak is declared"))
    unread: tuple[Unread, ...] = ()
    complete: bool = False


Settings = Mapping[str, tuple[str, Place]]
"""Text by its key, each with its place."""


def parsed(
    settings: Settings,
    key: str,
    read: Callable[[str], T],
    default: Value[T] | None = None,
) -> Value[T]:
    """A setting, or its default where nothing is said; unknown for placeholders and nonsense."""
    if key not in settings:
        return default if default is not None else Value.unknown(f"{key} is not said")
    text, place = settings[key]
    if _PLACEHOLDER.search(text):
        return Value.unknown(f"{key} is filled in elsewhere", place)
    try:
        return Value.at(read(text.strip()), place)
    except ValueError:
        # The text itself might be a secret in the wrong place.
        return Value.unknown(f"{key} is not understood", place)


def number(text: str) -> float:
    """A finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def zero_is_unlimited(text: str) -> float:
    """A number whose 0 stands for no limit at all."""
    return number(text) or math.inf


def truth(text: str) -> bool:
    """``true``, ``yes``, ``on``, ``1``, and their opposites."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(text)
