"""The rules' pages: what they show *before* is found, and what they show *after* is not.

The block of a page is a few lines of a file. Here each stands in the smallest project in which it
means something; the rest of that project is the same before and after.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import indent

import pytest

from harness.audit import Declared, audit_files
from harness.audit.rules import RULES

PAGES = Path(__file__).parents[2] / "docs" / "audit"

NOT_AUDITED = {
    "PD104": "its remedy is to watch, or to choose PD105",
    "PD135": "its remedy is a PgBouncer, which stands in a file of its own",
}
"""Pages without a block that can be audited, each with the reason."""

Files = dict[str, str]
Project = Callable[[str], Files]

_MARK = re.compile(r"^(?:#|;|--) (before|after)\b")
_TRAILING = re.compile(r"^(.*\S) +(?:#|;|--) (before|after)\b.*$")


def blocks(rule: str) -> list[str]:
    """The blocks of code below *How to fix it*."""
    text = (PAGES / f"{rule}.md").read_text("utf-8")
    fix = text.partition("## How to fix it")[2].partition("\n## ")[0]
    return re.findall(r"^```\w+\n(.*?)^```", fix, re.MULTILINE | re.DOTALL)


def side(block: str, wanted: str) -> str:
    """The lines of a block that are for ``wanted``, and those that are for both."""
    if not _has_sides(block):
        return block if wanted == "after" else ""
    lines, current = [], ""
    for line in block.splitlines():
        if (mark := _MARK.match(line)) is not None:
            current = mark[1]
        elif (own := _TRAILING.match(line)) is not None:
            lines += [own[1]] if own[2] == wanted else []
        elif current in ("", wanted):
            lines.append(line)
    return "\n".join(lines) + "\n"


def _has_sides(block: str) -> bool:
    return any(_MARK.match(line) or _TRAILING.match(line) for line in block.splitlines())


# -- projects -----------------------------------------------------------------------------------

NGINX = """\
upstream auth {{ server auth:8000; }}
server {{
  location / {{
    proxy_pass http://auth;
    proxy_read_timeout {seconds}s;
  }}
}}
"""
QUIET_SERVER = "idle_in_transaction_session_timeout = 60s\nstatement_timeout = 1s\n"


def service(block: str, environment: str = "", *, replicas: int = 2, port: int = 5432) -> str:
    """A compose file with the service's own settings, of which the block is a part."""
    host = "bouncer" if port == 6432 else "db"
    settings = f"AUTH_DATABASE_URL: postgresql://auth@{host}:{port}/auth\n{environment}{block}"
    return (
        "services:\n"
        "  auth:\n"
        "    image: registry.example/auth:1\n"
        "    environment:\n" + indent(settings, "      ") + "    deploy:\n"
        f"      replicas: {replicas}\n"
        "  db:\n"
        "    image: postgres:18\n"
    )


def environment(more: str = "", gateway_s: float | None = None, replicas: int = 2) -> Project:
    """Whose block is a part of the service's environment."""

    def project(block: str) -> Files:
        files = {"compose.yaml": service(block, more, replicas=replicas)}
        return files if gateway_s is None else {**files, "nginx.conf": _nginx(gateway_s)}

    return project


def _nginx(seconds: float) -> str:
    return NGINX.format(seconds=f"{seconds:g}")


ENGINE = """\
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from psycopg_pool import AsyncConnectionPool, ConnectionPool

url = "postgresql+psycopg2://app@db/app?connect_timeout=5"
"""


def python(before_block: str = "", *, idle_s: int = 0, files: Files | None = None) -> Project:
    """Whose block makes a pool, before a server that ends what is idle for ``idle_s``."""

    def project(block: str) -> Files:
        return {
            "app/db.py": ENGINE + before_block + block,
            "Dockerfile": "FROM python:3.13\nCMD gunicorn --threads 20 app.db:app\n",
            "postgresql.conf": f"{QUIET_SERVER}idle_session_timeout = {idle_s}s\n",
            **(files or {}),
        }

    return project


