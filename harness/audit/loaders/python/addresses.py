"""Database URLs that a settings module puts together of other settings, as texts with variables.

Neither user nor password is in them: only where they lead, and what they ask for.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from harness.audit.loaders.database_urls import is_postgresql, parameters_of
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.operations import Nothing
from harness.audit.loaders.python.syntax import last_name, text_of
from harness.audit.reading import Setting
from harness.audit.values import Value

_BUILDERS = frozenset({"PostgresDsn", "MultiHostUrl", "AnyUrl", "URL", "Url"})
_PLAIN = re.compile(r"[^${}]*")


def address_of(
    expressions: Expressions, node: ast.expr, declared: Mapping[str, Setting]
) -> str | None:
    """``postgresql://${DB_HOST:-db}:5432/app`` of an f-string, a sum or a builder's call.

    ``declared`` are the settings beside it, by name. None where it is no URL of PostgreSQL.
    """
    node = expressions.module.meant(node)
    while isinstance(node, ast.Call) and last_name(node.func) == "str" and len(node.args) == 1:
        node = expressions.module.meant(node.args[0])
    if isinstance(node, ast.Call):
        return _built(expressions, node, declared)
    pieces = expressions.pieces(node, "the database URL")
    if pieces is None:
        return None
    text = "".join(
        each if isinstance(each, str) else _placeholder(each, declared) for each in pieces
    )
    scheme, _, rest = text.partition("://")
    if not is_postgresql(f"{scheme}://"):
        return None
    leads, _, query = rest.rpartition("@")[2].partition("?")
    asked = parameters_of(f"{scheme}://?{query}")
    return (
        f"{scheme}://{leads}"
        + ("?" if asked else "")
        + "&".join(f"{key}={value}" for key, value in asked.items())
    )


def _built(expressions: Expressions, call: ast.Call, declared: Mapping[str, Setting]) -> str | None:
    """``PostgresDsn.build(scheme=…, host=…, port=…, path=…)``, ``URL.create(drivername=…)``."""
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in ("build", "create"):
        return None
    if last_name(function.value) not in _BUILDERS:
        return None
    nodes = expressions.keywords(call).nodes
    scheme = text_of(nodes.get("scheme") or nodes.get("drivername"))
    if scheme is None or not is_postgresql(f"{scheme}://"):
        return None

    def part(*names: str) -> str:
        node = next((nodes[name] for name in names if name in nodes), None)
        if node is None:
            return ""
        pieces = expressions.pieces(node, names[0]) or [expressions.value(node, names[0])]
        return "".join(
            each if isinstance(each, str) else _placeholder(each, declared) for each in pieces
        )

    port = part("port")
    path = part("path", "database").removeprefix("/")
    return f"{scheme}://{part('host')}{':' if port else ''}{port}/{path}"


def _placeholder(value: Value[str], declared: Mapping[str, Setting]) -> str:
    """A value as text: what it is, or the variable that decides it."""
    known = None if isinstance(value.known, Nothing) else value.known
    variable = value.variable
    if variable is None:
        return "${unknown}" if known is None else str(known)
    name, default = variable.name, known
    if variable.attribute:
        setting = declared.get(variable.name)
        if setting is None:
            return "${unknown}"
        name, default = setting.variable, setting.text
        if not name:
            return "${unknown}" if default is None else default
    if default is None or not _PLAIN.fullmatch(str(default)):
        return f"${{{name}}}"
    return f"${{{name}:-{default}}}"
