"""Pools of which a setting chooses one: the branches that lead to each."""

from __future__ import annotations

import pytest

from harness.audit.auditing import audit_sources
from harness.audit.chain import Declared
from harness.audit.loaders import python
from harness.audit.parts import Pool
from tests.harness.audit.loaders.reading import read, source

ENGINE = 'create_engine("postgresql+psycopg://u@db/app", pool_size=30, max_overflow=0)'
NATIVE = 'ConnectionPool("postgresql://u@db/app", max_size=8)'
IMPORTS = """\
import os
from sqlalchemy import create_engine
from psycopg_pool import ConnectionPool
from app.settings import settings
"""


def pools(text: str) -> list[Pool]:
    (code,) = read(python, "app/db.py", IMPORTS + text).codes
    return sorted(code.pools, key=lambda pool: pool.place)


def exclusive(text: str) -> bool:
    """Whether its two pools are on different ways of one choice."""
    one, other = pools(text)
    ways = {branch.choice: branch.ways for branch in one.branches}
    return any(not ways.get(each.choice, each.ways) & each.ways for each in other.branches)


@pytest.mark.parametrize(
    "text",
    [
        f"if settings.native:\n    pool = {NATIVE}\nelse:\n    pool = {ENGINE}\n",
        f"""\
if settings.kind == "native":
    pool = {NATIVE}
elif settings.kind == "engine":
    pool = {ENGINE}
""",
        f"pool = {NATIVE} if settings.native else {ENGINE}\n",
        f"def make():\n    if settings.native:\n        return {NATIVE}\n    return {ENGINE}\n",
        f"""\
def make():
    match settings.kind:
        case "native" | "psycopg":
            return {NATIVE}
        case _:
            return {ENGINE}
""",
        f"""\
def make():
    match settings.kind:
        case "native":
            return {NATIVE}
    return {ENGINE}
""",
        f"try:\n    import pg\n    pool = {NATIVE}\nexcept ImportError:\n    pool = {ENGINE}\n",
        f"MAKERS = {{'a': lambda: {NATIVE}, 'b': lambda: {ENGINE}}}\nMAKERS[settings.kind]()\n",
        f"pool = {{'a': lambda: {NATIVE}, 'b': lambda: {ENGINE}}}[settings.kind]()\n",
        f"""\
def native():
    return {NATIVE}
def engine():
    return {ENGINE}
MAKERS = {{"a": native, "b": engine}}
pool = MAKERS.get(settings.kind)()
""",
        f"""\
def native():
    return {NATIVE}
def engine():
    return {ENGINE}
def make():
    if settings.native:
        return native()
    return engine()
""",
        f"""\
class Native:
    def __init__(self):
        self.pool = {NATIVE}
class Engine:
    def __init__(self):
        self.pool = {ENGINE}
database = Native() if settings.native else Engine()
""",
        f"""\
def make(kind):
    if kind == "native":
        return {NATIVE}
    return {ENGINE}
pool = make(settings.kind)
""",
    ],
)
def test_one_of_them_is_made(text: str) -> None:
    assert exclusive(text)


@pytest.mark.parametrize(
    "text",
    [
        f"one = {NATIVE}\nother = {ENGINE}\n",
        f"if settings.both:\n    one = {NATIVE}\n    other = {ENGINE}\n",
        f"one = {NATIVE}\nif settings.replica:\n    other = {ENGINE}\n",
        f"if settings.one:\n    one = {NATIVE}\nif settings.other:\n    other = {ENGINE}\n",
        f"for kind in (1, 2):\n    if kind == 1:\n        {NATIVE}\n    else:\n        {ENGINE}\n",
        f"pools = [{NATIVE} if kind else {ENGINE} for kind in (True, False)]\n",
        # Each of its calls may choose otherwise.
        f"""\
def make(kind):
    if kind == "native":
        return {NATIVE}
    return {ENGINE}
write, read = make("native"), make("engine")
""",
        f"""\
def make(kind):
    if kind == "native":
        return {NATIVE}
    return {ENGINE}
pools = [make(kind) for kind in settings.kinds]
""",
        # All entries are used, or made at once.
        f"MAKERS = {{'a': lambda: {NATIVE}, 'b': lambda: {ENGINE}}}\n"
        "pools = [make() for make in MAKERS.values()]\n",
        f"POOLS = {{'a': {NATIVE}, 'b': {ENGINE}}}\npool = POOLS[settings.kind]\n",
        f"""\
def native():
    return {NATIVE}
def engine():
    return {ENGINE}
first = native() if settings.native else engine()
second = native()
third = engine()
""",
        f"try:\n    one = {NATIVE}\nfinally:\n    other = {ENGINE}\n",
    ],
)
def test_both_may_exist(text: str) -> None:
    assert not exclusive(text)


@pytest.mark.parametrize("kind", ["30", "8"])
def test_a_variable_decides(kind: str) -> None:
    text = (
        f'if os.environ.get("KIND", "8") == "8":\n    pool = {NATIVE}\nelse:\n    pool = {ENGINE}\n'
    )
    assert [pool.size.known for pool in _deployed(text, f"KIND: '{kind}'")] == [float(kind)]


def test_what_is_not_set_is_not_decided() -> None:
    text = f'pool = {NATIVE} if os.environ.get("NATIVE") else {ENGINE}\n'
    assert [pool.size.known for pool in _deployed(text, "TZ: UTC")] == [8, 30]
    assert [pool.size.known for pool in _deployed(text, "NATIVE: '0'")] == [8], "any text is true"


def test_a_declared_truth_is_read_as_one() -> None:
    declared = """\
from pydantic_settings import BaseSettings
class Settings(BaseSettings):
    native: bool = True
settings = Settings()
"""
    text = f"pool = {NATIVE} if settings.native else {ENGINE}\n"
    assert [pool.size.known for pool in _deployed(text, "TZ: UTC", declared)] == [8]
    assert [pool.size.known for pool in _deployed(text, "NATIVE: 'false'", declared)] == [30]


def test_a_word_that_no_case_has_decides_nothing() -> None:
    text = f"""\
match os.environ["KIND"]:
    case "native":
        pool = {NATIVE}
    case "engine":
        pool = {ENGINE}
"""
    assert [pool.size.known for pool in _deployed(text, "KIND: engine")] == [30]
    assert [pool.size.known for pool in _deployed(text, "KIND: Engine ")] == [8, 30]


def _deployed(text: str, variable: str, settings: str = "") -> list[Pool]:
    compose = f"services:\n  api:\n    build: .\n    environment:\n      {variable}\n"
    files = {"compose.yaml": compose, "app/db.py": IMPORTS + text, "app/settings.py": settings}
    audit = audit_sources((source(name, of) for name, of in files.items()), Declared())
    (chain,) = audit.chains
    return sorted((pool for _, pool in chain.pools()), key=lambda pool: pool.place)
