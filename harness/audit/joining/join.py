"""Several files' shares of the chain, as one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain as flat
from typing import Any, TypeVar

from harness.audit.chain import Chain, Declared
from harness.audit.joining.environments import settled
from harness.audit.joining.merging import deployments_of, mounted
from harness.audit.joining.products import Databases
from harness.audit.joining.programs import Sources, workloads_of
from harness.audit.joining.server_files import pooler_with_roles, with_roles
from harness.audit.parts import Pool, Pooler, Server, Workload
from harness.audit.paths import common
from harness.audit.reading import Environment, Reading, Runtime, Service, is_stage
from harness.audit.values import Place, Value

SAID = Place("the command line")
POOLER_PORT = 6432
"""PgBouncer's own port (its ``listen_port``)."""

Part = TypeVar("Part")
End = TypeVar("End", bound=Pooler | Server)


def joined(readings: Iterable[Reading], declared: Declared) -> tuple[Chain, ...]:
    """The chains: each file that has a whole one, and all others together.

    Overlays are alternatives: each is a chain with what they have in common. What the user
    declares of the load holds over what a file says of it.
    """
    readings = tuple(readings)
    whole = [("", (reading,)) for reading in readings if reading.complete]
    parts = tuple(reading for reading in readings if not reading.complete)
    variants = sorted({reading.variant for reading in parts} - {""})
    overlaid = [
        (variant, tuple(reading for reading in parts if reading.variant in ("", variant)))
        for variant in variants
    ]
    unasked = REHEARSALS if set(variants) - REHEARSALS else frozenset()
    return tuple(
        _asked_nothing(found) if variant in unasked else found
        for variant, group in (*whole, *(overlaid or [("", parts)]))
        if group and (found := _chain(group, declared))
    )


def _asked_nothing(chain: Chain) -> Chain:
    return replace(chain, peak_per_s=Value.default(0.0, "a rehearsal"))


REHEARSALS = frozenset(
    {"ci", "dev", "development", "local", "preview", "qa", "review", "sandbox", "staging", "test"}
)
"""Overlays of which nobody asks the peak, where there are others."""

_VARIANT = re.compile(r"(?:^|/)(?:overlays|environments|envs|clusters|stages)/([^/]+)/")


def variant_of(file: str) -> str:
    """The overlay that a file belongs to by its folder, "" where it is common to all."""
    found = _VARIANT.search(file.replace(os.sep, "/"))
    return found[1] if found else ""


def _chain(readings: tuple[Reading, ...], declared: Declared) -> Chain:
    services = _all(readings, "services")
    files = _all(readings, "environments")
    servers = _ends(_all(readings, "servers"), files, services)
    roles = _all(readings, "role_settings")
    poolers = tuple(
        pooler_with_roles(
            replace(each, reaches=each.reaches or _server_behind(each, servers)), roles
        )
        for each in _ends(_all(readings, "poolers"), files, services)
    )
    databases = Databases((*poolers, *servers), _all(readings, "others"), services)
    programs = workloads_of(_sources(readings, services, databases))
    workloads = (*_all(readings, "workloads"), *programs)
    return Chain(
        clients=_all(readings, "clients"),
        gateways=tuple(settled(each, files) for each in _all(readings, "gateways")),
        workloads=tuple(
            with_roles(_held(_connected(workload, poolers, servers), declared), roles)
            for workload in workloads
        ),
        proxies=_all(readings, "proxies"),
        poolers=poolers,
        servers=servers,
        monitors=_all(readings, "monitors"),
        alerts=_all(readings, "alerts"),
        recordings=_all(readings, "recordings"),
        watches=_all(readings, "watches"),
        histograms=_all(readings, "histograms"),
        packages=_all(readings, "packages"),
        peak_per_s=_said_once(
            declared.peak_per_s,
            "--peak",
            "the logins a second to survive",
            [reading.peak_per_s for reading in readings],
        ),
        slo_s=_said_once(
            declared.slo_s,
            "--slo",
            "the time within which a request must be answered",
            [reading.slo_s for reading in readings],
        ),
    )


