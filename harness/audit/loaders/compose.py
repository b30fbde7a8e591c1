"""Compose files: auth services, PostgreSQL and PgBouncer with what their containers are told."""

from __future__ import annotations

import math
import re
import shlex

from harness.audit.chain import Gateway, Pooler, Server, Workload
from harness.audit.finding import Unread
from harness.audit.loaders.service import is_ours, pool_of
from harness.audit.reading import Reading, Settings, number, parsed, zero_is_unlimited
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value
from harness.audit.yamls import Item, NotReadable, documents

_NAME = re.compile(r"^(docker-)?compose([.-].+)?\.ya?ml$")
_DEFAULTED = re.compile(r"\$\{\w+:?-([^${}]*)\}")
POSTGRES = "PostgreSQL"
PGBOUNCER = "PgBouncer"


def recognises(file: SourceFile) -> bool:
    """By its name and its ``services``."""
    return bool(_NAME.match(file.path.name)) and "services:" in file.text


def load(file: SourceFile) -> Reading:
    """Every service whose part in the chain is known."""
    try:
        (document,) = documents(file.text) or (Item(0, fields={}),)
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    except ValueError:
        return Reading(unread=(Unread(file.name, "a compose file is one document"),))
    services = document.get("services")
    workloads, gateways, poolers, servers = [], [], [], []
    for name, service in ((services.fields if services else None) or {}).items():
        place = Place(file.name, service.line, name)
        settings = _environment(file, service)
        image = (found.text or "") if (found := service.get("image")) else ""
        if is_ours(settings) and not _fills_accounts(service):
            workloads.append(_workload(name, service, settings, place))
        elif "GATEWAY_UPSTREAMS" in settings:
            timeout = parsed(
                settings,
                "GATEWAY_TIMEOUT_S",
                number,
                Value.default(30.0, "the gateway", place),
            )
            gateways.append(Gateway(name=name, place=place, timeout_s=timeout))
        elif "pgbouncer" in image:
            poolers.append(_pooler(name, settings, place))
        elif re.search(r"(^|/)postgres(ql)?(:|$)", image):
            servers.append(_server(name, file, service, place))
    return Reading(
        workloads=tuple(workloads),
        gateways=tuple(gateways),
        poolers=tuple(poolers),
        servers=tuple(servers),
    )


def _fills_accounts(service: Item) -> bool:
    """Whether it only fills the database, once, and holds no pool."""
    command = service.get("command")
    words = [item.text or "" for item in (command.items if command else None) or ()]
    return "auth_service.accounts" in words


def _workload(name: str, service: Item, settings: Settings, place: Place) -> Workload:
    replicas = service.get("deploy", "replicas")
    count: Value[int] = Value.default(1, "Compose", place)
    if replicas is not None:
        key = f"{name}.deploy.replicas"
        said = {key: (_filled(replicas.text or ""), Place(place.file, replicas.line, key))}
        count = parsed(said, key, int)
    return Workload(
        name=name,
        place=place,
        replicas=count,
        processes=Value.default(1, "the auth service", place),
        hold_s=parsed(settings, "AUTH_WORK_MS", number).map(lambda ms: ms / 1000),
        pools=(pool_of(settings, place),),
    )


def _pooler(name: str, settings: Settings, place: Place) -> Pooler:
    def of(key: str, default: float, *, unlimited: bool = False) -> Value[float]:
        read = zero_is_unlimited if unlimited else number
        return parsed(settings, key, read, Value.default(default, PGBOUNCER, place))

    return Pooler(
        name=name,
        place=place,
        pool_mode=parsed(settings, "POOL_MODE", str, Value.default("session", PGBOUNCER, place)),
        default_pool_size=of("DEFAULT_POOL_SIZE", 20),
        reserve_pool_size=of("RESERVE_POOL_SIZE", 0),
        max_client_conn=of("MAX_CLIENT_CONN", 100),
        max_db_connections=of("MAX_DB_CONNECTIONS", math.inf, unlimited=True),
        query_wait_timeout_s=of("QUERY_WAIT_TIMEOUT", 120, unlimited=True),
    )


def _server(name: str, file: SourceFile, service: Item, place: Place) -> Server:
    settings = _command_settings(file, service)

    def of(key: str, default: float) -> Value[float]:
        return parsed(settings, key, number, Value.default(default, POSTGRES, place))

    def time_of(key: str) -> Value[float]:
        default = Value.default(math.inf, POSTGRES, place)
        return parsed(settings, key, _milliseconds, default)

    return Server(
        name=name,
        place=place,
        max_connections=of("max_connections", 100),
        superuser_reserved=of("superuser_reserved_connections", 3),
        reserved=of("reserved_connections", 0),
        idle_in_transaction_timeout_s=time_of("idle_in_transaction_session_timeout"),
        statement_timeout_s=time_of("statement_timeout"),
    )


_UNITS_S = {"": 0.001, "us": 1e-6, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def _milliseconds(text: str) -> float:
    """PostgreSQL's spelling of a time whose unit is ms: seconds; 0 is no limit."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d|)", text.strip("'"))
    if found is None:
        raise ValueError(text)
    return float(found[1]) * _UNITS_S[found[2]] or math.inf


def _command_settings(file: SourceFile, service: Item) -> Settings:
    """``-c key=value`` and ``--key=value`` of the server's command."""
    command = service.get("command")
    if command is None:
        return {}
    if command.items is not None:
        words = [(item.text or "", item.line) for item in command.items]
    else:
        try:
            words = [(word, command.line) for word in shlex.split(command.text or "")]
        except ValueError:
            return {}
    settings = {}
    for number_, (word, line) in enumerate(words):
        before = words[number_ - 1][0] if number_ else ""
        key, equals, value = word.removeprefix("--").partition("=")
        if equals and (before == "-c" or word.startswith("--")):
            key = key.replace("-", "_")
            settings[key] = _filled(value), Place(file.name, line, key)
    return settings


def _environment(file: SourceFile, service: Item) -> Settings:
    """Both forms: a mapping, and a list of ``KEY=VALUE``."""
    environment = service.get("environment")
    if environment is None:
        return {}
    pairs = [(key, item.text or "", item.line) for key, item in (environment.fields or {}).items()]
    for item in environment.items or ():
        key, _, value = (item.text or "").partition("=")
        pairs.append((key, value, item.line))
    return {key: (_filled(text), Place(file.name, line, key)) for key, text, line in pairs}


def _filled(text: str) -> str:
    """With ``${VARIABLE:-default}`` at its default; other placeholders stay, and are unknown."""
    return _DEFAULTED.sub(lambda found: found[1], text)
