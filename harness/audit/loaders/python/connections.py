"""How a pool connects: what the driver and the server are told, with its URL and besides.

Sources: https://www.psycopg.org/psycopg3/docs/advanced/prepare.html,
https://magicstack.github.io/asyncpg/current/api/index.html and
https://www.postgresql.org/docs/current/libpq-connect.html
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from harness.audit.loaders.database_urls import driver_of, is_postgresql, parameters_of
from harness.audit.loaders.postgresql import command_settings, timeout_s
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.mappings import Entries
from harness.audit.loaders.python.operations import changed
from harness.audit.loaders.python.urls import Url, target_of_arguments
from harness.audit.reading import number
from harness.audit.values import Place, Value

T = TypeVar("T")

ASYNCPG, PSYCOPG, PSYCOPG2 = "asyncpg", "psycopg", "psycopg2"
DJANGOS = "either"
"""psycopg or psycopg2, whichever is installed; Django has both not prepare statements."""

_CONNECT_TIMEOUTS_S: Mapping[str, tuple[float, str]] = {
    "asyncpg": (60.0, "asyncpg"),
    "psycopg": (130.0, "psycopg"),
    "psycopg_async": (130.0, "psycopg"),
    "psycopg2": (math.inf, "libpq, for psycopg2"),
    "": (130.0, "psycopg; psycopg2 has none"),
    "either": (130.0, "psycopg; psycopg2 has none"),
}
"""What holds where nothing is said, by the driver's name in the URL."""

_PREPARES = {
    "asyncpg": True,
    "psycopg": True,
    "psycopg_async": True,
    "psycopg2": False,
    "either": False,
}
_SERVER_SETTINGS = {
    "statement_timeout": "statement_timeout_s",
    "idle_in_transaction_session_timeout": "idle_in_transaction_timeout_s",
    "lock_timeout": "lock_timeout_s",
    "transaction_timeout": "transaction_timeout_s",
}


def connected(
    expressions: Expressions,
    url: Url,
    arguments: Entries,
    place: Place,
    driver: str = "",
) -> dict[str, Any]:
    """What a pool's connections are told, as `Pool`'s fields.

    ``arguments`` go to the driver: ``connect_args``, ``kwargs``, ``OPTIONS``. ``driver`` is the
    one that is used, where the URL does not name it.
    """
    target = url.target
    if "host" in arguments.nodes:
        target = target_of_arguments(expressions, arguments, place)
    found: dict[str, Any] = {
        "target": target,
        "connect_timeout_s": _connect_timeout(expressions, url, arguments, place, driver),
        "prepared_statements": _prepared(expressions, url, arguments, place, driver),
    }
    for setting, value in _server_settings(expressions, url, arguments, place).items():
        found[_SERVER_SETTINGS[setting]] = value
    if "statement_timeout_s" not in found and "command_timeout" in arguments.nodes:
        node = arguments.nodes["command_timeout"]
        found["statement_timeout_s"] = expressions.number(node, "command_timeout", math.inf)
    return found


def _connect_timeout(
    expressions: Expressions, url: Url, arguments: Entries, place: Place, driver: str
) -> Value[float]:
    for key in ("connect_timeout", "timeout"):
        if (node := arguments.nodes.get(key)) is not None:
            said = expressions.number(node, key, math.inf)
            return said.map(lambda seconds: seconds if seconds > 0 else math.inf)
    if arguments.hides_some:
        return Value.unknown("connect_timeout may be in what the driver is given", place)
    if driver:
        seconds, whose = _CONNECT_TIMEOUTS_S[driver]
        otherwise = Value.default(seconds, whose, place)
        said = changed(url.text, lambda text: _in_url(text) or seconds, "connect_timeout")
        if said.known == seconds or not said.is_known:
            return otherwise if said.variable is None else otherwise.decided_by(said.variable)
        return said

    def seconds_of(text: str) -> float:
        return _in_url(text) or _CONNECT_TIMEOUTS_S[_driver(text)][0]

    found = changed(url.text, seconds_of, "connect_timeout")
    if found.known is None or url.text.known is None or _in_url(url.text.known) is not None:
        return found
    return replace(found, origin="default", why=_CONNECT_TIMEOUTS_S[driver_of(url.text.known)][1])


def _driver(text: str) -> str:
    if not is_postgresql(text):
        raise ValueError
    return driver_of(text)


def _in_url(text: str) -> float | None:
    """A URL's ``connect_timeout`` in seconds; None where it has none."""
    said = parameters_of(text).get("connect_timeout")
    return None if said is None else (number(said) if number(said) > 0 else math.inf)


def _prepared(
    expressions: Expressions, url: Url, arguments: Entries, place: Place, driver: str
) -> Value[bool]:
    nodes = arguments.nodes
    if (node := nodes.get("prepare_threshold")) is not None:
        threshold = expressions.number(node, "prepare_threshold", math.inf)
        return threshold.map(lambda count: not math.isinf(count))
    for key in ("statement_cache_size", "prepared_statement_cache_size"):
        if (node := nodes.get(key)) is not None:
            return expressions.number(node, key).map(lambda size: size > 0)
    if "prepared_statement_name_func" in nodes:
        return Value.at(False, place)
    if arguments.hides_some:
        return Value.unknown("whether it prepares statements may be in what it is given", place)
    if driver:
        whose = "Django" if driver == DJANGOS else driver
        return Value.default(_PREPARES[driver], whose, place)

    def of_url(text: str) -> bool:
        said = parameters_of(text)
        if "0" in (said.get("prepared_statement_cache_size"), said.get("statement_cache_size")):
            return False
        return _PREPARES[_driver(text)]

    found = changed(url.text, of_url, "the driver")
    if found.known is None:
        return replace(found, why="it depends on the driver, which the URL names")
    return replace(found, origin="default", why=driver_of(url.text.known or "") or "the driver")


def _server_settings(
    expressions: Expressions, url: Url, arguments: Entries, place: Place
) -> dict[str, Value[float]]:
    """Timeouts that the server is asked for, in ``options``, ``server_settings`` and the URL."""
    found: dict[str, Value[float]] = {}
    if (node := arguments.nodes.get("options")) is not None:
        text = expressions.text(node, "options")
    else:
        text = changed(url.text, lambda said: parameters_of(said).get("options", ""), "options")
    # What a URL of the environment asks for besides is seldom, and would be unknown otherwise.
    if text.variable is None and text.known:
        where = text.place or place
        for key, read in _asked_for(text.known).items():
            found[key] = _at(read, Place(where.file, where.line, key))
    settings = expressions.entries(arguments.nodes.get("server_settings"))
    for key in _SERVER_SETTINGS:
        if (node := settings.nodes.get(key)) is not None:
            value = expressions.value(node, key)
            found[key] = changed(value, lambda said: timeout_s(str(said)), key)
    return found


def _at(text: str, place: Place) -> Value[float]:
    try:
        return Value.at(timeout_s(text), place)
    except ValueError:
        return Value.unknown(f"{place.key} is not understood", place)


def _asked_for(options: str) -> dict[str, str]:
    """What ``-c statement_timeout=5s`` sets, of what matters."""
    try:
        words = shlex.split(options)
    except ValueError:
        return {}
    said = command_settings((word, Place("")) for word in words)
    return {key: text for key, (text, _) in said.items() if key in _SERVER_SETTINGS}