def _all(readings: Iterable[Reading], what: str) -> tuple[Any, ...]:
    return tuple(flat.from_iterable(getattr(reading, what) for reading in readings))


def _sources(
    readings: Sequence[Reading], services: Iterable[Service], databases: Databases
) -> Sources:
    runtimes: tuple[Runtime, ...] = _all(readings, "runtimes")
    return Sources(
        codes=_all(readings, "codes"),
        runtimes=tuple(each for each in runtimes if not is_stage(each.image)),
        staged=tuple(each for each in runtimes if is_stage(each.image)),
        deployments=deployments_of(
            _all(readings, "deployments"), _all(readings, "scales"), services
        ),
        settings=_all(readings, "settings"),
        environments=_all(readings, "environments"),
        images=_all(readings, "images"),
        databases=databases,
    )


def _said_once(
    declared: float | None, option: str, what: str, said: Iterable[Value[float]]
) -> Value[float]:
    if declared is not None:
        return Value.at(declared, Place(SAID.file, key=option))
    known = [value for value in said if value.is_known]
    if len(known) == 1:
        return known[0]
    if known:
        return Value.unknown(f"several files declare it: give {option}")
    return Value.unknown(f"give {option}, {what}")


def _held(workload: Workload, declared: Declared) -> Workload:
    if declared.hold_s is None:
        return workload
    return replace(workload, hold_s=Value.at(declared.hold_s, Place(SAID.file, key="--hold")))


def _ends(
    parts: Iterable[End], files: Sequence[Environment], services: Iterable[Service]
) -> tuple[End, ...]:
    """Each once, as its variables decide it, under a name that no other has.

    With the names of the Services that lead to it.
    """
    leading = [(service.name, service.deployments) for service in services]
    found: list[End] = []
    for part in mounted(parts):
        end = settled(part, files)
        hosts = (*end.hosts, *(name for name, to in leading if end.name in to))
        taken = any(end.name == other.name for other in found)
        name = f"{end.name} ({end.place.file})" if taken else end.name
        found.append(replace(end, name=name, hosts=tuple(dict.fromkeys(hosts))))
    return tuple(found)


def _server_behind(pooler: Pooler, servers: Sequence[Server]) -> str:
    """The one server that all databases of the pooler are at; "" where that is not known."""
    hosts = {each.host.known for each in pooler.databases if each.host.is_known}
    found = {
        name for host in hosts if (name := _named(host or "", servers, pooler.place)) is not None
    }
    return found.pop() if len(found) == 1 else ""


def _connected(
    workload: Workload, poolers: Sequence[Pooler], servers: Sequence[Server]
) -> Workload:
    pools = tuple(
        replace(pool, reaches=pool.reaches or _other_end(pool, workload.place, poolers, servers))
        for pool in workload.pools
    )
    return replace(workload, pools=pools)


def _other_end(
    pool: Pool, place: Place, poolers: Sequence[Pooler], servers: Sequence[Server]
) -> str:
    """By the host's name, else by the port; a host that no file has is an end of its own."""
    host, port = pool.target.host.known, pool.target.port.known
    if host is not None:
        found = _named(host, poolers, place) or _named(host, servers, place)
        if found is not None:
            return found
    if port == POOLER_PORT and len(poolers) == 1:
        return poolers[0].name
    if host is None or not (poolers or servers):
        return ""
    if port is not None and port != POOLER_PORT and len(servers) == 1:
        return servers[0].name
    return "" if port is None else host


def _named(host: str, ends: Iterable[Pooler | Server], near: Place) -> str | None:
    """The end that ``host`` is a name of, of several the one that is declared the nearest.

    A Service's full name counts by its first part.
    """
    first = host.partition(".")[0]
    named = [each for each in ends if host in (each.name, *each.hosts) or first in each.hosts]
    nearest = max(named, key=lambda each: common(near.file, each.place.file), default=None)
    return nearest.name if nearest is not None else None
