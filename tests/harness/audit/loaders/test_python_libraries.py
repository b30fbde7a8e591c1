"""Pools of libraries that bring their own."""

from __future__ import annotations

import math

import pytest

from harness.audit.loaders import python
from harness.audit.parts import Pool
from harness.audit.values import Place
from tests.harness.audit.loaders.reading import SECRET, read, texts

URL = f"postgresql://u:{SECRET}@db/app"


def pools(text: str) -> tuple[Pool, ...]:
    reading = read(python, "app/db.py", text)
    assert SECRET not in texts(reading)
    return tuple(pool for code in reading.codes for pool in code.pools)


def pool(text: str) -> Pool:
    (found,) = pools(text)
    return found


def shown(found: Pool) -> tuple[object, ...]:
    return found.implementation, found.min_size.known, found.size.known, found.timeout_s.known


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'from databases import Database\nDatabase("{URL}")', ("asyncpg", 10, 10, math.inf)),
        (
            f'import databases\ndatabases.Database("{URL}", min_size=2, max_size=12)',
            ("asyncpg", 2, 12, math.inf),
        ),
        (
            f'from databases import Database\nDatabase("{URL}?min_size=2&max_size=12")',
            ("asyncpg", 2, 12, math.inf),
        ),
        (
            "from gino import Gino\ndb = Gino()\nasync def start():\n"
            f'    await db.set_bind("{URL}", min_size=3, max_size=12)\n',
            ("asyncpg", 3, 12, math.inf),
        ),
        (
            f'from gino.ext.starlette import Gino\ndb = Gino(dsn="{URL}", pool_max_size=12)\n',
            ("asyncpg", 5, 12, math.inf),
        ),
        (
            f'import aiopg\nasync def start():\n    await aiopg.create_pool("{URL}")\n',
            ("unknown", 1, 10, math.inf),
        ),
        (
            f'import aiopg\nasync def start():\n    await aiopg.create_pool("{URL}", maxsize=0)\n',
            ("unknown", 1, math.inf, math.inf),
        ),
        (
            "from piccolo.engine.postgres import PostgresEngine\n"
            'DB = PostgresEngine(config={"host": "db", "database": "app"})\n'
            "async def start():\n    await DB.start_connection_pool(max_size=12)\n",
            ("asyncpg", 10, 12, math.inf),
        ),
        (
            "from tortoise import Tortoise\nasync def start():\n"
            f'    await Tortoise.init(db_url="{URL}?maxsize=12", modules={{}})\n',
            ("asyncpg", 1, 12, math.inf),
        ),
        (
            "from tortoise.contrib.fastapi import register_tortoise\n"
            f'register_tortoise(app, db_url="asyncpg://u:{SECRET}@db/app")\n',
            ("asyncpg", 1, 5, math.inf),
        ),
        (
            'TORTOISE_ORM = {"connections": {"default": {"engine": "tortoise.backends.asyncpg", '
            f'"credentials": {{"host": "db", "password": "{SECRET}", "maxsize": 12}}}}}}, '
            '"apps": {}}\n',
            ("asyncpg", 1, 12, math.inf),
        ),
    ],
)
def test_asynchronous_ones_wait_for_ever(text: str, expected: tuple[object, ...]) -> None:
    found = pool(text)
    assert shown(found) == expected
    assert found.is_async.known is True
    assert (found.max_overflow.known, found.target.host.known) == (
        0,
        "db" if "Gino()" not in text else found.target.host.known,
    )


@pytest.mark.parametrize(
    ("arguments", "size", "timeout_s", "recycle_s"),
    [
        ("", 20, 0, math.inf),
        ("max_connections=12, timeout=3, stale_timeout=300", 12, 3, 300),
        ("timeout=0", 20, math.inf, math.inf),
        ("timeout=None", 20, 0, math.inf),
    ],
)
def test_peewees_pool_refuses_or_waits(
    arguments: str, size: float, timeout_s: float, recycle_s: float
) -> None:
    text = "from playhouse.pool import PooledPostgresqlExtDatabase as Pooled\n"
    text = text.replace(" as Pooled", "")
    found = pool(f'{text}db = PooledPostgresqlExtDatabase("app", host="db", {arguments})\n')
    assert (found.size.known, found.timeout_s.known) == (size, timeout_s)
    assert (found.recycle_s.known, found.target.host.known) == (recycle_s, "db")
    assert found.is_async.known is False


def test_peewees_url_may_ask_for_a_pool() -> None:
    head = "from playhouse.db_url import connect\n"
    url = f"postgresql+pool://u:{SECRET}@db/app?max_connections=12&stale_timeout=300"
    found = pool(f'{head}db = connect("{url}")\n')
    assert (found.size.known, found.recycle_s.known, found.timeout_s.known) == (12, 300, 0)
    assert found.target.host.known == "db"
    assert pools(f'{head}db = connect("{url.replace("+pool", "")}")\n') == ()
    assert pools(f'{head}db = connect("mysql+pool://u@db/app")\n') == ()
    open_one = pool(f'import os\n{head}db = connect(os.environ["DB"])\n')
    assert not open_one.size.is_known
    said = {"DB": (url, Place(".env", 1, "DB"))}
    assert open_one.size.resolved(said).known == 12


def test_a_queue_pool_without_an_engine_is_a_pool() -> None:
    text = (
        "import psycopg\nfrom sqlalchemy import create_engine\n"
        "from sqlalchemy.pool import QueuePool\n"
        "pool = QueuePool(psycopg.connect, pool_size=3, max_overflow=1)\n"
    )
    assert pool(text).capacity.known == 4
    engine = f'engine = create_engine("{URL}", pool=pool)\n'
    assert pool(text + engine).name == "engine", "and one with it is the engine's"
    assert pools(text.replace("import psycopg", "import MySQLdb as psycopg")) == ()


def test_a_url_of_the_environment_sizes_the_pool() -> None:
    found = pool(
        "import os\n"
        'CONFIG = {"connections": {"default": os.environ["DB"]}, "apps": {"models": {}}}\n'
    )
    said = {"DB": ("postgres://u@pg/app?maxsize=30", Place(".env", 1, "DB"))}
    assert found.size.resolved(said).known == 30
    assert found.target.host.resolved(said).known == "pg"


@pytest.mark.parametrize(
    "text",
    [
        'from databases import Database\nDatabase("sqlite:///x.db")\n',
        f'from app import Database\nDatabase("{URL}")\n',
        'from tortoise import Tortoise\nTortoise.init(db_url="sqlite://x.db", modules={})\n',
        'import tortoise\nX = {"connections": {"default": "mysql://u@db/app"}, "apps": {}}\n',
        f'async def start(db):\n    await db.set_bind("{URL}")\n',
    ],
)
def test_what_is_not_postgresql_or_not_theirs_is_none(text: str) -> None:
    assert pools(text) == ()


def test_a_configuration_that_is_not_seen_is_told() -> None:
    start = "async def start():\n    await Tortoise.init(config_file=PATH)\n"
    found = pool(f"from tortoise import Tortoise\n{start}")
    assert "not to be seen" in found.size.why
