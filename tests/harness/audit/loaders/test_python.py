"""Python files as a whole: which are read, how fast, and that nothing falls or gets out."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit.loaders import python
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

SECRETIVE = """\
import os
from sqlalchemy import URL, create_engine, engine_from_config
from psycopg_pool import ConnectionPool
import asyncpg
from pydantic_settings import BaseSettings
PASSWORD = "S3CR3T"
TOKEN = "S3CR3T"
DATABASE_URL = "postgresql://u:S3CR3T@db/app"
REDIS_URL = "redis://:S3CR3T@cache"
create_engine("postgresql://u:S3CR3T@db/app", pool_size="S3CR3T",
    connect_args={"password": "S3CR3T"})
create_engine(DATABASE_URL, pool_timeout=PASSWORD, pool_recycle=int("S3CR3T"))
create_engine(f"postgresql://u:{PASSWORD}@db/app",
    connect_args={"options": "-c statement_timeout=S3CR3T"})
create_engine("postgresql://u:" + PASSWORD + "@db/app",
    connect_args={"connect_timeout": "S3CR3T"})
create_engine(URL.create("postgresql", username="u", password="S3CR3T", host="db",
    query={"x": "S3CR3T"}))
create_engine(os.getenv("X", "postgresql://u:S3CR3T@db/app?password=S3CR3T"))
create_engine("S3CR3T")
engine_from_config({"sqlalchemy.url": "postgresql://u:S3CR3T@db",
    "sqlalchemy.pool_size": "S3CR3T"})
ConnectionPool("host=db password=S3CR3T", kwargs={"password": "S3CR3T"}, max_size="S3CR3T")
asyncpg.create_pool(user="u", password="S3CR3T", host="db",
    server_settings={"statement_timeout": "S3CR3T"})
class Settings(BaseSettings):
    password: str = "S3CR3T"
    api_key: str = "S3CR3T"
    dsn: str = "postgresql://u:S3CR3T@db/app"
    other: str = "S3CR3T"
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql",
    "PASSWORD": "S3CR3T", "PORT": "S3CR3T"}}
SQLALCHEMY_DATABASE_URI = "postgresql://u:S3CR3T@db/app"
SQLALCHEMY_ENGINE_OPTIONS = {"pool_size": "S3CR3T"}
""".replace("S3CR3T", SECRET)


def test_no_secret_is_repeated() -> None:
    found = read(python, "app/secrets_of_all_kinds.py", SECRETIVE)
    assert len(found.codes[0].pools) >= 10
    assert SECRET not in texts(found)
    assert SECRET not in texts(python.load(source("broken.py", f"create_engine('{SECRET}'")))


@settings(deadline=None)  # SQLAlchemy is imported at the first example
@given(st.text(max_size=200), st.text(alphabet="create_engine()[]{}:=.,'\"\n *@\\", max_size=80))
def test_no_text_makes_it_fall(text: str, noise: str) -> None:
    for each in (
        text,
        noise,
        f"create_engine({text})",
        f"create_engine({noise!r}, **{{{noise!r}: 1}})",
    ):
        file = source("fuzz.py", each)
        python.recognises(file)
        python.load(file)


TARGETS = ["bind", "workers", "timeout", "worker_class", "app.conf.worker_concurrency"]
TARGETS += ["x", "DB_POOL_SIZE", "DATABASES", 'DATABASES["default"]', "SQLALCHEMY_ENGINE_OPTIONS"]
PARTS = [
    "1",
    "None",
    '"postgresql://u:p@db/app"',
    'os.getenv("X", 5)',
    "x",
    "settings.x",
    "{}",
    '{"default": x}',
    '{"pool_size": x, **y}',
    "[1, x]",
    "lambda: x",
    "env.db()",
    "create_engine(x, pool_size=y)",
    "create_engine(creator=pool.getconn)",
    "AsyncConnectionPool(x, max_size=None)",
    "sessionmaker(x)",
    "Histogram(x, buckets=x)",
    "await x",
    "x if y else z",
    'f"postgresql://{x}@{y}"',
    "(x := y)",
    "not x",
    "-x",
    "x * y",
    "x or y",
    "float('inf')",
    "float('nan')",
    "10 ** 400",
    "1e400 * 0",
    "uvicorn.run(x, workers=x)",
    "Celery(x)",
    "FastAPI()",
    "dj_database_url.config(env=x)",
    "x.y.z[0]",
    "Depends(x)",
    "not_called_here(x=y)",
    "*x",
]


@settings(deadline=None)  # SQLAlchemy is imported at the first example
@given(
    st.lists(st.tuples(st.sampled_from(TARGETS), st.sampled_from(PARTS)), max_size=8),
    st.sampled_from(
        ["", "class A(BaseSettings):\n", "def f(x=Depends(g)):\n", "async def f(x):\n"]
    ),
)
def test_no_program_makes_it_fall(lines: list[tuple[str, str]], head: str) -> None:
    indent = "    " if head else ""
    body = "".join(f"{indent}{target} = {part}\n" for target, part in lines) or f"{indent}pass\n"
    imports = (
        "import os\nfrom sqlalchemy import create_engine\nfrom prometheus_client import Histogram\n"
    )
    python.load(source("fuzz.py", f"{imports}{head}{body}"))


@pytest.mark.parametrize(
    "text", ["", "print(1)\n", "import json\nx = json.loads('{}')\n", "class A:\n    timeout = 3\n"]
)
def test_other_files_are_not_read(text: str) -> None:
    assert not python.recognises(source("app/other.py", text))
    assert not python.recognises(source("app/db.txt", "create_engine()"))


@pytest.mark.parametrize(
    "text",
    [
        "config " * 140_000,
        "POOL" * 240_000,
        "x = [" + "1, " * 300_000 + "]\n",
        "A" * 900_000 + "=\n",
        "x = 1\n" * 160_000,
    ],
)
def test_a_large_file_is_passed_over_quickly(text: str) -> None:
    started = time.process_time()
    python.recognises(source("generated.py", text))
    assert time.process_time() - started < 1.0


def test_our_own_service_is_read() -> None:
    folder = Path(__file__).parents[4] / "auth_service"
    files = [source(str(each), each.read_text("utf-8")) for each in folder.rglob("*.py")]
    found = [python.load(each) for each in files if python.recognises(each)]
    assert found
    assert all(not each.unread for each in found)
    assert {
        pool.implementation for each in found for code in each.codes for pool in code.pools
    } >= {
        "sqlalchemy",
        "psycopg-pool",
    }
