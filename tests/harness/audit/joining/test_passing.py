"""Pools that are made with what another file passes to the function or class that makes them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from harness.audit.auditing import audit_sources
from harness.audit.chain import Declared
from harness.audit.parts import Pool
from tests.harness.audit.loaders.reading import source

URL = '"postgresql+psycopg://u@db/app"'
CLASS = """\
from sqlalchemy import create_engine
class Database:
    def __init__(self, url, more=2, **options):
        self._engine = create_engine(url, max_overflow=more, **options)
"""
SETTINGS = """\
from pydantic import BaseModel
from pydantic_settings import BaseSettings, SettingsConfigDict
class CacheSettings(BaseModel):
    size: int = 100
class PoolSettings(BaseModel):
    size: int = 5
class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="APP_", env_nested_delimiter="__")
    url: str = "postgresql://u@db/app"
    cache: CacheSettings = CacheSettings()
    pool: PoolSettings = PoolSettings()
settings = Settings()
"""
COMPOSE = "services:\n  api:\n    build: .\n    environment:\n      APP_POOL__SIZE: '17'\n"


def pool(main: str, **files: str) -> Pool:
    whole = {
        "compose.yaml": COMPOSE,
        "app/database.py": CLASS,
        "app/settings.py": SETTINGS,
        "app/main.py": main,
        **files,
    }
    audit = audit_sources((source(*each) for each in whole.items()), Declared())
    assert not audit.unread
    ((_, found),) = audit.chains[0].pools()
    return found


HEAD = "from app.database import Database\nfrom app.settings import PoolSettings, settings\n"


@pytest.mark.parametrize(
    ("main", "size", "more"),
    [
        (f"db = Database({URL}, pool_size=7)\n", 7, 2),
        (f"db = Database({URL}, 4, pool_size=7)\n", 7, 4),
        (f"SIZE = 7\ndb = Database({URL}, more=SIZE - 4, pool_size=SIZE)\n", 7, 3),
        (f"OPTIONS = {{'pool_size': 7}}\ndb = Database({URL}, **OPTIONS)\n", 7, 2),
        ("db = Database(settings.url, pool_size=settings.pool.size)\n", 17, 2),
        (
            "def build(pool: PoolSettings):\n"
            "    return Database(settings.url, **options(pool))\n"
            "def options(given: PoolSettings):\n    return {'pool_size': given.size}\n",
            17,
            2,
        ),
        (f"import os\ndb = Database({URL}, pool_size=int(os.getenv('APP_POOL__SIZE')))\n", 17, 2),
    ],
)
def test_the_one_call_says_what_is_made(main: str, size: float, more: float) -> None:
    found = pool(f"{HEAD}{main}")
    assert (found.size.known, found.max_overflow.known) == (size, more)
    assert (found.place.file, found.target.host.known) == ("app/database.py", "db")


def test_a_value_stands_where_it_is_said() -> None:
    found = pool(f"{HEAD}db = Database({URL}, pool_size=7)\n")
    assert found.size.place is not None
    assert (found.size.place.file, found.size.place.line) == ("app/main.py", 3)
    assert not found.made_at_import.is_known


def test_by_way_of_a_package_and_its_module() -> None:
    package = {"app/stores/__init__.py": "from app.database import Database\n"}
    main = f"from app.stores import Database\ndb = Database({URL}, pool_size=7)\n"
    assert pool(main, **package).size.known == 7


@pytest.mark.parametrize(
    "more",
    [
        f"from app.database import Database\nother = Database({URL}, pool_size=70)\n",
        f"from app import database\nother = database.Database({URL}, pool_size=70)\n",
        f"import app.database\nother = app.database.Database({URL}, pool_size=70)\n",
        "from functools import partial\nfrom app.database import Database\n"
        "make = partial(Database, pool_size=70)\n",
        "from app.database import Database\nclass Large(Database):\n    pass\n",
    ],
)
def test_of_several_calls_none_is_chosen(more: str) -> None:
    main = f"{HEAD}db = Database({URL}, pool_size=7)\n"
    assert not pool(main, **{"app/jobs.py": more}).size.is_known


def test_a_type_is_no_call() -> None:
    more = (
        "from app.database import Database\n"
        "def handle(db: Database, other: Database | None) -> list[Database]:\n"
        "    assert isinstance(db, Database)\n"
    )
    main = f"{HEAD}db: Database = Database({URL}, pool_size=7)\n"
    assert pool(main, **{"app/jobs.py": more}).size.known == 7


@pytest.mark.parametrize(
    "main",
    [
        "def build(size):\n    return Database(settings.url, pool_size=size)\n",
        "db = Database(settings.url, **load())\n",
        "db = Database(settings.url, *rest, pool_size=7)\n",
        "db = Database(settings.url, pool_size=7)\nother = Database(settings.url)\n",
    ],
)
def test_what_the_call_does_not_show_stays_unknown(main: str) -> None:
    assert not pool(f"{HEAD}{main}").size.is_known


def test_a_function_whose_callers_may_not_be_read_is_not_followed() -> None:
    make = "from sqlalchemy import create_engine\ndef begin(url, size):\n"
    make += "    return create_engine(url, pool_size=size)\n"
    main = f"from app.database import begin\nbegin({URL}, 7)\nFOR_A_DATABASE = 1\n"
    assert not pool(main, **{"app/database.py": make}).size.is_known


@pytest.mark.parametrize(
    "size",
    [
        "a",
        " + ".join(["1"] * 900),
        "(" * 90 + "1" + ")" * 90,
    ],
)
def test_an_argument_that_nobody_writes_by_hand_is_left(size: str) -> None:
    names = "abcdefghijkl"
    doubled = "".join(f"{one} = ({', '.join([other] * 20)})\n" for one, other in pairwise(names))
    pool(f"{HEAD}{doubled}db = Database({URL}, pool_size={size})\n")