def pgbouncer(
    more: str = "",
    *,
    gateway_s: float | None = None,
    server: str = QUIET_SERVER,
    pool: str = "AUTH_POOL__SIZE: 12\nAUTH_POOL__MAX_OVERFLOW: 0\n",
) -> Project:
    """Whose block is a part of PgBouncer's settings, with two pools before it."""

    def project(block: str) -> Files:
        ini = "[databases]\n* = host=db\n[pgbouncer]\n" + more + block
        files = {
            "compose.yaml": service(pool, port=6432),
            "pgbouncer.ini": ini,
            "postgresql.conf": server,
        }
        return files if gateway_s is None else {**files, "nginx.conf": _nginx(gateway_s)}

    return project


def sql(files: Files) -> Project:
    """Whose block is run in the database."""
    return lambda block: {**files, "roles.sql": block}


def rules(files: Files, block: str) -> Files:
    """Alerts, of which the block is one, or an expression of one."""
    alert = block if block.startswith("- alert") else f"- alert: Pool\n{indent(block, '  ')}"
    return {**files, "rules.yml": f"groups:\n- name: pools\n  rules:\n{indent(alert, '  ')}"}


def many_users(block: str) -> Files:
    """Three services with a role each, and 40 connections for each of them."""
    one = "  {name}:\n    image: registry.example/auth:1\n    environment:\n"
    one += "      AUTH_DATABASE_URL: postgresql://{name}@bouncer:6432/auth\n"
    one += "      AUTH_POOL__SIZE: 100\n"
    services = "".join(one.format(name=name) for name in ("web", "jobs", "admin"))
    return {
        **pgbouncer()(block),
        "compose.yaml": f"services:\n{services}  db: {{image: postgres:18}}\n",
    }


def fork(block: str) -> Files:
    """An engine of import time, and gunicorn's settings."""
    return {
        **python()("engine = create_engine(url)\n"),
        "Dockerfile": "FROM python:3.13\nCMD gunicorn app.db:app\n",
        "gunicorn.conf.py": block,
    }


def endpoints(block: str) -> Files:
    """A FastAPI application with the usual session."""
    head = (
        "from typing import Annotated\n"
        "from fastapi import Depends, FastAPI\n"
        "from fastapi.responses import StreamingResponse\n"
        "from sqlalchemy.orm import Session, sessionmaker\n"
        f"{ENGINE}"
        "engine = create_engine(url)\n"
        "make = sessionmaker(engine)\n"
        "app = FastAPI()\n\n"
        "def get_session():\n"
        "    with make() as session:\n"
        "        yield session\n\n"
    )
    return {"app/main.py": head + block}


def descriptors(block: str) -> Files:
    """A unit of systemd that runs PgBouncer."""
    start = "ExecStart=/usr/sbin/pgbouncer /etc/pgbouncer/pgbouncer.ini\n"
    files = pgbouncer("max_client_conn = 5000\n")("")
    return {**files, "pgbouncer.service": block + start}


def envoy(block: str) -> Files:
    """An edge that tries again, and its cluster."""
    route = (
        "static_resources:\n"
        "  listeners:\n"
        "  - name: edge\n"
        "    filter_chains:\n"
        "    - filters:\n"
        "      - name: envoy.filters.network.http_connection_manager\n"
        "        typed_config:\n"
        '          "@type": type.googleapis.com/envoy.extensions.filters.network.'
        "http_connection_manager.v3.HttpConnectionManager\n"
        "          route_config:\n"
        "            virtual_hosts:\n"
        "            - name: auth\n"
        '              domains: ["*"]\n'
        "              routes:\n"
        '              - match: {prefix: "/"}\n'
        "                route:\n"
        "                  cluster: auth\n"
        "                  timeout: 6s\n"
        "                  retry_policy: {retry_on: 5xx, num_retries: 3}\n"
        "  clusters:\n"
        "  - name: auth\n"
        "    load_assignment: {cluster_name: auth, endpoints: [{lb_endpoints: [{endpoint: "
        "{address: {socket_address: {address: auth, port_value: 8000}}}}]}]}\n"
    )
    pool = "AUTH_POOL__SIZE: 10\nAUTH_POOL__MAX_OVERFLOW: 0\nAUTH_POOL__TIMEOUT_S: 1\n"
    return {**environment(pool)(""), "envoy.yaml": route + indent(block, "    ")}


