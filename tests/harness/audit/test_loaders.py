"""Files become shares of the chain: values with their lines, defaults, and what is unknown."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import load
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile

COMPOSE = """\
x-common: &common
  restart: "no"
services:
  api:
    <<: *common
    image: registry.example/auth:1
    environment:
      AUTH_DATABASE_URL: postgresql://auth:hunter2@db/auth
      AUTH_POOL__SIZE: ${POOL_SIZE:-12}
      AUTH_POOL__MAX_OVERFLOW: ${OVERFLOW}
    deploy: {replicas: 3}
  edge:
    image: registry.example/gateway:1
    environment: ["GATEWAY_UPSTREAMS=[]", "GATEWAY_TIMEOUT_S=8"]
  db:
    image: postgres:18
    command: postgres -c max_connections=60 -c statement_timeout=30s
  bouncer:
    image: edoburu/pgbouncer:v1.24.1-p1
    environment: {POOL_MODE: transaction, DEFAULT_POOL_SIZE: "40"}
"""


def read(name: str, text: str) -> Reading:
    found = load(SourceFile(Path(name), name, text))
    assert found is not None, f"{name} is of no known format"
    return found


def test_a_compose_file_becomes_the_chain() -> None:
    found = read("docker-compose.yml", COMPOSE)
    (api,), (edge,), (db,), (bouncer,) = (
        found.workloads,
        found.gateways,
        found.servers,
        found.poolers,
    )
    (pool,) = api.pools
    assert (api.replicas.known, api.processes.known) == (3, 1)
    assert pool.size.known == 12, "a variable's default holds"
    assert pool.size.place is not None
    assert (pool.size.place.line, pool.size.place.key) == (9, "AUTH_POOL__SIZE")
    assert not pool.max_overflow.is_known, "nobody knows what OVERFLOW will be"
    assert "filled in elsewhere" in pool.max_overflow.why
    assert pool.timeout_s.origin == "default"
    assert edge.timeout_s.known == 8
    assert (db.max_connections.known, db.statement_timeout_s.known) == (60, 30)
    assert db.idle_in_transaction_timeout_s.known == math.inf
    assert db.grant.known == 57
    assert (bouncer.pool_mode.known, bouncer.default_pool_size.known) == ("transaction", 40)
    assert bouncer.max_client_conn.known == 100, "PgBouncer's default"


def test_our_own_compose_file_is_understood() -> None:
    text = (Path(__file__).parents[3] / "docker-compose.yml").read_text("utf-8")
    found = read("docker-compose.yml", text)
    assert [each.name for each in found.workloads] == ["auth-1", "auth-2"]
    assert found.servers[0].grant.known == 95
    assert found.gateways[0].timeout_s.known == 6
    assert found.unread == ()


def test_an_environment_file_is_read_with_its_lines() -> None:
    text = "# the pool\n\nAUTH_POOL__SIZE=4\nexport AUTH_POOL__TIMEOUT_S='2.5'\n"
    (workload,) = read(".env", text).workloads
    (pool,) = workload.pools
    assert (pool.size.known, pool.timeout_s.known) == (4, 2.5)
    assert pool.size.place is not None
    assert pool.timeout_s.place is not None
    assert (pool.size.place.line, pool.timeout_s.place.line) == (3, 4)
    assert not workload.replicas.is_known


def test_pgbouncer_ini_is_read_with_its_lines() -> None:
    text = "[databases]\n* = host=db\n[pgbouncer]\npool_mode = session\nmax_db_connections = 0\n"
    (pooler,) = read("pgbouncer.ini", text).poolers
    assert (pooler.pool_mode.known, pooler.max_db_connections.known) == ("session", math.inf)
    assert pooler.pool_mode.place is not None
    assert pooler.pool_mode.place.line == 4


PYTHON = """\
import os
import sqlalchemy as sa
from psycopg_pool import AsyncConnectionPool

engine = sa.create_engine(
    os.environ["DATABASE_URL"],
    pool_size=20,
    max_overflow=-1,
    pool_timeout=int(os.environ["TIMEOUT"]),
    pool_pre_ping=True,
)
pool = AsyncConnectionPool(kwargs={}, min_size=2, max_size=8, max_waiting=50)
other = sa.create_engine(URL, **options)
small = sa.create_engine("sqlite:///cache.db")
none = sa.create_engine(URL, poolclass=sa.NullPool)
"""


def test_python_is_read_as_a_syntax_tree() -> None:
    engine, pool, other, none = (each.pools[0] for each in read("app/db.py", PYTHON).workloads)
    assert (engine.size.known, engine.max_overflow.known, engine.pre_ping.known) == (
        20,
        math.inf,
        True,
    )
    assert engine.max_overflow.place is not None
    assert (engine.max_overflow.place.line, engine.max_overflow.place.key) == (8, "max_overflow")
    assert "computed" in engine.timeout_s.why
    assert engine.recycle_s.origin == "default"
    assert (pool.capacity.known, pool.max_waiting.known, pool.timeout_s.known) == (8, 50, 30)
    assert "**" in other.size.why
    assert none.implementation == "none"


@pytest.mark.parametrize(
    "text", ["create_engine(", "create_engine(x)\n\tpass", "create_engine(\u00b2)"]
)
def test_python_that_is_none_is_unread(text: str) -> None:
    (unread,) = read("broken.py", text).unread
    assert "not Python" in unread.why


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("docker-compose.yml", "services: [\n", "not valid YAML"),
        ("docker-compose.yml", f"services: {{}}\n{BOMB}", "aliases written out"),
        ("docker-compose.yml", "services: &s\n  a: *s\n", "contains itself"),
        ("docker-compose.yml", "services: {}\n---\nservices: {}\n", "one document"),
        ("pgbouncer.ini", "[pgbouncer]\nwhat is this\n", "not an INI file"),
        (".env", "AUTH_POOL__SIZE=4\n=nothing\n", "no KEY=VALUE"),
    ],
)
def test_what_is_not_understood_is_said(name: str, text: str, why: str) -> None:
    (unread, *_) = read(name, text).unread
    assert why in unread.why


def test_half_an_incident_is_unread(tmp_path: Path) -> None:
    text = "schema: 1\nclock: {}\nservice: {}\nload: {}\n"
    half = tmp_path / "half.yaml"
    half.write_text(text, "utf-8")
    found = load(SourceFile(half, "half.yaml", text))
    assert found is not None
    (unread,) = found.unread
    assert "problem" in unread.why


@given(st.text(max_size=300), st.sampled_from(["docker-compose.yml", ".env", "pgbouncer.ini"]))
def test_no_text_makes_a_loader_fall(text: str, name: str) -> None:
    head = {"docker-compose.yml": "services:\n", ".env": "AUTH_POOL__SIZE=", "pgbouncer.ini": ""}
    load(SourceFile(Path(name), name, head[name] + text))
    load(SourceFile(Path(name), name, "[pgbouncer]\n" + text))
    load(SourceFile(Path("x.py"), "x.py", f"create_engine({text})"))
