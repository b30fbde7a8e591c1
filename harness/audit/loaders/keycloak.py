"""Keycloak: a program that is known without its code, by the variables and options of its image.

Its pool is Agroal's, one in each process; a login that finds none in five seconds is a 500.

Source: https://www.keycloak.org/server/all-config, https://www.keycloak.org/server/db,
https://www.keycloak.org/high-availability/concepts-threads and, for Bitnami's image,
https://github.com/bitnami/containers/tree/main/bitnami/keycloak
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from harness.audit.loaders.agroal import pool_of, seconds
from harness.audit.loaders.commands import Word
from harness.audit.parts import Pool
from harness.audit.reading import Code, Deployment, Runtime, number, parsed
from harness.audit.values import Place, Settings, Value, read_at

KEYCLOAK = "Keycloak"
MAX_SIZE = 100.0
"""Connections of a pool that nobody has sized."""

STARTS = frozenset({"kc.sh", "start", "start-dev"})
"""What a command of its image begins with."""

THREADS = "KC_HTTP_POOL_MAX_THREADS"
WHOSE = "Keycloak, with a dozen processors at most"
_VERSION = re.compile(r":(\d{1,3})\.")
_HOST = ("KC_DB_URL_HOST", "KEYCLOAK_DATABASE_HOST")
_PORT = ("KC_DB_URL_PORT", "KEYCLOAK_DATABASE_PORT")
_DATABASE = ("KC_DB_URL_DATABASE", "KEYCLOAK_DATABASE_NAME")
_VENDOR = ("KC_DB", "KEYCLOAK_DATABASE_VENDOR")
_JDBC = {
    "max-size": ("KC_DB_POOL_MAX_SIZE", "QUARKUS_DATASOURCE_JDBC_MAX_SIZE"),
    "min-size": ("KC_DB_POOL_MIN_SIZE", "QUARKUS_DATASOURCE_JDBC_MIN_SIZE"),
    "max-lifetime": ("KC_DB_POOL_MAX_LIFETIME", "QUARKUS_DATASOURCE_JDBC_MAX_LIFETIME"),
    "acquisition-timeout": ("QUARKUS_DATASOURCE_JDBC_ACQUISITION_TIMEOUT",),
}
"""Agroal's settings by Keycloak's variables, and by Quarkus' own, which it takes as well."""

_OPTION = re.compile(r"--((?:db|http-pool)(?:-[a-z]+)*)(?:=(.*))?", re.DOTALL)


def variable_of(option: str) -> str:
    """``KC_DB_POOL_MAX_SIZE`` of ``db-pool-max-size``."""
    return f"KC_{option.replace('-', '_').upper()}"


def options_of(words: Iterable[Word]) -> Settings:
    """``--db-pool-max-size=20`` of its command line, as the variable that it stands for."""
    found: dict[str, tuple[str, Place]] = {}
    waiting = ""
    for word, place in words:
        said = _OPTION.fullmatch(word)
        if said is None:
            if waiting and not word.startswith("-"):
                found[waiting] = word, place
            waiting = ""
            continue
        name = variable_of(said[1])
        waiting = name if said[2] is None else ""
        if said[2] is not None:
            found[name] = said[2], place
    return found


def is_it(settings: Settings) -> bool:
    """Whether these are the settings of a Keycloak whose database is a PostgreSQL.

    Without a database's address it keeps its users in a file.
    """
    if _first(settings, *_HOST) is None and "KC_DB_URL" not in settings:
        return False
    vendor = _first(settings, *_VENDOR)
    if vendor is None:
        # It is a choice of the build: an image may have it.
        return "KC_DB_URL" not in settings or "postgresql" in settings["KC_DB_URL"][0]
    return vendor[0].strip().lower() in ("postgres", "postgresql")


def known(deployment: Deployment, settings: Settings) -> tuple[Deployment, Code]:
    """A Keycloak with these settings, as if its code had been read."""
    place = deployment.place
    threads: Value[float] = Value.default(_threads(deployment.image), WHOSE, place)
    runtime = Runtime(
        place=place,
        folder=deployment.folder,
        processes=Value.default(1, KEYCLOAK, place),
        threads=parsed(settings, THREADS, number, threads),
        serves=Value.default(True, KEYCLOAK, place),
    )
    code = Code(place=place, folder=deployment.folder or ".", pools=(_pool(settings, place),))
    return replace(deployment, runtime=runtime), code


def _threads(image: str) -> float:
    """Before 25 there were more; an image whose tag is no version is taken to be newer."""
    version = _VERSION.search(image)
    return 200.0 if version is not None and int(version[1]) < 25 else 50.0


def _pool(settings: Settings, place: Place) -> Pool:
    named = {name: _first(settings, *keys) for name, keys in _JDBC.items()}
    said = {name: found for name, found in named.items() if found is not None}
    size: Value[float] = Value.default(MAX_SIZE, KEYCLOAK, place)
    pool = pool_of("keycloak", said, _url(settings, place), place, size=size)
    if "KC_DB_CONNECT_TIMEOUT" in settings:
        text, at = settings["KC_DB_CONNECT_TIMEOUT"]
        pool = replace(pool, connect_timeout_s=read_at(text, at, "db-connect-timeout", seconds))
    return pool


def _url(settings: Settings, place: Place) -> Value[str]:
    """The address that it is given, or that it puts together."""
    if "KC_DB_URL" in settings:
        text, at = settings["KC_DB_URL"]
        return Value.at(text.strip(), at)
    host, at = _first(settings, *_HOST) or ("localhost", place)
    port, _ = _first(settings, *_PORT) or ("", place)
    database, _ = _first(settings, *_DATABASE) or ("keycloak", place)
    properties, _ = settings.get("KC_DB_URL_PROPERTIES", ("", place))
    address = f"{host.strip()}:{port.strip()}" if port.strip() else host.strip()
    return Value.at(f"jdbc:postgresql://{address}/{database.strip()}{properties.strip()}", at)


def _first(settings: Settings, *keys: str) -> tuple[str, Place] | None:
    return next((settings[key] for key in keys if key in settings), None)
