"""Containers, whatever starts them: PostgreSQL, PgBouncer and exporters by their images.

What is none of these, and no other well-known piece of infrastructure, is a program.

Settings in variables: https://github.com/edoburu/docker-pgbouncer,
https://github.com/bitnami/containers/tree/main/bitnami/pgbouncer,
https://hub.docker.com/r/pgbouncer/pgbouncer and
https://github.com/bitnami/containers/tree/main/bitnami/postgresql
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from harness.audit.loaders import keycloak, service
from harness.audit.loaders.commands import (
    Word,
    ends_by_itself,
    program_of,
    properties_of,
    runtime_of,
    words_at,
)
from harness.audit.loaders.database_urls import target_of
from harness.audit.loaders.pgbouncer import PGBOUNCER, SETTINGS, pooler_of
from harness.audit.loaders.postgresql import command_settings, server_of
from harness.audit.loaders.secrets import without_secrets
from harness.audit.parts import Monitor, Pooler, PoolerDatabase, Server
from harness.audit.reading import Deployment, OtherDatabase, Reading, Runtime, parsed
from harness.audit.values import Place, Settings, Value, read_at, replaced
from harness.audit.yamls import Item

Role = Literal["server", "pooler", "monitor", "other", "infrastructure", "program"]

ELSEWHERE = "a file of settings that was not read may say it"
_SERVER = re.compile(
    r"(crunchy-)?postgres(ql)?(-(ha|repmgr|gis|pgvector))?|postgis|timescaledb(-ha)?|pgvector|citus"
    r"|paradedb|spilo-\d+"
)
_OWN_SERVER = re.compile(r"\w+-postgres(ql)?")
"""Images that somebody made of PostgreSQL's, maybe with settings in them."""

_MONITOR = re.compile(r"(postgres(ql)?|pg)[-_]exporter|postgres[-_]?exporter")
_INFRASTRUCTURE = re.compile(
    r"redis(-stack)?(-(server|sentinel|cluster))?|valkey|keydb|dragonfly|memcached|rabbitmq|(cp-)?kafka|(cp-)?zookeeper|nats"
    r"|mosquitto|elasticsearch|opensearch|kibana|logstash|fluentd"
    r"|fluent-bit|vector|promtail|loki|tempo|jaeger|zipkin|(otel|opentelemetry)-collector(-\w+)*"
    r"|prometheus|alertmanager|grafana|cadvisor|pushgateway|[\w-]+[-_]exporter"
    r"|nginx(-(unprivileged|proxy|ingress))?|openresty|haproxy(-ingress)?|traefik|envoy|caddy|httpd|varnish|pgpool"
    r"|minio|mailhog|mailpit|mailcatcher|adminer|pgadmin4?|pgweb|vault|consul|etcd|localstack"
    r"|busybox|curl|certbot|clickhouse(-server)?|influxdb\d?|telegraf|portainer|watchtower"
)
_OTHER_DATABASE = re.compile(
    r"mysql(-server)?|mariadb(-galera)?|percona(-server|-xtradb-cluster)?|dolt(-sql-server)?"
    r"|mongo(db)?|mongodb-community-server"
)
_SETTINGS_FILE = re.compile(r"postgresql[\w.-]*\.conf|/conf\.d\b|\.ini\b|/etc/pgbouncer\b")

_CPU = re.compile(r"(\d+(?:\.\d+)?)(m?)")
_REFERENCE = re.compile(r"\$\((\w+)\)")

_HOSTS = ("DB_HOST", "POSTGRESQL_HOST", "DATABASES_HOST", "PG_SERVICE", "POSTGRES_HOST")
_DATABASES = ("DB_NAME", "PGBOUNCER_DATABASE", "POSTGRESQL_DATABASE", "DATABASES_DBNAME")
_USERS = ("DB_USER", "POSTGRESQL_USERNAME", "DATABASES_USER", "POSTGRES_USER")
_URLS = ("DATABASE_URL", "DATABASE_URLS")