TEN = "AUTH_POOL__SIZE: 10\nAUTH_POOL__MAX_OVERFLOW: 0\n"
SYNC = "AUTH_POOL__IMPLEMENTATION: sqlalchemy-sync\n"
PSYCOPG = "AUTH_POOL__IMPLEMENTATION: psycopg-pool\n"
IDLE = "idle_in_transaction_session_timeout"
WATCHED = {
    "prometheus.yml": "global: {scrape_interval: 15s, evaluation_interval: 15s}\n"
    "scrape_configs: [{job_name: auth}]\n",
    "alertmanager.yml": "route: {receiver: page, group_wait: 10s}\nreceivers: [{name: page}]\n",
}

ALONE: dict[tuple[str, int], tuple[Project, Declared]] = {
    ("PD101", 0): (environment(replicas=12), Declared()),
    ("PD102", 0): (lambda block: {"app/db.py": ENGINE + block}, Declared()),
    ("PD103", 0): (environment(gateway_s=6), Declared()),
    ("PD105", 0): (environment(SYNC + TEN), Declared()),
    ("PD106", 0): (
        lambda block: python("engine = create_engine(url)\ndef log():\n")(indent(block, "    ")),
        Declared(),
    ),
    ("PD107", 0): (endpoints, Declared()),
    ("PD108", 0): (python(idle_s=350), Declared()),
    ("PD109", 0): (python(idle_s=600), Declared()),
    ("PD110", 0): (python(), Declared()),
    ("PD111", 0): (fork, Declared()),
    ("PD112", 0): (python("pool = ConnectionPool(url, close_returns=True)\n"), Declared()),
    ("PD113", 0): (python(), Declared()),
    ("PD114", 0): (environment(PSYCOPG), Declared()),
    ("PD115", 0): (python(), Declared()),
    ("PD116", 0): (environment(), Declared(slo_s=1.0)),
    ("PD117", 0): (python(idle_s=600), Declared()),
    ("PD118", 0): (python("from contextlib import asynccontextmanager\n"), Declared()),
    ("PD119", 0): (
        lambda block: {
            "requirements.txt": block,
            "db.py": "from psycopg_pool import ConnectionPool\n"
            'pool = ConnectionPool("postgresql://db/app?connect_timeout=5", '
            "check=ConnectionPool.check_connection)\n",
        },
        Declared(),
    ),
    ("PD120", 0): (pgbouncer("pool_mode = session\nreserve_pool_size = 0\n"), Declared()),
    ("PD121", 0): (many_users, Declared()),
    ("PD122", 0): (pgbouncer(pool="AUTH_POOL__SIZE: 60\nAUTH_POOL__MAX_OVERFLOW: 0\n"), Declared()),
    ("PD123", 0): (pgbouncer(gateway_s=6), Declared()),
    ("PD124", 0): (pgbouncer("pool_mode = transaction\n", gateway_s=3), Declared()),
    ("PD125", 0): (pgbouncer(), Declared(peak_per_s=30.0)),
    ("PD126", 0): (descriptors, Declared()),
    ("PD127", 0): (sql(pgbouncer("query_timeout = 10\n", server="")("")), Declared()),
    ("PD128", 0): (pgbouncer(pool="AUTH_POOL__RECYCLE_S: 1800\n"), Declared()),
    ("PD129", 1): (pgbouncer(gateway_s=6), Declared()),
    ("PD130", 0): (
        lambda block: {
            **pgbouncer()(block),
            "compose.yaml": "services: {db: {image: postgres:18}}\n",
            "app/db.py": 'import asyncpg\npool = asyncpg.create_pool("postgresql://a@b:6432/c")\n',
        },
        Declared(),
    ),
    ("PD131", 0): (sql(environment()("")), Declared()),
    ("PD132", 0): (sql(environment()("")), Declared()),
    ("PD133", 0): (
        sql(
            {
                **pgbouncer(server="idle_session_timeout = 300s\n")(""),
                "pgbouncer.ini": "[databases]\nauth = host=db user=pgbouncer\n[pgbouncer]\n",
            }
        ),
        Declared(),
    ),
    ("PD134", 0): (
        sql(
            {
                **environment("AUTH_POOL__SIZE: 50\n")(""),
                "postgresql.conf": "reserved_connections = 3",
            }
        ),
        Declared(),
    ),
    ("PD137", 1): (envoy, Declared(peak_per_s=30.0, hold_s=0.5)),
    ("PD138", 0): (
        lambda block: python(
            "from prometheus_client import Histogram\nengine = create_engine(url)\n"
        )(block + 'WAIT = Histogram("login_wait_seconds", "Waits.", buckets=buckets)\n'),
        Declared(),
    ),
    ("PD139", 0): (
        lambda block: rules(environment(SYNC + TEN + "AUTH_POOL__THREADS: 25\n")(""), block),
        Declared(),
    ),
    ("PD140", 0): (lambda block: rules({}, block), Declared()),
    ("PD140", 1): (lambda block: rules({}, block), Declared()),
    ("PD141", 0): (
        lambda block: rules({**environment(TEN)(""), **WATCHED}, block),
        Declared(peak_per_s=80.0, hold_s=0.5),
    ),
    ("PD142", 0): (
        environment("AUTH_POOL__MAX_OVERFLOW: 0\n"),
        Declared(peak_per_s=29.0, hold_s=0.5),
    ),
}
"""The project of each block, by its rule and its number on the page, and what is declared."""

