"""Rules, one a file: each sees the chain and nothing else, and says a harm or what it needs."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Protocol

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown


class Rule(Protocol):
    """A module of this package. Its name in capitals is the rule's id."""

    ID: str
    TITLE: str

    def check(self, chain: Chain) -> Iterator[Finding | Unknown]:
        """What the chain suffers from."""
        ...


def _rules() -> tuple[Rule, ...]:
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(module for module in modules if hasattr(module, "ID"))


RULES = _rules()
"""All of them, in the order of their ids."""
