"""Pools that Python makes: what is said, where, and what their makers document."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.audit.loaders import python
from harness.audit.parts import Pool
from harness.audit.values import Place, Value
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

SQLALCHEMY = "from sqlalchemy import create_engine\n"
URL = '"postgresql+psycopg://u:p@db:6432/app"'


def pools(text: str, name: str = "app/db.py") -> tuple[Pool, ...]:
    return tuple(pool for code in read(python, name, text).codes for pool in code.pools)


def pool(text: str) -> Pool:
    (found,) = pools(text)
    return found


def engine(arguments: str, before: str = "") -> Pool:
    return pool(f"{SQLALCHEMY}{before}\nengine = create_engine({URL}, {arguments})\n")


def line(value: Value[Any]) -> int:
    assert value.place is not None
    return value.place.line


def in_environment(value: Value[Any], **said: str) -> Value[Any]:
    return value.resolved({name: (text, Place(".env", 1, name)) for name, text in said.items()})


def test_an_engine_has_sqlalchemys_defaults() -> None:
    found = engine("")
    assert (found.implementation, found.name) == ("sqlalchemy", "engine")
    assert (found.size.known, found.max_overflow.known, found.timeout_s.known) == (5, 10, 30)
    assert (found.recycle_s.known, found.pre_ping.known, found.use_lifo.known) == (
        math.inf,
        False,
        False,
    )
    assert found.size.origin == "default"
    assert (found.is_async.known, found.made_at_import.known) == (False, True)
    assert (found.target.host.known, found.target.port.known) == ("db", 6432)


def test_what_is_said_stands_on_its_line() -> None:
    found = pool(
        f"""\
