"""Airflow: a program that is known without its code, by its own variables.

Each of its processes has a pool of SQLAlchemy's for the database of its metadata. How many there
are is known of what serves its pages; schedulers and workers start others as there is work.

Source: https://airflow.apache.org/docs/apache-airflow/stable/configurations-ref.html
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from harness.audit.loaders.database_urls import parameter_of, target_from
from harness.audit.parts import Pool, not_said
from harness.audit.reading import (
    Code,
    Deployment,
    Runtime,
    negative_is_unlimited,
    number,
    read_at,
    truth,
)
from harness.audit.values import Place, Settings, Value

T = TypeVar("T")

AIRFLOW, PSYCOPG = "Airflow", "psycopg2"
_SECTIONS = ("AIRFLOW__DATABASE__SQL_ALCHEMY_", "AIRFLOW__CORE__SQL_ALCHEMY_")
"""Its names since 2.3, and those before."""

_SERVING = {
    "webserver": ("AIRFLOW__WEBSERVER__WORKERS", 4),
    "api-server": ("AIRFLOW__API__WORKERS", 4),
}
"""What serves, by the word that its image is given: the variable of its processes, and how many
there are without it."""


def is_it(settings: Settings) -> bool:
    """Whether these are the settings of an Airflow."""
    return any(key.startswith(_SECTIONS) for key in settings)


def known(deployment: Deployment, settings: Settings) -> tuple[Deployment, Code]:
    """A part of Airflow with these settings, as if its code had been read."""
    place, asked = deployment.place, deployment.argument
    processes: Value[int] = Value.unknown(
        "Airflow starts processes as there is work, by its executor and its parallelism", place
    )
    if asked in _SERVING:
        variable, usual = _SERVING[asked]
        processes = Value.default(usual, AIRFLOW, place)
        if variable in settings:
            text, at = settings[variable]
            processes = read_at(text, at, variable, int)
    runtime = Runtime(
        place=place,
        folder=deployment.folder,
        processes=processes,
        serves=Value.default(asked in _SERVING, AIRFLOW, place) if asked else not_said(),
    )
    code = Code(place=place, folder=deployment.folder or ".", pools=(_pool(settings, place),))
    return replace(deployment, runtime=runtime), code


def _pool(settings: Settings, place: Place) -> Pool:
    def said(key: str, default: T, read: Callable[[str], T]) -> Value[T]:
        for section in _SECTIONS:
            if section + key in settings:
                text, at = settings[section + key]
                return read_at(text, at, section + key, read)
        return Value.default(default, AIRFLOW, place)

    unsaid: Value[str] = Value.unknown("SQL_ALCHEMY_CONN is not said", place)
    url = next(
        (Value.at(*settings[f"{each}CONN"]) for each in _SECTIONS if f"{each}CONN" in settings),
        unsaid,
    )
    pooled = said("POOL_ENABLED", True, truth)
    size = said("POOL_SIZE", 5.0, number)
    return Pool(
        name="metadata",
        place=size.place or place,
        implementation="none" if pooled.known is False else "sqlalchemy",
        size=size.map(lambda count: count or math.inf),
        max_overflow=said("MAX_OVERFLOW", 10.0, number).map(negative_is_unlimited),
        timeout_s=Value.unknown("SQL_ALCHEMY_ENGINE_ARGS may say it", place),
        recycle_s=said("POOL_RECYCLE", 1800.0, number).map(negative_is_unlimited),
        pre_ping=said("POOL_PRE_PING", True, truth),
        connect_timeout_s=parameter_of(
            url, "connect_timeout", number, Value.unknown("no file says it", place), place
        ),
        target=target_from(url, place),
        is_async=Value.default(False, AIRFLOW, place),
        prepared_statements=Value.default(False, PSYCOPG, place),
    )
