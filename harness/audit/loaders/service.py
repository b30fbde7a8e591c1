"""The auth service's own settings (``AUTH_…``), wherever an environment is written down."""

from __future__ import annotations

import math
from typing import TypeVar

from harness.audit.chain import Implementation, Pool
from harness.audit.reading import Settings, number, parsed, truth
from harness.audit.values import Place, Value

T = TypeVar("T")

OURS = "the auth service"
PREFIX = "AUTH_"
IMPLEMENTATIONS: dict[str, Implementation] = {
    "sqlalchemy-async": "sqlalchemy",
    "sqlalchemy-sync": "sqlalchemy",
    "psycopg-pool": "psycopg-pool",
    "none": "none",
}


def is_ours(settings: Settings) -> bool:
    """Whether these are the settings of an auth service."""
    return "AUTH_DATABASE_URL" in settings or any(key.startswith("AUTH_POOL__") for key in settings)


def pool_of(settings: Settings, place: Place) -> Pool:
    """The pool of a process with these settings; the service's defaults where none is said."""
    said = parsed(settings, "AUTH_POOL__IMPLEMENTATION", str).known or "sqlalchemy-async"
    implementation = IMPLEMENTATIONS.get(said, "none")
    synchronous = said == "sqlalchemy-sync"
    default = _Default(place)
    return Pool(
        name=parsed(settings, "AUTH_POOL__NAME", str).known or "primary",
        place=settings["AUTH_POOL__SIZE"][1] if "AUTH_POOL__SIZE" in settings else place,
        implementation=implementation,
        size=parsed(settings, "AUTH_POOL__SIZE", number, default(5.0)).map(
            lambda size: size or math.inf
        ),
        max_overflow=parsed(settings, "AUTH_POOL__MAX_OVERFLOW", number, default(10.0)).map(
            lambda overflow: math.inf if overflow < 0 else overflow
        ),
        min_size=parsed(settings, "AUTH_POOL__MIN_SIZE", number),
        max_waiting=parsed(settings, "AUTH_POOL__MAX_WAITING", number, default(0.0)).map(
            lambda waiting: waiting or math.inf
        ),
        timeout_s=parsed(settings, "AUTH_POOL__TIMEOUT_S", number, default(30.0)),
        recycle_s=parsed(settings, "AUTH_POOL__RECYCLE_S", number, default(-1.0)).map(
            lambda recycle: math.inf if recycle < 0 else recycle
        ),
        pre_ping=parsed(settings, "AUTH_POOL__PRE_PING", truth, default(False)),
        use_lifo=parsed(settings, "AUTH_POOL__USE_LIFO", truth, default(False)),
        connect_timeout_s=parsed(settings, "AUTH_CONNECT_TIMEOUT_S", number, default(5.0)),
        threads=parsed(settings, "AUTH_POOL__THREADS", number, default(40.0))
        if synchronous
        else Value.unknown("nothing limits requests before the pool"),
    )


class _Default:
    """The service's own defaults, at the place where they are not overridden."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __call__(self, value: T) -> Value[T]:
        return Value.default(value, OURS, self._place)