import sqlalchemy as sa
SIZE = 4 * 5
OPTIONS = {{"pool_timeout": 60 / 12, **dict(pool_recycle=3600)}}
engine = sa.create_engine(
    {URL},
    pool_size=SIZE,
    max_overflow=-1,
    pool_pre_ping=True,
    **OPTIONS,
)
"""
    )
    assert (found.size.known, line(found.size)) == (20, 2)
    assert (found.max_overflow.known, line(found.max_overflow)) == (math.inf, 7)
    assert (found.timeout_s.known, line(found.timeout_s)) == (5, 3)
    assert (found.recycle_s.known, found.pre_ping.known) == (3600, True)


@pytest.mark.parametrize(
    ("expression", "default", "resolved"),
    [
        ('os.environ["X"]', None, 7),
        ('int(os.environ["X"])', None, 7),
        ('int(os.getenv("X", "5"))', 5, 7),
        ('os.environ.get("X", 5)', 5, 7),
        ('int(os.getenv("X", 5)) * 2', 10, 14),
        ('int(os.getenv("X") or 5)', 5, 7),
        ('env.int("X", default=5)', 5, 7),
        ('env.int("X", 5)', 5, 7),
        ('env("X", cast=int, default=5)', 5, 7),
        ('config("X", default=5, cast=int)', 5, 7),
        ('config("X", default="5", cast=int)', 5, 7),
        ('max(1, int(os.getenv("X", "5")))', 5, 7),
    ],
)
def test_the_environment_decides(expression: str, default: float | None, resolved: float) -> None:
    found = engine(f"pool_size={expression}", "import os").size
    assert found.known == default
    assert in_environment(found, X="7").known == resolved
    assert not in_environment(found, X=SECRET).is_known
    assert SECRET not in texts(in_environment(found, X=SECRET))


@pytest.mark.parametrize(
    ("expression", "default", "resolved"),
    [
        ('os.getenv("X", "false").lower() == "true"', False, True),
        ('os.getenv("X", "0") in ("1", "true")', False, True),
        ('env.bool("X", False)', False, True),
        ('not env.bool("X", True)', False, False),
    ],
)
def test_truths_are_read_as_they_are_compared(
    expression: str, default: bool, resolved: bool
) -> None:
    found = engine(f"pool_pre_ping={expression}", "import os").pre_ping
    assert found.known is default
    assert in_environment(found, X="true").known is resolved


@pytest.mark.parametrize(
    ("before", "expression", "name"),
    [
        ("from .config import settings", "settings.pool_size", "pool_size"),
        ("from .config import get_settings", "get_settings().pool_size", "pool_size"),
        ("from . import config", "config.POOL_SIZE", "POOL_SIZE"),
        ("from .config import POOL_SIZE as SIZE", "SIZE", "POOL_SIZE"),
        ("", 'app.config["POOL_SIZE"]', "POOL_SIZE"),
    ],
)
def test_settings_of_other_files_are_named(before: str, expression: str, name: str) -> None:
    found = engine(f"pool_size={expression}", before).size
    assert found.variable is not None
    assert (found.variable.name, found.variable.attribute) == (name, True)
    assert found.variable.read("8") == 8


@pytest.mark.parametrize(
    ("before", "expression", "why"),
    [
        ("", "size_of(3)", "computed"),
        ("import os", "os.cpu_count() * 2", "cores"),
        ("n = 1\nn = 2", "n", "computed"),
        ("", f'"{SECRET}"', "not understood"),
        ("", "True", "not understood"),
        ("a = b\nb = a", "a", "computed"),
        ("", "1 / 0", "not understood"),
        ("", '"x" * 10**9', "computed"),
    ],
)
def test_what_cannot_be_known_says_why(before: str, expression: str, why: str) -> None:
    found = engine(f"pool_size={expression}", before).size
    assert not found.is_known
    assert why in found.why
    assert SECRET not in found.why


def test_a_parameter_is_what_its_one_call_gives() -> None:
    made = f"{SQLALCHEMY}def make(url, size=7):\n    return create_engine({URL}, pool_size=size)\n"
    assert not pool(made).size.is_known
    assert pool(f"{made}engine = make({URL})\n").size.known == 7
    assert pool(f"{made}engine = make({URL}, 9)\n").size.known == 9
    assert pool(f"{made}engine = make({URL}, size=9)\n").size.known == 9
    assert not pool(f"{made}one = make({URL}, 9)\nother = make({URL}, 8)\n").size.is_known
    assert not pool(f"{made}engine = make(*given)\n").size.is_known
    assert not pool(f"{made}engine = make(**given)\n").size.is_known


def test_newer_syntax_is_read_by_an_older_python() -> None:
    found = pool(
        f"""\
from sqlalchemy import create_engine
type Name = str
type Pair[T] = tuple[T, T]
class Box[
    T: (int, str)
]:
    pass
async def f[T](x: T) -> list[T]:
    try:
        return x[0]
    except ValueError, TypeError:
        return t"{{x}}"