OTHER_BLOCKS = {
    ("PD129", 0): "it is typed into PgBouncer's console",
    ("PD136", 0): "how long clients wait stands in no file but an incident",
    ("PD137", 0): "it is a part of an incident",
}
"""Blocks that are not audited, each with the reason."""


def said(
    project: Project, block: str, declared: Declared, folder: Path
) -> tuple[set[str], set[str]]:
    """The rules that find something, and those that cannot tell."""
    for name, text in project(block).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    audit = audit_files([folder], declared)
    return {each.id for each in audit.findings}, {each.id for each in audit.unknown}


@pytest.mark.parametrize(("rule", "number"), list(ALONE))
def test_a_page_shows_what_is_found_and_what_is_not(rule: str, number: int, tmp_path: Path) -> None:
    project, declared = ALONE[rule, number]
    block = blocks(rule)[number]
    found, unknown = said(project, side(block, "before"), declared, tmp_path / "before")
    assert rule in found
    found, unknown = said(project, side(block, "after"), declared, tmp_path / "after")
    assert rule not in found | unknown


def test_every_block_is_audited_or_has_a_reason_not_to_be() -> None:
    shown = {(rule.ID, number) for rule in RULES for number in range(len(blocks(rule.ID)))}
    shown = {(rule, number) for rule, number in shown if rule not in NOT_AUDITED}
    assert shown == ALONE.keys() | OTHER_BLOCKS.keys()
    assert not ALONE.keys() & OTHER_BLOCKS.keys()


def test_every_page_shows_something_or_has_a_reason_not_to() -> None:
    assert {rule.ID for rule in RULES if not blocks(rule.ID)} <= NOT_AUDITED.keys()
