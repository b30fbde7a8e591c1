"""What Kubernetes' operators run: PostgreSQL (CloudNativePG, Zalando, Crunchy), and Keycloak.

Source: https://cloudnative-pg.io/documentation/current/,
https://postgres-operator.readthedocs.io/en/latest/reference/cluster_manifest/,
https://access.crunchydata.com/documentation/postgres-operator/latest/references/crd and
https://www.keycloak.org/operator/advanced-configuration
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.audit.loaders.containers import cores_of
from harness.audit.loaders.keycloak import variable_of
from harness.audit.loaders.pgbouncer import pooler_of
from harness.audit.loaders.postgresql import server_of
from harness.audit.loaders.routes import ROUTES
from harness.audit.loaders.secrets import without_secrets
from harness.audit.parts import PoolerDatabase
from harness.audit.reading import Deployment, Reading, number
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Settings, Value, read_at, replaced
from harness.audit.yamls import Item


def _name(item: Item) -> str:
    return item.text_at("metadata", "name")


def _place(file: SourceFile, item: Item) -> Place:
    return Place(file.name, item.line, _name(item))


def _parameters(file: SourceFile, item: Item, *path: str) -> Settings:
    return {
        key: (each.text or "", Place(file.name, each.line, key)) for key, each in item.pairs(*path)
    }


def _cores(file: SourceFile, item: Item, *path: str) -> Value[float]:
    return cores_of(item.get(*path) or item, _place(file, item))


def _cluster(file: SourceFile, item: Item) -> Reading:
    """CloudNativePG's: PostgreSQL's own defaults, and a Service for each part in it."""
    name = _name(item)
    server = server_of(
        _parameters(file, item, "spec", "postgresql", "parameters"),
        name=name,
        place=_place(file, item),
        hosts=(f"{name}-rw", f"{name}-r", f"{name}-ro"),
    )
    return Reading(servers=(replace(server, cores=_cores(file, item, "spec")),))


def _pooler(file: SourceFile, item: Item) -> Reading:
    """CloudNativePG's PgBouncer before one of its clusters."""
    place, name = _place(file, item), _name(item)
    settings = dict(_parameters(file, item, "spec", "pgbouncer", "parameters"))
    if (mode := item.get("spec", "pgbouncer", "poolMode")) is not None:
        settings["pool_mode"] = mode.text or "", Place(file.name, mode.line, "poolMode")
    cluster = item.get("spec", "cluster", "name")
    databases: tuple[PoolerDatabase, ...] = ()
    if cluster is not None:
        where = Place(file.name, cluster.line, "cluster")
        part = item.text_at("spec", "type") or "rw"
        host = Value.at(f"{cluster.text}-{part}", where)
        databases = (PoolerDatabase(name="*", place=where, host=host),)
    pooler = pooler_of(settings, name=name, place=place, hosts=(name,), databases=databases)
    replicas = _instances(file, item, "CloudNativePG")
    return Reading(poolers=(replace(pooler, replicas=replicas),))


def _instances(file: SourceFile, item: Item, whose: str) -> Value[int]:
    count = item.get("spec", "instances")
    if count is None:
        return Value.default(1, whose, _place(file, item))
    return read_at(count.text or "", Place(file.name, count.line, "instances"), "instances", int)


def _zalando(file: SourceFile, item: Item) -> Reading:
    """Zalando's, whose image reckons its defaults from its memory."""
    name = _name(item)
    server = server_of(
        _parameters(file, item, "spec", "postgresql", "parameters"),
        name=name,
        place=_place(file, item),
        hosts=(name, f"{name}-repl"),
    )
    server = replaced(server, _reckoned)
    return Reading(servers=(replace(server, cores=_cores(file, item, "spec")),))


def _reckoned(value: Value[float]) -> Value[float]:
    if value.origin != "default":
        return value
    return Value.unknown("the operator's image sets it by its own rules", value.place)


def _crunchy(file: SourceFile, item: Item) -> Reading:
    """Crunchy's: Patroni's configuration, and a PgBouncer where one is asked for."""
    name, place = _name(item), _place(file, item)
    patroni = ("spec", "patroni", "dynamicConfiguration", "postgresql", "parameters")
    settings = {
        **_parameters(file, item, *patroni),
        **_parameters(file, item, "spec", "config", "parameters"),
    }
    hosts = (f"{name}-primary", f"{name}-replicas", f"{name}-ha")
    servers = (server_of(settings, name=name, place=place, hosts=hosts),)
    if (proxy := item.get("spec", "proxy", "pgBouncer")) is None:
        return Reading(servers=servers)
    pooler = pooler_of(
        _parameters(file, proxy, "config", "global"),
        name=f"{name}-pgbouncer",
        place=Place(file.name, proxy.line, "pgBouncer"),
        hosts=(f"{name}-pgbouncer",),
        databases=(PoolerDatabase(name="*", place=place, host=Value.at(f"{name}-primary", place)),),
    )
    count = proxy.get("replicas")
    replicas: Value[int] = Value.default(1, "the operator", pooler.place)
    if count is not None:
        where = Place(file.name, count.line, "replicas")
        replicas = read_at(count.text or "", where, "replicas", lambda text: int(number(text)))
    return Reading(servers=servers, poolers=(replace(pooler, replicas=replicas),))


_KEYCLOAK_DB = {
    "vendor": "KC_DB",
    "url": "KC_DB_URL",
    "host": "KC_DB_URL_HOST",
    "port": "KC_DB_URL_PORT",
    "database": "KC_DB_URL_DATABASE",
    "poolMinSize": "KC_DB_POOL_MIN_SIZE",
    "poolMaxSize": "KC_DB_POOL_MAX_SIZE",
}


def _keycloak(file: SourceFile, item: Item) -> Reading:
    """Keycloak's own, whose settings its pods find as variables."""
    settings: dict[str, tuple[str, Place]] = {}

    def add(name: str, said: Item | None) -> None:
        if name and said is not None and said.text is not None:
            settings[name] = said.text, Place(said.file or file.name, said.line, name)

    for key, name in _KEYCLOAK_DB.items():
        add(name, item.get("spec", "db", key))
    for each in item.each("spec", "additionalOptions"):
        add(variable_of(each.text_at("name")), each.get("value"))
    for each in item.each("spec", "env"):
        add(each.text_at("name"), each.get("value"))
    name = _name(item)
    deployment = Deployment(
        name=name,
        place=_place(file, item),
        kind="Keycloak",
        environment=without_secrets(settings),
        replicas=_instances(file, item, "Keycloak's operator"),
        surge=Value.default(0.0, "Keycloak's operator", _place(file, item)),
        hosts=(f"{name}-service",),
    )
    return Reading(deployments=(deployment,))


OPERATED: Mapping[str, tuple[str, Callable[[SourceFile, Item], Reading]]] = {
    "Cluster": ("postgresql.cnpg.io/", _cluster),
    "Pooler": ("postgresql.cnpg.io/", _pooler),
    "postgresql": ("acid.zalan.do/", _zalando),
    "PostgresCluster": ("postgres-operator.crunchydata.com/", _crunchy),
    "Keycloak": ("k8s.keycloak.org/", _keycloak),
    **ROUTES,
}
"""Loaders by the kind of an object, with the beginning of its version."""