def _unsaid() -> Value[Any]:
    return Value.unknown("it is not said")


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """An image that is started, with all that tells what it does."""

    name: str
    place: Place
    image: str = ""
    words: tuple[Word, ...] = ()
    environment: Settings = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    replicas: Value[int] = field(default_factory=_unsaid)
    cores: Value[float] = field(default_factory=_unsaid)
    open_files: Value[float] = field(default_factory=_unsaid)
    mounts: tuple[str, ...] = ()
    """Paths that files are mounted from and to."""

    elsewhere: bool = False
    """Whether a part of its environment is said elsewhere."""

    @property
    def role(self) -> Role:
        """What it is, by its image or the program that is started; without an image, its name."""
        image = image_name(self.image or self.name)
        program, _ = program_of(self.words)
        if "pgbouncer" in (image, program) or (
            "pgbouncer" in image and "exporter" not in image and "prometheus" not in image
        ):
            return "pooler"
        if _SERVER.fullmatch(image) or (self.image and _OWN_SERVER.fullmatch(image)):
            return "server"
        if program in ("postgres", "postmaster"):
            return "server"
        if not self.image:
            return "program"
        if _MONITOR.fullmatch(image):
            return "monitor"
        if is_other_database(image):
            return "other"
        if _INFRASTRUCTURE.fullmatch(image):
            return "infrastructure"
        return "program"


def image_name(image: str) -> str:
    """``registry.example/team/auth-api:1.2`` is ``auth-api``."""
    return image.strip().partition("@")[0].rpartition("/")[2].partition(":")[0].lower()


def is_other_database(image: str) -> bool:
    """Whether an image of this name is a database of another product."""
    return _OTHER_DATABASE.fullmatch(image) is not None


def cores_of(container: Item, place: Place) -> Value[float]:
    """What ``resources.limits`` grants of the processors."""
    limit = container.get("resources", "limits", "cpu")
    if limit is None:
        return Value.unknown("nothing limits its processors", place)
    return read_at(limit.text or "", Place(place.file, limit.line, "cpu"), "cpu", _cores)


def _cores(text: str) -> float:
    found = _CPU.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return float(found[1]) / (1000 if found[2] else 1)


def read(
    container: Container,
    *,
    kind: str,
    folder: str = "",
    environment_files: tuple[str, ...] = (),
    image_file: str = "",
    surge: Value[float] | None = None,
) -> Reading:
    """Its part of the chain, which infrastructure of another kind has none of, or a deployment."""
    words = [word for word, _ in container.words]
    ours = service.part_of(container.environment, words, container.name, container.place)
    if ours is not None:
        return ours
    role = container.role
    if role == "server":
        return Reading(servers=(_server(container),))
    if role == "pooler":
        return Reading(poolers=(_pooler(container),))
    if role == "monitor":
        return Reading(monitors=(_monitor(container),))
    if role == "other":
        other = OtherDatabase(name=container.name, place=container.place, hosts=container.hosts)
        return Reading(others=(other,))
    if role == "infrastructure" or ends_by_itself(container.words):
        return Reading()
    deployment = Deployment(
        name=container.name,
        place=container.place,
        kind=kind,
        folder=folder,
        image=container.image,
        image_file=image_file,
        environment=_with_properties(container),
        environment_files=environment_files,
        replicas=container.replicas,
        surge=surge or _unsaid(),
        runtime=_runtime(container, folder),
        hosts=container.hosts,
    )
    return Reading(deployments=(deployment,))


def _runtime(container: Container, folder: str) -> Runtime | None:
    if not container.words:
        return None
    place = replace(container.words[0][1], key="command")
    found = runtime_of(container.words, place, folder, container.environment)
    if found is not None:
        return found
    # Not what its image starts otherwise.
    argument, _ = program_of(container.words)
    why = f"{argument or 'its command'} does not say what it starts"
    unknown: Value[int] = Value.unknown(why, place)
    return Runtime(place=place, folder=folder, processes=unknown, argument=argument)


def _with_properties(container: Container) -> Settings:
    """Java's properties and Keycloak's options of its command, and those that Java reads in
    variables, as the variables that they stand for."""
    words = list(container.words)
    for key in ("JAVA_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"):
        if key in container.environment:
            words += words_at(*container.environment[key])
    options = keycloak.options_of(words) if _is_keycloak(container) else {}
    return without_secrets({**container.environment, **properties_of(words), **options})


def _is_keycloak(container: Container) -> bool:
    program, _ = program_of(container.words)
    return program in keycloak.STARTS or "keycloak" in image_name(container.image)


def _server(container: Container) -> Server:
    """Its command's settings, and Bitnami's; unknown where a mounted file may say the others."""
    settings = {
        key.removeprefix("POSTGRESQL_").lower(): said
        for key, said in container.environment.items()
        if key in ("POSTGRESQL_MAX_CONNECTIONS", "POSTGRESQL_STATEMENT_TIMEOUT")
    }
    if "POSTGRES_INITDB_ARGS" in container.environment:
        settings |= command_settings(words_at(*container.environment["POSTGRES_INITDB_ARGS"]))
    settings |= command_settings(
        (_expanded(word, container.environment), place) for word, place in container.words
    )
    server = replace(
        server_of(settings, name=container.name, place=container.place, hosts=container.hosts),
        cores=container.cores,
    )
    own = _OWN_SERVER.fullmatch(image_name(container.image)) is not None
    if own or "config_file" in settings or _has_settings_file(container):
        return replaced(server, _not_by_default)
    return server


