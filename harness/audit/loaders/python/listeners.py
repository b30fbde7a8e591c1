"""What listeners of SQLAlchemy's events do to each connection of a pool.

Sources: https://docs.sqlalchemy.org/en/21/core/events.html and
https://docs.sqlalchemy.org/en/21/core/pooling.html#custom-legacy-pessimistic-ping
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from harness.audit.loaders.postgresql import timeout_s
from harness.audit.loaders.python.syntax import Function, Module, keyword, last_name, text_of
from harness.audit.parts import Pool
from harness.audit.values import Value

_FIELDS = {
    "statement_timeout": "statement_timeout_s",
    "idle_in_transaction_session_timeout": "idle_in_transaction_timeout_s",
    "lock_timeout": "lock_timeout_s",
}
_SETS = re.compile(
    rf"\bset\s+(?:session\s+)?({'|'.join(_FIELDS)})\b\s*(?:=|\bto\b)?\s*('[^']*'|\d+)?",
    re.IGNORECASE,
)
_OF_ALL = frozenset({"Pool", "Engine", "QueuePool"})
"""Classes: who listens to them listens to every pool."""


def listened(module: Module, pool: Pool) -> Pool:
    """A pool with what the file's listeners ask the server for, and check, on its connections."""
    changes: dict[str, Any] = {}
    for event, function in _listeners(module, pool.name):
        if event in ("connect", "first_connect"):
            changes |= _asked_for(module, function)
        elif event in ("checkout", "engine_connect") and _raises(function):
            checks = module.place(function, function.name)
            changes["pre_ping"] = Value.at(True, checks)
    return replace(pool, **changes) if changes else pool


def _listeners(module: Module, name: str) -> Iterator[tuple[str, Function]]:
    """Functions that listen to the engine or pool of that name, with what they listen for."""
    functions = {each.name: each for each in module.functions}
    for call in module.calls:
        called, event = last_name(call.func), _argument(call, 1, "identifier")
        target = _argument(call, 0, "target")
        if called not in ("listens_for", "listen") or target is None:
            continue
        above = module.parent(call)
        function = above if isinstance(above, Function) else None
        if called == "listen":
            function = functions.get(last_name(_argument(call, 2, "fn") or call))
        subject = target.value if last_name(target) == "sync_engine" else target  # type: ignore[attr-defined]
        about = last_name(subject)
        if function is not None and (about in _OF_ALL or about == name):
            yield text_of(event) or "", function


def _argument(call: ast.Call, number: int, name: str) -> ast.expr | None:
    return call.args[number] if len(call.args) > number else keyword(call, name)


def _asked_for(module: Module, function: Function) -> dict[str, Value[float]]:
    """``SET statement_timeout = '5s'``; what is filled in when it runs is not known."""
    found: dict[str, Value[float]] = {}
    for node in ast.walk(function):
        for said in _SETS.finditer(text_of(node) or "" if isinstance(node, ast.expr) else ""):
            setting, text = said[1].lower(), (said[2] or "").strip("'")
            place = module.place(node, setting)
            try:
                found[_FIELDS[setting]] = Value.at(timeout_s(text), place)
            except ValueError:
                why = f"a listener sets {setting} when it runs"
                found[_FIELDS[setting]] = Value.unknown(why, place)
    return found


def _raises(function: Function) -> bool:
    """Whether it tells the pool that a connection is dead."""
    names = [each for each in ast.walk(function) if isinstance(each, ast.Name | ast.Attribute)]
    return any(last_name(each) in ("DisconnectionError", "InvalidatePoolError") for each in names)