engine = create_engine({URL}, pool_size=9)
"""
    )
    assert (found.size.known, line(found.size)) == (9, 13)


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ('OPTIONS["pool_size"] = 20', 20),
        ("OPTIONS.update(pool_size=20)", 20),
        ('OPTIONS.update({"pool_size": 20})', 20),
        ('if production:\n    OPTIONS["pool_size"] = 20', None),
        ('OPTIONS["pool_size"] = 20\nOPTIONS["pool_size"] = 30', None),
        ("OPTIONS[key] = 20", None),
        ("OPTIONS.update(others)", None),
        ('OPTIONS.pop("pool_size")', None),
    ],
)
def test_a_mapping_may_be_changed_later(change: str, size: float | None) -> None:
    found = engine("**OPTIONS", f'OPTIONS = {{"pool_size": 5}}\n{change}\n')
    assert found.size.known == size
    assert found.max_overflow.is_known is (size is not None)


def test_a_mapping_may_be_returned() -> None:
    made = "def options(size):\n    return dict(pool_size=size, max_overflow=2)\n"
    found = engine("**options(8)", made)
    assert (found.size.known, found.max_overflow.known) == (8, 2)
    assert not engine("**options(8)", f"{made}    return {{}}\n").max_overflow.is_known


def test_what_may_be_in_a_mapping_is_unknown() -> None:
    found = engine("**options")
    assert "**" in found.size.why
    assert not found.pre_ping.is_known


def test_what_is_doubled_over_and_over_comes_to_an_end() -> None:
    doubled = "\n".join(f"a{n} = a{n + 1} + a{n + 1}" for n in range(60)) + "\na60 = 1\n"
    assert not engine("pool_size=a0", doubled).size.is_known
    long = " + ".join(["1"] * 300)
    assert not engine(f"pool_size={long}").size.is_known


@pytest.mark.parametrize(
    ("arguments", "implementation"),
    [
        ("poolclass=NullPool", "none"),
        ("poolclass=pool.QueuePool", "sqlalchemy"),
        ("poolclass=AsyncAdaptedQueuePool", "sqlalchemy"),
        ("poolclass=StaticPool", "unknown"),
    ],
)
def test_the_pools_class_is_known(arguments: str, implementation: str) -> None:
    assert engine(arguments).implementation == implementation


def test_without_a_pool_there_is_no_size() -> None:
    assert not engine("poolclass=NullPool").capacity.is_known


@pytest.mark.parametrize(
    "url", ['"sqlite:///x.db"', '"mysql+pymysql://u:p@db/app"', 'f"sqlite:///{x}"']
)
def test_other_databases_have_no_pool_here(url: str) -> None:
    assert pools(f"{SQLALCHEMY}engine = create_engine({url})\n") == ()


def test_a_maker_may_be_imported_by_another_name() -> None:
    imported = "from sqlalchemy import create_engine as make\n"
    assert (
        pool(f"{imported}def create_engine():\n    return make({URL}, pool_size=3)\n").size.known
        == 3
    )


@pytest.mark.parametrize(
    "text",
    [
        "from app.db import create_engine\nengine = create_engine()\n",
        "def create_engine(url): ...\nengine = create_engine(1)\n",
        "import redis\npool = redis.ConnectionPool(max_connections=4)\n",
        "from redis.asyncio import ConnectionPool\npool = ConnectionPool()\n",
        "import aiomysql\npool = aiomysql.create_pool()\n",
        "self.factory.create_engine()\n",
    ],
)
def test_what_only_has_the_same_name_is_none(text: str) -> None:
    assert pools(text) == ()


@pytest.mark.parametrize(
    ("scheme", "arguments", "connect_timeout", "prepares"),
    [
        ("postgresql+asyncpg", "", 60, True),
        ("postgresql+psycopg", "", 130, True),
        ("postgresql+psycopg2", "", math.inf, False),
        ("postgresql", "", 130, None),
        ("postgresql+asyncpg", 'connect_args={"timeout": 5}', 5, True),
        ("postgresql+psycopg", 'connect_args={"connect_timeout": 5}', 5, True),
        ("postgresql+psycopg2", 'connect_args={"connect_timeout": 0}', math.inf, False),
        ("postgresql+asyncpg", 'connect_args={"statement_cache_size": 0}', 60, False),
        ("postgresql+psycopg", 'connect_args={"prepare_threshold": None}', 130, False),
        ("postgresql+psycopg", "connect_args=arguments", None, None),
    ],
)
def test_the_driver_has_its_own_defaults(
    scheme: str, arguments: str, connect_timeout: float | None, prepares: bool | None
) -> None:
    text = f'{SQLALCHEMY}engine = create_engine("{scheme}://u:p@db/app", {arguments})\n'
    found = pool(text)
    assert found.connect_timeout_s.known == connect_timeout
    assert found.prepared_statements.known == prepares
    if not arguments:
        assert found.connect_timeout_s.origin == "default"


def test_the_url_says_what_the_driver_is_told() -> None:
    found = pool(
        f'{SQLALCHEMY}engine = create_engine("postgresql+psycopg2://u:p@db/app?connect_timeout=4'
        '&options=-c%20lock_timeout%3D2s")\n'
    )
    assert (found.connect_timeout_s.known, found.connect_timeout_s.origin) == (4, "file")
    assert found.lock_timeout_s.known == 2


def test_a_variables_url_decides_what_the_driver_does() -> None:
    found = pool(f'import os\n{SQLALCHEMY}engine = create_engine(os.environ["URL"])\n')
    assert not found.connect_timeout_s.is_known
    url = "postgresql+asyncpg://u:p@db:6432/app"
    assert in_environment(found.connect_timeout_s, URL=url).known == 60
    assert in_environment(found.connect_timeout_s, URL=f"{url}?connect_timeout=3").known == 3
    assert in_environment(found.prepared_statements, URL=url).known is True
    assert in_environment(found.target.port, URL=url).known == 6432
    assert not in_environment(found.connect_timeout_s, URL=SECRET).is_known


def test_the_server_is_asked_for_timeouts() -> None:
    found = engine('connect_args={"options": "-c statement_timeout=5000 -c lock_timeout=2s"}')
    assert (found.statement_timeout_s.known, found.lock_timeout_s.known) == (5, 2)
    settings = '{"statement_timeout": "3s", "idle_in_transaction_session_timeout": "1min"}'
    found = engine(f'connect_args={{"server_settings": {settings}}}')
    assert (found.statement_timeout_s.known, found.idle_in_transaction_timeout_s.known) == (3, 60)
    assert engine('connect_args={"command_timeout": 9}').statement_timeout_s.known == 9
    assert not engine("").statement_timeout_s.is_known


@pytest.mark.parametrize(
    "url",
    [
        "f\"postgresql://{user}:{password}@{os.environ['HOST']}:6432/app\"",
        '"postgresql://" + user + ":" + password + "@" + os.environ["HOST"] + ":6432/app"',
        'URL.create("postgresql+psycopg", user, password, os.environ["HOST"], 6432, "app")',
        'URL.create(drivername="postgresql", host=os.environ["HOST"], port=6432, database="app")',
    ],
)
def test_a_url_is_put_together(url: str) -> None:
    found = pool(f"import os\nfrom sqlalchemy import URL\n{SQLALCHEMY}e = create_engine({url})\n")
    assert in_environment(found.target.host, HOST="db").known == "db"
    assert (found.target.port.known, found.target.database.known) == (6432, "app")


def test_a_creator_connects_by_itself() -> None:
    found = engine("creator=pool.getconn")
    assert not found.connect_timeout_s.is_known
    assert not found.target.host.is_known


def test_an_engine_of_a_mapping() -> None:
    found = pool(
        "from sqlalchemy import engine_from_config\n"
        'C = {"sqlalchemy.url": "postgresql://db/app", "sqlalchemy.pool_size": "7", "other": 1}\n'
        "engine = engine_from_config(C, max_overflow=2)\n"
    )
    assert (found.size.known, found.max_overflow.known) == (7, 2)
    assert found.target.host.known == "db"
    found = pool(
        "from sqlalchemy import engine_from_config\n"
        'engine = engine_from_config(config.get_section("x"), prefix="sqlalchemy.")\n'
    )
    assert not found.size.is_known


def test_an_asynchronous_engine_has_no_threads() -> None:
    found = pool(
        "from sqlalchemy.ext.asyncio import create_async_engine\nfrom fastapi import FastAPI\n"
        'engine = create_async_engine("postgresql+asyncpg://db/app")\n'
    )
    assert found.is_async.known is True
    assert not found.threads.is_known


def test_psycopgs_pool() -> None:
    found = pool(
        "from psycopg_pool import ConnectionPool\n"
        'pool = ConnectionPool("host=db port=6432", min_size=2, max_size=8, max_waiting=50,\n'
        '    kwargs={"connect_timeout": 3, "prepare_threshold": None}, '
        "check=ConnectionPool.check_connection)\n"
    )
    assert (found.implementation, found.capacity.known, found.min_size.known) == (
        "psycopg-pool",
        8,
        2,
    )
    assert (found.max_waiting.known, found.timeout_s.known, found.recycle_s.known) == (50, 30, 3600)
    assert (found.pre_ping.known, found.connect_timeout_s.known) == (True, 3)
    assert (found.prepared_statements.known, found.target.port.known) == (False, 6432)


def test_psycopgs_pool_has_its_defaults() -> None:
    found = pool("from psycopg_pool import AsyncConnectionPool\np = AsyncConnectionPool()\n")
    assert (found.capacity.known, found.min_size.known, found.max_waiting.known) == (4, 4, math.inf)
    assert (found.pre_ping.known, found.connect_timeout_s.known) == (False, 130)
    assert found.is_async.known is True


def test_a_closed_pool_has_no_connections_yet() -> None:
    imported = "from psycopg_pool import ConnectionPool\n"
    assert pool(f"{imported}p = ConnectionPool()\n").made_at_import.known is True
    assert not pool(f"{imported}p = ConnectionPool(open=False)\n").made_at_import.is_known


def test_psycopgs_null_pool_has_no_connections() -> None:
    imported = "from psycopg_pool import NullConnectionPool\n"
    assert pool(f"{imported}p = NullConnectionPool()\n").implementation == "none"
    limited = pool(f"{imported}p = NullConnectionPool(max_size=9)\n")
    assert (limited.implementation, limited.capacity.known) == ("unknown", 9)


def test_asyncpgs_pool() -> None:
    found = pool("import asyncpg\nasync def f():\n    return await asyncpg.create_pool(URL)\n")
    assert (found.implementation, found.capacity.known, found.min_size.known) == ("asyncpg", 10, 10)
    assert (found.timeout_s.known, found.recycle_s.known) == (math.inf, 300)
    assert (found.connect_timeout_s.known, found.prepared_statements.known) == (60, True)
    assert not found.made_at_import.is_known
    found = pool(
        "from asyncpg import create_pool\nasync def f():\n"
        "    p = await create_pool(dsn, min_size=1, max_size=20, timeout=4, command_timeout=7)\n"
        "    async with p.acquire(timeout=2) as c: ...\n"
    )
    assert (found.min_size.known, found.capacity.known) == (1, 20)
    assert (found.timeout_s.known, found.connect_timeout_s.known) == (2, 4)
    assert found.statement_timeout_s.known == 7


def test_psycopg2s_pools_refuse_at_once() -> None:
    found = pool(
        "from psycopg2 import pool\np = pool.ThreadedConnectionPool(1, 20, host='db', port=6432)\n"
    )
    assert (found.min_size.known, found.capacity.known, found.timeout_s.known) == (1, 20, 0)
    assert (found.target.host.known, found.connect_timeout_s.known) == ("db", math.inf)


def test_what_a_module_calls_at_its_top_is_made_at_import() -> None:
    made = f"{SQLALCHEMY}def make():\n    return create_engine({URL})\n"
    assert not pool(made).made_at_import.is_known
    assert pool(f"{made}engine = make()\n").made_at_import.known is True


def test_synchronous_engines_of_fastapi_have_its_threads() -> None:
    text = f"from fastapi import FastAPI\n{SQLALCHEMY}engine = create_engine({URL})\n"
    assert (pool(text).threads.known, pool(text).threads.origin) == (40, "default")
    limited = f"{text}limiter = current_default_thread_limiter()\nlimiter.total_tokens = 100\n"
    assert (pool(limited).threads.known, line(pool(limited).threads)) == (100, 5)
    assert not engine("").threads.is_known


@pytest.mark.parametrize(
    "text",
    ["create_engine(", "create_engine(x)\n\tpass", "create_engine(\u00b2)", "create_engine\0"],
)
def test_python_that_is_none_is_unread(text: str) -> None:
    (unread,) = python.load(source("broken.py", text)).unread
    assert "not Python" in unread.why


ENV_INT = """\
import os
def env_int(name, default=3, *, least=1):
    \"\"\"A number.\"\"\"
    raw = os.getenv(name, default)
    return max(int(raw), least)
