"""Alternatives that are chosen in another file than the one that makes them."""

from __future__ import annotations

from harness.audit.auditing import audit_sources
from harness.audit.branches import Branch
from harness.audit.chain import Chain, Declared
from harness.audit.joining.alternatives import decided
from harness.audit.values import Value
from tests.harness.audit.joining.pieces import at, code
from tests.harness.audit.loaders.reading import source

SETTINGS = """\
from pydantic import BaseModel
from pydantic_settings import BaseSettings, SettingsConfigDict
class PoolSettings(BaseModel):
    kind: str = "native"
class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="APP_", env_nested_delimiter="__")
    pool: PoolSettings = PoolSettings()
"""
ENGINE = """\
from sqlalchemy import create_engine
class EnginePool:
    def __init__(self, url):
        self._engine = create_engine(url, pool_size=20, max_overflow=0)
"""
NATIVE = """\
from psycopg_pool import ConnectionPool
class NativePool:
    def __init__(self, url):
        self._pool = ConnectionPool(url, max_size=8, open=False)
"""
CHOICE = """\
from app.settings import PoolSettings
def build_pool(settings: PoolSettings, url):
    match settings.kind:
        case "engine" | "alchemy":
            from app.pools.engine import EnginePool
            return EnginePool(url)
        case "native":
            from app.pools import NativePool
            return NativePool(url)
"""


def chain(environment: str = "TZ: UTC", **files: str) -> Chain:
    whole = {
        "compose.yaml": f"services:\n  api:\n    build: .\n    environment:\n      {environment}\n",
        "app/settings.py": SETTINGS,
        "app/pools/engine.py": ENGINE,
        "app/pools/native.py": NATIVE,
        "app/pools/__init__.py": "from .native import NativePool\n",
        "app/pool.py": CHOICE,
        **files,
    }
    (found,) = audit_sources((source(*each) for each in whole.items()), Declared()).chains
    return found


def sizes(of: Chain) -> list[float | None]:
    return sorted(pool.size.known or 0.0 for _, pool in of.pools())


def test_the_setting_chooses_one_by_its_default_or_its_variable() -> None:
    assert sizes(chain()) == [8]
    assert sizes(chain("APP_POOL__KIND: engine")) == [20]
    assert sizes(chain("APP_POOL__KIND: alchemy")) == [20]


def test_what_is_not_known_chooses_none() -> None:
    found = chain("APP_POOL__KIND: $KIND")
    assert sizes(found) == [8, 20]
    choices = [branch.choice for _, pool in found.pools() for branch in pool.branches]
    assert len(choices) == 2
    assert len(set(choices)) == 1, "of one choice"


def test_a_pool_that_another_file_makes_too_is_no_alternative() -> None:
    besides = {
        "app/jobs.py": "from app.pools.engine import EnginePool\nPOOL = EnginePool('postgresql://d/a')\n",
    }
    found = chain("APP_POOL__KIND: $KIND", **besides)
    by_size = {pool.size.known: pool.branches for _, pool in found.pools()}
    assert by_size[20] == ()
    assert len(by_size[8]) == 1


def test_another_programs_function_of_that_name_chooses_nothing() -> None:
    other = {"other/pool.py": CHOICE.replace("from app.", "from other."), "app/pool.py": ""}
    found = chain(**other)
    assert all(pool.branches == () for _, pool in found.pools())


def on(choice: str, way: int, chosen: int | None) -> Branch:
    known: Value[int] = Value.unknown("?") if chosen is None else at(chosen)
    return Branch(choice, frozenset({way}), known)


def test_nothing_is_left_out_of_a_choice_that_was_not_understood() -> None:
    (one,) = code(branches=(on("a", 0, 7),)).pools
    (other,) = code(branches=(on("a", 1, 7),)).pools
    assert [pool.branches != () for pool in decided([one, other])] == [True, True]
    (alone,) = decided([one])
    assert alone.size.known == 10, "a workload keeps a pool"


def test_a_way_that_is_taken_is_no_branch_any_more() -> None:
    (one,) = code(branches=(on("a", 0, 0), on("b", 0, None))).pools
    (other,) = code(branches=(on("a", 1, 0),)).pools
    (kept,) = decided([one, other])
    assert [branch.choice for branch in kept.branches] == ["b"]
