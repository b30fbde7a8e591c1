"""The auth service's own settings (``AUTH_…``, ``GATEWAY_…``), wherever an environment stands."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from harness.audit.branches import Branch
from harness.audit.loaders.database_urls import is_postgresql, target_from, target_of
from harness.audit.loaders.upstreams import address
from harness.audit.parts import Gateway, Implementation, Monitor, Pool
from harness.audit.reading import (
    Code,
    Deployment,
    Reading,
    Runtime,
    negative_is_unlimited,
    number,
    parsed,
    truth,
)
from harness.audit.values import Place, Settings, Value, Variable

T = TypeVar("T")

OURS = "the auth service"
IMPLEMENTATIONS: dict[str, Implementation] = {
    "sqlalchemy-async": "sqlalchemy",
    "sqlalchemy-sync": "sqlalchemy",
    "psycopg-pool": "psycopg-pool",
    "none": "none",
}
IMPLEMENTATION = "AUTH_POOL__IMPLEMENTATION"
"""The variable that chooses one of them, the first where it is not set."""

UPSTREAMS = "GATEWAY_UPSTREAMS"
EXPORTER = "POOLDRILL_EXPORTER_"


def is_it(settings: Settings) -> bool:
    """Whether these are the settings of an auth service."""
    return "AUTH_DATABASE_URL" in settings or any(key.startswith("AUTH_POOL__") for key in settings)


def known(deployment: Deployment, settings: Settings) -> tuple[Deployment, Code]:
    """An auth service with these settings, as if its code had been read: its one process, its work.

    Of its pools, which are alternatives, each value is decided by a variable.
    """
    place = deployment.place
    work_ms: Value[float] = Value.unknown("AUTH_WORK_MS is not said", place)
    work_ms = work_ms.decided_by(Variable("AUTH_WORK_MS", number))
    runtime = Runtime(
        place=place,
        folder=deployment.folder,
        processes=Value.default(1, OURS, place),
        serves=Value.default(True, OURS, place),
    )
    ours = replace(deployment, runtime=runtime, hold_s=work_ms.map(lambda ms: ms / 1000))
    said = settings["AUTH_POOL__SIZE"][1] if "AUTH_POOL__SIZE" in settings else place
    name = settings.get("AUTH_POOL__NAME", ("primary", place))[0]
    pools = tuple(_pool(way, name, said, place) for way in range(len(IMPLEMENTATIONS)))
    return ours, Code(place=place, folder=deployment.folder or ".", pools=pools)


def _pool(way: int, name: str, said: Place, place: Place) -> Pool:
    """One of its pools, with the service's defaults where nothing is said."""
    named = tuple(IMPLEMENTATIONS)
    synchronous = named[way] == "sqlalchemy-sync"
    chosen = Value.default(0, OURS, place).decided_by(Variable(IMPLEMENTATION, named.index))

    def of(
        key: str,
        default: T | None,
        read: Callable[[str], T] = number,  # type: ignore[assignment]
    ) -> Value[T]:
        unsaid: Value[T] = Value.unknown(f"{key} is not said", place)
        if default is not None:
            unsaid = Value.default(default, OURS, place)
        return unsaid.decided_by(Variable(key, read))

    url: Value[str] = Value.unknown("AUTH_DATABASE_URL is not said", place)
    return Pool(
        name=name,
        place=said,
        implementation=IMPLEMENTATIONS[named[way]],
        size=of("AUTH_POOL__SIZE", 5.0).map(lambda size: size or math.inf),
        max_overflow=of("AUTH_POOL__MAX_OVERFLOW", 10.0).map(negative_is_unlimited),
        min_size=of("AUTH_POOL__MIN_SIZE", None),
        max_waiting=of("AUTH_POOL__MAX_WAITING", 0.0).map(lambda waiting: waiting or math.inf),
        timeout_s=of("AUTH_POOL__TIMEOUT_S", 30.0),
        recycle_s=of("AUTH_POOL__RECYCLE_S", -1.0).map(negative_is_unlimited),
        pre_ping=of("AUTH_POOL__PRE_PING", False, truth),
        use_lifo=of("AUTH_POOL__USE_LIFO", False, truth),
        connect_timeout_s=of("AUTH_CONNECT_TIMEOUT_S", 5.0),
        threads=of("AUTH_POOL__THREADS", 40.0)
        if synchronous
        else Value.unknown("nothing limits requests before the pool"),
        is_async=Value.default(not synchronous, OURS, place),
        target=target_from(url.decided_by(Variable("AUTH_DATABASE_URL", _url)), place),
        branches=(Branch(IMPLEMENTATION, frozenset({way}), chosen),),
    )


def _url(text: str) -> str:
    if not is_postgresql(text):
        raise ValueError
    return text


def part_of(settings: Settings, words: Sequence[str], name: str, place: Place) -> Reading | None:
    """What a program of this project is that holds no pool; None for all others.

    Accounts are filled in once, and a drill is no part of what it drills.
    """
    if UPSTREAMS in settings:
        return Reading(gateways=(gateway_of(settings, name, place),))
    if f"{EXPORTER}POSTGRES" in settings:
        user = target_of(*settings[f"{EXPORTER}POSTGRES"]).user
        return Reading(monitors=(Monitor(name=name, place=place, user=user),))
    if f"{EXPORTER}PGBOUNCER" in settings or "auth_service.accounts" in words:
        return Reading()
    return Reading() if words[:1] == ["pooldrill"] else None


def gateway_of(settings: Settings, name: str, place: Place) -> Gateway:
    """The gateway with these settings, of which ``GATEWAY_UPSTREAMS`` is one."""
    return Gateway(
        name=name,
        place=place,
        timeout_s=_timeout(settings, place),
        upstreams=_upstreams(settings[UPSTREAMS][0]),
    )


def _upstreams(text: str) -> tuple[str, ...]:
    """The hosts of ``[{"name": …, "url": …}]``; none where it is not understood."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    entries = said if isinstance(said, list) else []
    urls = [each.get("url") for each in entries if isinstance(each, dict)]
    found = [address(url) for url in urls if isinstance(url, str)]
    return tuple(dict.fromkeys(each[0] for each in found if each is not None))


def _timeout(settings: Settings, place: Place) -> Value[float]:
    unsaid: Value[float] = Value.default(30.0, "the gateway", place)
    key = "GATEWAY_TIMEOUT_S"
    return parsed(settings, key, number, unsaid.decided_by(Variable(key, number)))
