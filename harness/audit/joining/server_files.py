"""Files about one PostgreSQL server, together: what includes what, and what holds over what.

A file is never looked for: of what a directive names, only what is audited is read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.audit.finding import Unread
from harness.audit.joining.pooler_files import poolers_of
from harness.audit.loaders.postgresql import AUTO, INCLUDES, server_of, timeout_s, whole_number
from harness.audit.parts import Monitor, Pool, Pooler, Server, Workload
from harness.audit.reading import Membership, Reading, RoleSetting, ServerFile, parsed
from harness.audit.values import Place, Settings, Value, replaced

RESERVED_SLOT = "pg_use_reserved_connections"
SUPERUSER = "superuser"
WATCHING = frozenset({"pg_monitor", "pg_read_all_stats"})
"""Roles that who watches a database is a member of."""

TIMEOUTS = {
    "statement_timeout": "statement_timeout_s",
    "idle_in_transaction_session_timeout": "idle_in_transaction_timeout_s",
    "lock_timeout": "lock_timeout_s",
    "idle_session_timeout": "idle_session_timeout_s",
    "transaction_timeout": "transaction_timeout_s",
}
"""The fields of a pool, and of a server, that such a setting decides."""

_Line = tuple[str, str, Place]


def together(readings: Iterable[Reading]) -> Reading:
    """The servers and poolers of all files of their settings, and the roles that watch."""
    readings = tuple(readings)
    servers, unread = servers_of([file for each in readings for file in each.server_files])
    poolers, more = poolers_of(
        [file for each in readings for file in each.pooler_files],
        [users for each in readings for users in each.user_lists],
    )
    memberships = [granted for each in readings for granted in each.memberships]
    # What runs says everything of a server, and holds over the one file about it.
    runs = [each for each in readings if each.live]
    return Reading(
        servers=() if len(servers) == 1 and any(each.servers for each in runs) else servers,
        poolers=() if len(poolers) == 1 and any(each.poolers for each in runs) else poolers,
        monitors=monitors_of(memberships),
        unread=(*unread, *more),
    )


def servers_of(files: Sequence[ServerFile]) -> tuple[tuple[Server, ...], tuple[Unread, ...]]:
    """One server for each file that no other includes, with what it includes."""
    named = {os.path.normpath(file.place.file): file for file in files if not file.last}
    included = {path for each in named for path in _included(named[each], named)}
    # Files that include each other have no first one: one that may be a whole is as good.
    order = sorted(named, key=lambda each: (each in included, named[each].part, each))
    readers: dict[str, _Reader] = {}
    for path in order:
        if not any(path in reader.seen for reader in readers.values()):
            readers[path] = _Reader(named, path)
    alone = len(readers) == 1
    servers, unread, used = [], list[Unread](), set[Place]()
    for path, reader in readers.items():
        lasting = list(_lasting(path, files, alone=alone))
        lines = [*reader.lines, *(line for file in lasting for line in file.lines)]
        servers.append(_server(named[path], lines, reader.lacks))
        unread += reader.unread
        used |= {file.place for file in lasting}
    servers += [
        _server(file, list(file.lines), "")
        for file in files
        if file.last and file.place not in used
    ]
    return tuple(servers), tuple(dict.fromkeys(unread))


def _lasting(path: str, files: Sequence[ServerFile], *, alone: bool) -> Iterator[ServerFile]:
    """What holds over the file ``path``: the auto.conf beside it, ``ALTER SYSTEM`` of the one."""
    for file in files:
        beside = os.path.dirname(os.path.normpath(file.place.file)) == os.path.dirname(path)
        is_auto = os.path.basename(file.place.file) == AUTO
        if file.last and (beside if is_auto else alone):
            yield file


def _server(root: ServerFile, lines: list[_Line], lacks: str) -> Server:
    settings = {key: (text, place) for key, text, place in lines}
    settings.pop("config_file", None)
    server = server_of(settings, name="PostgreSQL", place=root.place)
    why = lacks or (f"{root.place.file} is a part of a configuration" if root.part else "")

    def change(value: Value[float]) -> Value[float]:
        return Value.unknown(why, root.place) if value.origin == "default" else value

    return replaced(server, change) if why else server


class _Reader:
    """Reads a file and what it includes, each at its place."""

    def __init__(self, files: dict[str, ServerFile], path: str) -> None:
        self._files = files
        self._within: list[str] = []
        self.seen: set[str] = set()
        self.unread: list[Unread] = []
        self.lacks = ""
        """Why what is not said is unknown; "" where the defaults hold."""
        self.lines = tuple(self._lines_of(path))

    def _lines_of(self, path: str) -> Iterator[_Line]:
        self.seen.add(path)
        self._within.append(path)
        for key, text, place in self._files[path].lines:
            if key not in INCLUDES:
                yield key, text, place
                continue
            found = _named(self._files[path], key, text, self._files)
            if not found:
                self._not_read(place, key, f"{key} of what is not among the files understood")
            for each in found:
                if each in self._within:
                    self._not_read(place, "include", "it includes itself")
                else:
                    yield from self._lines_of(each)
        self._within.pop()

    def _not_read(self, place: Place, key: str, why: str) -> None:
        self.unread.append(Unread(place.file, why, place.line))
        if key == "include":  # the others may well name nothing
            self.lacks = f"{place}: {why}"


def _included(file: ServerFile, files: dict[str, ServerFile]) -> list[str]:
    return [
        path
        for key, text, _ in file.lines
        if key in INCLUDES
        for path in _named(file, key, text, files)
    ]


def _named(file: ServerFile, key: str, text: str, files: dict[str, ServerFile]) -> list[str]:
    """Audited files that a directive names, in the order in which PostgreSQL reads them."""
    path = os.path.normpath(os.path.join(os.path.dirname(file.place.file), text))
    if key != "include_dir":
        return [path] if path in files else []
    return sorted(
        each
        for each in files
        if os.path.dirname(each) == path
        and each.endswith(".conf")
        and not os.path.basename(each).startswith(".")
    )


def monitors_of(memberships: Iterable[Membership]) -> tuple[Monitor, ...]:
    """Roles that watch, each with whether it may use the connections that are kept back."""
    memberships = tuple(memberships)
    reserved = {each.member for each in memberships if each.role in (RESERVED_SLOT, SUPERUSER)}
    watching = {each.member: each.place for each in memberships if each.role in WATCHING}
    return tuple(
        Monitor(
            name=f"role {member}",
            place=place,
            user=Value.at(member, place),
            reserved_slot=Value.at(member in reserved, place),
        )
        for member, place in watching.items()
    )


def with_roles(workload: Workload, settings: Sequence[RoleSetting]) -> Workload:
    """The workload, its pools with what their roles and databases are given."""
    if not settings:
        return workload
    return replace(workload, pools=tuple(_with_role(pool, settings) for pool in workload.pools))


def _with_role(pool: Pool, settings: Sequence[RoleSetting]) -> Pool:
    """What the pool says itself holds; then role in database, role, database, all roles.

    Source: https://www.postgresql.org/docs/current/sql-alterrole.html
    """
    said = _given(settings, pool.target.user.known, pool.target.database.known)
    changes: dict[str, Any] = {
        name: parsed(said, key, timeout_s)
        for key, name in TIMEOUTS.items()
        if key in said and not getattr(pool, name).is_known
    }
    if "connection limit" in said and not pool.role_limit.is_known:
        changes["role_limit"] = parsed(said, "connection limit", whole_number)
    return replace(pool, **changes) if changes else pool


def pooler_with_roles(pooler: Pooler, settings: Sequence[RoleSetting]) -> Pooler:
    """The pooler, with what the roles are given that its databases' lines name."""
    key = "idle_session_timeout"
    given = [
        _given(settings, each.user.known, each.name)
        for each in pooler.databases
        if each.user.is_known
    ]
    if not given or not all(key in each for each in given):
        return pooler
    ends = [parsed(each, key, timeout_s) for each in given]
    return replace(
        pooler, idle_session_timeout_s=min(ends, key=lambda each: each.known or math.inf)
    )


def _given(settings: Sequence[RoleSetting], user: str | None, database: str | None) -> Settings:
    """What a role's sessions in a database run with, what holds over the rest last."""
    fitting = sorted(
        (each for each in settings if each.role in ("", user) and each.database in ("", database)),
        key=lambda each: (each.role != "", each.database != ""),
    )
    return {each.key: (each.text, each.place) for each in fitting}