"""


@pytest.mark.parametrize(
    ("call", "default", "resolved"),
    [
        ('env_int("SIZE", 8)', 8, 20),
        ('env_int("SIZE")', 3, 20),
        ('env_int(name="SIZE", default="6")', 6, 20),
        ('env_int("SIZE", 8, least=25)', 25, 25),
        ("env_int(*ARGS)", None, None),
        ('env_int("SIZE", **MORE)', None, None),
        ('env_int("SIZE", 8, 9)', None, None),
        ("env_int()", None, None),
    ],
)
def test_a_function_that_only_gives_a_value_is_what_it_gives(
    call: str, default: float | None, resolved: float | None
) -> None:
    found = engine(f"pool_size={call}, pool_timeout=env_int('T', 9)", ENV_INT)
    assert found.size.known == default
    assert in_environment(found.size, SIZE="20").known == resolved
    assert found.timeout_s.known == 9, "each call is given something of its own"


@pytest.mark.parametrize(
    "function",
    [
        "def size(x):\n    if x > 5:\n        return 5\n",
        "def size(x):\n    x += 1\n    return x\n",
        "def size(x):\n    a, b = x, x\n    return a\n",
        "def size(x):\n    return\n",
        "def size(x):\n    yield x\n",
        "@cached\ndef size(x):\n    return x\n",
        "def size(x):\n    return size(x)\n",
        "def size(x):\n    return size(x + x)\n",
        "def size(x):\n    return x\ndef size(x):\n    return x + 1\n",
        "from other import size\n",
    ],
)
def test_one_that_does_more_is_not_followed(function: str) -> None:
    assert not engine("pool_size=size(8)", function).size.is_known


@pytest.mark.parametrize(
    "url",
    [
        '"postgresql+psycopg2://{}:{}@{}:{}/{}".format(USER, SECRET, HOST, 6432, "shop")',
        '"postgresql+psycopg2://{0}:{1}@{2}:{3}/shop".format(USER, SECRET, HOST, "6432")',
        '"postgresql+psycopg2://{u}:{p}@{h}:6432/shop".format(u=USER, p=SECRET, h=HOST)',
        '"postgresql+psycopg2://%s:%s@%s:%d/shop" % (USER, SECRET, HOST, 6432)',
        '"postgresql+psycopg2://%(u)s:%(p)s@%(h)s:6432/shop" % {"u": USER, "p": SECRET, "h": HOST}',
        "TEMPLATE.format(USER, SECRET, HOST)",
    ],
)
def test_a_url_may_be_formatted(url: str) -> None:
    before = f'{SQLALCHEMY}import os\nUSER, HOST = "shop", "db"\nUSER = "shop"\nHOST = "db"\n'
    before = before.replace('USER, HOST = "shop", "db"\n', "")
    before += f'SECRET = "{SECRET}"\nTEMPLATE = "postgresql+psycopg2://{{}}:{{}}@{{}}:6432/shop"\n'
    loaded = read(python, "app/db.py", f"{before}engine = create_engine({url})\n")
    assert SECRET not in texts(loaded)
    (found,) = (each for code in loaded.codes for each in code.pools)
    target = found.target
    assert (target.host.known, target.port.known, target.database.known) == ("db", 6432, "shop")
    assert math.isinf(found.connect_timeout_s.known or 0)


@pytest.mark.parametrize(
    "url",
    [
        '"postgresql://{}@{}/shop".format(*PARTS)',
        '"postgresql://{c.user}@db/shop".format(c=CONFIG)',
        '"postgresql://{}@{/shop".format(USER)',
        '"postgresql://%s@%s/shop" % (USER,)',
        '"postgresql://%s@db/shop" % (USER, USER)',
        '"postgresql://%(u)s@db/shop" % CONFIG',
        "TEMPLATE % USER",
    ],
)
def test_one_whose_places_are_not_plain_is_not_known(url: str) -> None:
    found = pool(f"{SQLALCHEMY}engine = create_engine({url})\n")
    assert not found.target.host.is_known
