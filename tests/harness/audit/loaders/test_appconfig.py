"""An application's own configuration: pools by what their settings are called, and nothing else."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import appconfig
from harness.audit.parts import Pool
from harness.audit.values import Value
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

TOML = """\
title = "shop"

[database]
url = "postgresql://shop:hunter2-canary@db:5433/shop"
pool_size = 20
max_overflow = -1
"pool_timeout" = 2.5
pool_pre_ping = true

[cache.pool]
max_size = 50
"""


def pool_of(name: str, text: str) -> Pool:
    (code,) = read(appconfig, name, text).codes
    (pool,) = code.pools
    return pool


def known(value: Value[float], line: int) -> float | None:
    """The value, which stands on that line."""
    assert value.place is not None
    assert value.place.line == line
    return value.known


def test_toml_is_read_with_its_lines() -> None:
    pool = pool_of("config/settings.toml", TOML)
    assert (pool.name, pool.place.line, pool.implementation) == ("database", 3, "sqlalchemy")
    assert known(pool.size, 5) == 20
    assert known(pool.max_overflow, 6) == math.inf
    assert known(pool.timeout_s, 7) == 2.5
    assert pool.pre_ping.known is True
    target = pool.target
    assert (target.host.known, target.port.known, target.user.known) == ("db", 5433, "shop")


def test_what_sqlalchemys_names_tell_has_its_defaults() -> None:
    pool = pool_of("app.toml", "[db]\npool_recycle = 600\n")
    assert (pool.size.known, pool.max_overflow.known, pool.timeout_s.known) == (5, 10, 30)
    assert (pool.recycle_s.known, pool.size.why) == (600, "SQLAlchemy")


def test_sqlalchemys_zero_is_no_limit() -> None:
    pool = pool_of("app.toml", "[db]\npool_size = 0\nmax_overflow = 0\n")
    assert pool.capacity.known == math.inf


def test_where_no_name_tells_nobodys_defaults_hold() -> None:
    pool = pool_of("app.yaml", "database:\n  host: db\n  pool_size: 7\n  pool_timeout: 5000\n")
    assert (pool.implementation, pool.size.known) == ("unknown", 7)
    assert "whose defaults" in pool.max_overflow.why
    assert "whose defaults" in pool.recycle_s.why
    assert "unit" in pool.timeout_s.why


def test_a_maximum_is_one() -> None:
    pool = pool_of("app.yaml", "postgres:\n  pool:\n    min: 2\n    max: 12\n")
    assert (pool.capacity.known, pool.min_size.known) == (12, 2)


def test_json_is_read_with_its_lines_tabs_or_not() -> None:
    text = (
        '{\n\t"db": {\n\t\t"host": "db",\n'
        '\t\t"pool": {"max": 9,\n\t\t"connectionTimeoutMillis": 800}\n}}'
    )
    for each in (text, text.replace("\t", "  ")):
        pool = pool_of("config/default.json", each)
        assert known(pool.size, 4) == 9
        assert known(pool.timeout_s, 5) == 0.8
        assert pool.target.host.known == "db"


def test_node_postgres_waits_for_ever_unless_told() -> None:
    pool = pool_of("a.json", json.dumps({"db": {"pool": {"max": 5, "idleTimeoutMillis": 1}}}))
    assert (pool.timeout_s.known, pool.timeout_s.why) == (math.inf, "node-postgres")


def test_psycopg_pools_names() -> None:
    text = "[database.pool]\nmin_size = 2\nmax_size = 8\nmax_waiting = 0\nmax_lifetime = 900\n"
    pool = pool_of("app.toml", text)
    assert (pool.implementation, pool.size.known, pool.max_waiting.known) == (
        "psycopg-pool",
        8,
        math.inf,
    )
    assert (pool.timeout_s.known, pool.recycle_s.known) == (30, 900)


@pytest.mark.parametrize(
    ("key", "seconds"),
    [("pool_timeout_ms", 2.0), ("pool_timeout_seconds", 2000.0), ("pool_timeout_s", 2000.0)],
)
def test_a_unit_in_the_name_holds(key: str, seconds: float) -> None:
    pool = pool_of("app.toml", f"[db]\npool_size = 5\n{key} = 2000\n")
    assert pool.timeout_s.known == seconds


def test_placeholders_are_decided_by_their_variables() -> None:
    text = "database:\n  url: ${DATABASE_URL}\n  pool_size: ${POOL_SIZE:-5}\n  max_overflow: 0\n"
    pool = pool_of("app.yaml", text)
    assert pool.size.known == 5
    assert pool.size.variable is not None
    assert pool.size.variable.name == "POOL_SIZE"
    assert pool.target.host.variable is not None


def test_folders_of_settings_belong_to_the_program_around_them() -> None:
    for name, folder in (("shop/config/a.toml", "shop"), ("shop/a.toml", "shop")):
        (code,) = read(appconfig, name, TOML).codes
        assert code.folder == folder


def test_each_of_several_databases_has_its_pool() -> None:
    text = "databases:\n  - {host: a, pool_size: 1}\n  - {host: b, pool_size: 2}\n"
    (code,) = read(appconfig, "app.yaml", text).codes
    assert [(p.size.known, p.target.host.known) for p in code.pools] == [(1, "a"), (2, "b")]


def test_another_databases_pool_is_none() -> None:
    text = '[database]\nurl = "mysql://db/shop"\npool_size = 3\n'
    assert read(appconfig, "app.toml", text).codes == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("package.json", '{"database": {"pool_size": 3}}'),
        ("pyproject.toml", "[tool.database]\npool_size = 3\n"),
        ("redis.yaml", "redis:\n  database: 0\n  pool_size: 3\n"),
        ("threads.toml", "[database.thread_pool]\npool_size = 3\n"),
        ("http.yaml", "http:\n  pool:\n    max_size: 3\ndatabase: x\n"),
        ("ci.yml", "jobs:\n  build:\n    pool: ubuntu\n    database: x\n"),
        ("azure.yml", "pool:\n  vmImage: ubuntu\n# postgres\n"),
        ("schema.yaml", "openapi: 3.0.0\ndatabase:\n  pool_size: 3\n"),
        ("k8s.yaml", "apiVersion: v1\ndata:\n  database: {pool_size: 3}\n"),
        ("data.json", '[{"page_size": 3, "database": "x"}]'),
        ("app.toml", "pool_size = 3\n# database\n"),
        ("app.toml", "[database\npool_size = 3\n"),
    ],
)
def test_other_files_are_not_recognised(name: str, text: str) -> None:
    assert not appconfig.recognises(source(name, text))


def test_no_secret_is_repeated() -> None:
    texts_of_files = {
        "a.toml": TOML + f'password = "{SECRET}"\n',
        "b.toml": f'[database]\npool_size = "{SECRET}"\nmax_overflow = "{SECRET}"\n'
        f'pool_timeout = "{SECRET}"\npool_pre_ping = "{SECRET}"\nport = "{SECRET}"\n',
        "c.yaml": f"database:\n  dsn: postgresql://u:{SECRET}@/x@y\n  pool_size: 3\n",
        "d.yaml": f"database:\n  url: {SECRET}\n  pool_size: 3\n",
        "e.yaml": f"database:\n  password: {SECRET}\n  secret: {SECRET}\n  pool_size: 3\n",
    }
    for name, text in texts_of_files.items():
        assert SECRET not in texts(read(appconfig, name, text)), name


KEYS = ["database", "db", "pool", "pool_size", "max_overflow", "max", "url", "timeout", "redis"]


@given(
    st.recursive(
        st.text(max_size=8) | st.integers() | st.booleans() | st.none() | st.floats(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
        ),
        max_leaves=15,
    ),
    st.text(max_size=100),
)
def test_no_document_makes_it_fall(data: object, text: str) -> None:
    for name, each in (
        ("a.json", json.dumps({"database": data, "pool_size": 1})),
        ("a.yaml", f"database: {text}\n  pool_size: 1"),
        ("a.toml", f"[database]\npool_size = {text}"),
    ):
        file = source(name, each)
        appconfig.recognises(file)
        appconfig.load(file)


def test_code_may_read_its_section_by_its_names() -> None:
    text = (
        "database:\n  url: postgresql://me:x@db/a\n  poolWait: 2\n  pool: {size: 5, overflow: 2}\n"
    )
    (code,) = read(appconfig, "config/a.yaml", text).codes
    assert {name: said for name, (said, _) in code.said.items()} == {
        "url": "postgresql://me@db/a",
        "poolWait": "2",
        "size": "5",
        "overflow": "2",
    }
    assert [place.line for _, place in code.said.values()] == [2, 3, 4, 4]


def test_of_several_sections_no_name_is_one_of_the_codes() -> None:
    text = "".join(
        f"{name}:\n  pool: {{size: 5, overflow: 2}}\n" for name in ("database1", "database2")
    )
    (code,) = read(appconfig, "config/a.yaml", text).codes
    assert (len(code.pools), code.said) == (2, {})


def test_another_pooler_is_no_programs_pool() -> None:
    text = (
        '[general]\nport = 6432\n[pools.shop_db.users.0]\nusername = "u"\npool_size = 9\n'
        '[pools.shop_db.shards.0]\nservers = [["postgres", 5432, "primary"]]\ndatabase = "shop"\n'
    )
    found = read(appconfig, "pgcat.toml", text)
    assert found.codes == ()
    assert "PgBouncer" in found.unread[0].why
