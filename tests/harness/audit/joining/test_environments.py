"""Settings that other files declare: which of them a name means."""

from __future__ import annotations

from textwrap import indent

import pytest

from harness.audit.auditing import audit_sources
from harness.audit.chain import Declared
from harness.audit.joining.environments import setting_of
from harness.audit.values import Variable
from tests.harness.audit.joining.pieces import setting
from tests.harness.audit.loaders.reading import source

NESTED = """\
from pydantic import BaseModel
from pydantic_settings import BaseSettings, SettingsConfigDict
class CacheSettings(BaseModel):
    size: int = 100
class PoolSettings(BaseModel):
    size: int = 5
class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="APP_", env_nested_delimiter="__")
    cache: CacheSettings = CacheSettings()
    pool: PoolSettings = PoolSettings()
settings = Settings()
"""
BESIDE = """\
from pydantic_settings import BaseSettings
class Redis(BaseSettings):
    model_config = {"env_prefix": "REDIS_"}
    size: int = 100
class Database(BaseSettings):
    model_config = {"env_prefix": "DB_"}
    size: int = 5
database = Database()
"""


def size(settings: str, code: str, variable: str = "TZ: UTC") -> float | None:
    compose = f"services:\n  api:\n    build: .\n    environment:\n      {variable}\n"
    text = f"from sqlalchemy import create_engine\n{code}\n"
    files = {"compose.yaml": compose, "app/settings.py": settings, "app/db.py": text}
    audit = audit_sources((source(*each) for each in files.items()), Declared())
    ((_, pool),) = audit.chains[0].pools()
    return pool.size.known


def engine(size: str, url: str = '"postgresql://u@db/app"') -> str:
    return f"create_engine({url}, pool_size={size})"


BY_CLASS = f"def make(given: PoolSettings):\n    return {engine('given.size')}\n"


@pytest.mark.parametrize(
    "code",
    [
        f"from app.settings import settings\n{engine('settings.pool.size')}",
        f"from app.settings import PoolSettings\n{BY_CLASS}",
    ],
)
def test_of_several_with_one_name_the_owners_is_meant(code: str) -> None:
    assert size(NESTED, code) == 5
    assert size(NESTED, code, "APP_POOL__SIZE: 17") == 17
    assert size(NESTED, code, "APP_CACHE__SIZE: 17") == 5


def test_a_model_by_itself_asks_no_environment() -> None:
    code = f"from app.settings import PoolSettings\npool = PoolSettings()\n{engine('pool.size')}"
    assert size(NESTED, code, "APP_POOL__SIZE: 17") == 5


@pytest.mark.parametrize(
    "code",
    [
        f"from app.settings import database\n{engine('database.size')}",
        f"from app.settings import Database\nsaid = Database()\n{engine('said.size')}",
    ],
)
def test_the_object_or_its_class_tells_the_prefix(code: str) -> None:
    assert size(BESIDE, code, "DB_SIZE: 17") == 17
    assert size(BESIDE, code, "REDIS_SIZE: 17") == 5


def test_which_of_several_is_meant_is_not_guessed() -> None:
    code = f"def make(given):\n    return {engine('given.size')}\n"
    assert size(BESIDE, code, "DB_SIZE: 17") is None
    assert size(BESIDE.replace("100", "5").replace("REDIS_", "DB_"), code) == 5, "all say the same"


def test_the_nearest_file_declares_it() -> None:
    named = Variable("size", str, attribute=True)
    near, far = setting("size", "A", "1", "app/conf.py"), setting("size", "B", "2", "lib/conf.py")
    assert setting_of(named, [far, near], "app") == near
    assert setting_of(named, [far], "app") == far
    assert setting_of(named, [near, setting("size", "C", "3", "app/conf.py")], "app") is None


RECORDS = """\
import os
from dataclasses import dataclass
@dataclass(frozen=True)
class Cache:
    size: int = 100
@dataclass(frozen=True)
class Postgres:
    size: int
    password: str = ""
@dataclass(frozen=True)
class Configuration:
    postgres: Postgres
    cache: Cache
"""
FILLED_IN = """\
    return Configuration(
        postgres=Postgres(size=int(os.environ.get("DB_SIZE", "12")), password=os.environ["PW"]),
        cache=Cache(size=int(os.environ.get("CACHE_SIZE", "50"))),
    )
"""
READS = f"def make(given):\n    return {engine('given.postgres.size')}\n"
IN_A_FACTORY = f"{RECORDS}def load():\n{FILLED_IN}"
OF_ITS_CLASS = indent(FILLED_IN.replace("Configuration(", "cls("), "    ")
IN_A_CLASSMETHOD = f"{RECORDS}    @classmethod\n    def load(cls):\n{OF_ITS_CLASS}"
BY_POSITION = f"{RECORDS}postgres = Postgres(int(os.getenv('DB_SIZE', 12)))\n"


@pytest.mark.parametrize("settings", [IN_A_FACTORY, IN_A_CLASSMETHOD, BY_POSITION])
def test_what_an_object_is_made_with_is_read_in_another_file(settings: str) -> None:
    assert size(settings, READS) == 12
    assert size(settings, READS, "DB_SIZE: 17") == 17
    assert size(settings, READS, "CACHE_SIZE: 17") == 12


def test_it_holds_over_what_its_class_says_in_whichever_file_it_is_made() -> None:
    declared = "class PostgresConfig:\n    size: int = 5\n"
    made = (
        "import os\nfrom app.settings import PostgresConfig\n"
        "postgres = PostgresConfig(size=int(os.environ['DB_SIZE']))\n"
    )
    code = f"{made}def make(postgres):\n    return {engine('postgres.size')}\n"
    assert size(declared, code, "DB_SIZE: 17") == 17
    assert size(declared, code) is None, "nobody knows what the variable is"


def test_two_objects_of_a_class_are_told_apart_by_their_names_or_not_at_all() -> None:
    two = (
        "import os\nprimary = Postgres(size=int(os.environ.get('DB_A', '7')))\n"
        "replica = Postgres(size=int(os.environ.get('DB_B', '9')))\n"
    )
    assert size(two, READS.replace("given.postgres", "given.primary")) == 7
    assert size(two, READS.replace("given.postgres", "given.replica")) == 9
    assert size(two, READS) is None


@pytest.mark.parametrize(
    "call",
    [
        "postgres(size=int(os.environ['DB_SIZE']))",
        "POSTGRES(size=int(os.environ['DB_SIZE']))",
        "Postgres(**{'size': int(os.environ['DB_SIZE'])})",
        "Postgres(size=2 * int(os.environ['DB_SIZE']))",
    ],
)
def test_what_is_no_object_or_is_more_than_a_variable_says_nothing(call: str) -> None:
    assert size(f"import os\nmade = {call}\n", READS, "DB_SIZE: 17") is None
