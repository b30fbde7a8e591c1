"""Patroni's configuration: the PostgreSQL cluster that it sets up and runs.

What stands below ``bootstrap.dcs`` is written to the cluster's store when that is set up first,
and holds for all of its nodes; a node's own ``postgresql.parameters`` hold over it, but for those
that have to be the same on all nodes. The files of a cluster's nodes are about one server.
Source: https://patroni.readthedocs.io/en/latest/patroni_configuration.html
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from harness.audit.finding import Unread
from harness.audit.loaders.pgbouncer import TEMPLATES
from harness.audit.loaders.postgresql import server_of
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Settings, Value, replaced
from harness.audit.yamls import Item, NotReadable, documents

CONTROLLED = frozenset({"max_connections"})
"""Of the settings that have a part in the chain, those that no node can have for itself."""

_SCOPE = re.compile(r"^scope:[ \t]*\S", re.MULTILINE)
_PARTS = re.compile(r"^(bootstrap|postgresql):", re.MULTILINE)
_DCS = ("bootstrap", "dcs", "postgresql", "parameters")


def recognises(file: SourceFile) -> bool:
    """By the cluster's name, and what a node is told of PostgreSQL; a template of one is one."""
    path = PurePath(file.path.name)
    plain = path.with_suffix("") if path.suffix in TEMPLATES else path
    if plain.suffix not in (".yml", ".yaml"):
        return False
    return _SCOPE.search(file.text) is not None and _PARTS.search(file.text) is not None


def load(file: SourceFile) -> Reading:
    """The server, by the cluster's name."""
    try:
        found = documents(file.text)
    except NotReadable as error:
        if file.path.suffix in TEMPLATES:
            return Reading(unread=(Unread(file.name, "a template of Patroni's configuration"),))
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    if len(found) != 1:
        return Reading(unread=(Unread(file.name, "Patroni's configuration is one document"),))
    (node,) = found
    name = node.text_at("scope")
    own = _parameters(file, node, "postgresql", "parameters")
    settings = {
        **_parameters(file, node, *_DCS),
        **{key: said for key, said in own.items() if key not in CONTROLLED},
    }
    place = Place(file.name, node.line, "scope")
    server = server_of(settings, name=name, place=place, hosts=(name,))
    if node.get("postgresql", "custom_conf") is not None:
        server = replaced(server, _elsewhere)
    return Reading(servers=(server,))


def _parameters(file: SourceFile, node: Item, *path: str) -> Settings:
    return {
        key.lower(): (item.text or "", Place(file.name, item.line, key))
        for key, item in node.pairs(*path)
    }


def _elsewhere(value: Value[Any]) -> Value[Any]:
    if value.origin != "default":
        return value
    return Value.unknown("the file that custom_conf names may say it", value.place)