def _expanded(word: str, environment: Settings) -> str:
    """With Kubernetes' ``$(NAME)`` at what the container's environment says."""
    return _REFERENCE.sub(lambda found: environment.get(found[1], (found[0],))[0], word)


def _pooler(container: Container) -> Pooler:
    said = {_bare(key): value for key, value in container.environment.items()}
    databases = _databases(container)
    told = bool(databases) or bool(set(said) & SETTINGS)
    whole = told and not container.elsewhere and not _has_settings_file(container)
    pooler = pooler_of(
        said,
        name=container.name,
        place=container.place,
        hosts=container.hosts,
        databases=databases,
        incomplete="" if whole else ELSEWHERE,
    )
    pooler = replace(pooler, replicas=container.replicas, open_files=container.open_files)
    pooler = replace(pooler, prepared_by_default=_prepared(container))
    if pooler.max_prepared_statements.origin == "default":
        pooler = replace(pooler, max_prepared_statements=pooler.prepared_by_default)
    return pooler


def _bare(key: str) -> str:
    """edoburu and Crunchy call them as PgBouncer does, Bitnami and PgBouncer with its name."""
    return key.removeprefix("PGBOUNCER_").lower()


def _prepared(container: Container) -> Value[float]:
    """None by default before 1.24, 200 since. Source: https://www.pgbouncer.org/changelog.html"""
    version = re.search(r":v?1\.(\d+)", container.image)
    if version is None:
        why = "max_prepared_statements is 0 before PgBouncer 1.24 and 200 since"
        return Value.unknown(why, container.place)
    return Value.default(200.0 if int(version[1]) >= 24 else 0.0, PGBOUNCER, container.place)


def _databases(container: Container) -> tuple[PoolerDatabase, ...]:
    environment = container.environment
    for key in _URLS:
        if key in environment:
            target = target_of(*environment[key])
            name = target.database.known or "*"
            place = environment[key][1]
            return (PoolerDatabase(name=name, place=place, host=target.host, user=target.user),)
    for key in _HOSTS:
        if key in environment:
            text, place = environment[key]
            return (
                PoolerDatabase(
                    name=_first(environment, _DATABASES).known or "*",
                    place=place,
                    host=read_at(text, place, key, str),
                    user=_first(environment, _USERS),
                ),
            )
    return ()


def _first(environment: Settings, keys: Iterable[str]) -> Value[str]:
    key = next((each for each in keys if each in environment), "the database")
    return parsed(environment, key, str)


def _monitor(container: Container) -> Monitor:
    """Who it logs in as; the other half of the question is the database's."""
    environment = container.environment
    user: Value[str] = Value.unknown("its settings do not say who it logs in as", container.place)
    if "DATA_SOURCE_USER" in environment:
        user = parsed(environment, "DATA_SOURCE_USER", str)
    elif "DATA_SOURCE_NAME" in environment:
        text, place = environment["DATA_SOURCE_NAME"]
        user = target_of(text, place).user
    return Monitor(name=container.name, place=container.place, user=user)


def _has_settings_file(container: Container) -> bool:
    return any(_SETTINGS_FILE.search(path) for path in container.mounts)


def _not_by_default(value: Value[Any]) -> Value[Any]:
    """Nothing, where a product's default would hold if no file said otherwise."""
    if value.origin != "default":
        return value
    return Value.unknown(ELSEWHERE, value.place)


def incomplete(reading: Reading) -> Reading:
    """What a partial declaration says: no default of a product holds over the whole one's."""
    return replace(
        reading,
        servers=replaced(reading.servers, _not_by_default),
        poolers=replaced(reading.poolers, _not_by_default),
        deployments=tuple(
            replace(
                each, replicas=_not_by_default(each.replicas), surge=_not_by_default(each.surge)
            )
            for each in reading.deployments
        ),
    )


_NOTHING = Reading()


def together(*readings: Reading) -> Reading:
    """What several parts of a file say."""
    parts: dict[str, Any] = {
        each.name: tuple(part for one in readings for part in getattr(one, each.name))
        for each in fields(Reading)
        if isinstance(getattr(_NOTHING, each.name), tuple)
    }
    return replace(_NOTHING, **parts)
