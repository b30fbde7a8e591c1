"""Settings that other files declare: which of them a name means."""

from __future__ import annotations

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
