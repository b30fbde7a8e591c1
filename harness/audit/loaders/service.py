"""The auth service's own settings (``AUTH_…``, ``GATEWAY_…``), wherever an environment stands."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from harness.audit.loaders.database_urls import is_postgresql, target_of
from harness.audit.loaders.upstreams import address
from harness.audit.parts import Gateway, Implementation, Monitor, Pool, Target
from harness.audit.reading import Deployment, Reading, Runtime, number, parsed, truth
from harness.audit.values import Place, Settings, Value, Variable

T = TypeVar("T")

OURS = "the auth service"
IMPLEMENTATIONS: dict[str, Implementation] = {
    "sqlalchemy-async": "sqlalchemy",
    "sqlalchemy-sync": "sqlalchemy",
    "psycopg-pool": "psycopg-pool",
    "none": "none",
}
UPSTREAMS = "GATEWAY_UPSTREAMS"


EXPORTER = "POOLDRILL_EXPORTER_"


def is_ours(settings: Settings) -> bool:
    """Whether these are the settings of an auth service."""
    return "AUTH_DATABASE_URL" in settings or any(key.startswith("AUTH_POOL__") for key in settings)


def completed(deployment: Deployment, settings: Settings) -> Deployment:
    """An auth service as its whole environment has it: its one process, its pool, its work."""
    if not is_ours(settings):
        return deployment
    place = deployment.place
    return replace(
        deployment,
        pools=(pool_of(settings, place),),
        hold_s=parsed(settings, "AUTH_WORK_MS", number).map(lambda ms: ms / 1000),
        runtime=Runtime(
            place=place,
            folder=deployment.folder,
            processes=Value.default(1, OURS, place),
            serves=Value.default(True, OURS, place),
        ),
    )


def pool_of(settings: Settings, place: Place) -> Pool:
    """The pool of a process with these settings; the service's defaults where none is said.

    Each value is decided by its variable, which another file may set.
    """
    said = parsed(settings, "AUTH_POOL__IMPLEMENTATION", str).known or "sqlalchemy-async"
    implementation = IMPLEMENTATIONS.get(said, "none")
    synchronous = said == "sqlalchemy-sync"
    of = _Settings(settings, place)
    return Pool(
        name=parsed(settings, "AUTH_POOL__NAME", str).known or "primary",
        place=settings["AUTH_POOL__SIZE"][1] if "AUTH_POOL__SIZE" in settings else place,
        implementation=implementation,
        size=of("AUTH_POOL__SIZE", 5.0).map(lambda size: size or math.inf),
        max_overflow=of("AUTH_POOL__MAX_OVERFLOW", 10.0).map(
            lambda overflow: math.inf if overflow < 0 else overflow
        ),
        min_size=parsed(settings, "AUTH_POOL__MIN_SIZE", number),
        max_waiting=of("AUTH_POOL__MAX_WAITING", 0.0).map(lambda waiting: waiting or math.inf),
        timeout_s=of("AUTH_POOL__TIMEOUT_S", 30.0),
        recycle_s=of("AUTH_POOL__RECYCLE_S", -1.0).map(
            lambda recycle: math.inf if recycle < 0 else recycle
        ),
        pre_ping=of("AUTH_POOL__PRE_PING", False, truth),
        use_lifo=of("AUTH_POOL__USE_LIFO", False, truth),
        connect_timeout_s=of("AUTH_CONNECT_TIMEOUT_S", 5.0),
        threads=of("AUTH_POOL__THREADS", 40.0)
        if synchronous
        else Value.unknown("nothing limits requests before the pool"),
        is_async=Value.default(not synchronous, OURS, place),
        target=_target(settings),
    )


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
        timeout_s=_Settings(settings, place, "the gateway")("GATEWAY_TIMEOUT_S", 30.0),
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


def _target(settings: Settings) -> Target:
    text, place = settings.get("AUTH_DATABASE_URL", ("", Place("")))
    return target_of(text, place) if is_postgresql(text) else Target()


class _Settings:
    """Settings with the service's own defaults, at the place where they are not overridden."""

    def __init__(self, settings: Settings, place: Place, whose: str = OURS) -> None:
        self._settings = settings
        self._place = place
        self._whose = whose

    def __call__(
        self,
        key: str,
        default: T,
        read: Callable[[str], T] = number,  # type: ignore[assignment]
    ) -> Value[T]:
        unsaid = Value.default(default, self._whose, self._place)
        return parsed(self._settings, key, read, unsaid.decided_by(Variable(key, read)))
