"""Fields of objects: what a class says, and what an object is made with."""

from __future__ import annotations

import pytest

from harness.audit.loaders import python
from harness.audit.parts import Pool
from tests.harness.audit.loaders.reading import read

URL = '"postgresql+psycopg://u@db/app"'
BEFORE = """\
import attr, attrs
from dataclasses import asdict, dataclass, field
from pydantic import BaseModel, Field
from sqlalchemy import create_engine
"""


def pool(text: str) -> Pool:
    (code,) = read(python, "app/db.py", BEFORE + text).codes
    (found,) = code.pools
    return found


def sizes(text: str) -> tuple[float | None, float | None]:
    found = pool(text)
    return found.size.known, found.max_overflow.known


DATACLASS = "@dataclass\nclass Tuning:\n    size: int = 7\n    more: int = field(default=2)\n"
OF_IT = f"create_engine({URL}, pool_size=tuning.size, max_overflow=tuning.more)\n"


@pytest.mark.parametrize(
    "declared",
    [
        DATACLASS,
        "@attrs.define\nclass Tuning:\n    size: int = 7\n    more: int = attrs.field(default=2)\n",
        "@attr.s\nclass Tuning:\n    size = attr.ib(default=7)\n    more = attr.ib(2)\n",
        "class Tuning(BaseModel):\n    size: int = 7\n    more: int = Field(2, ge=0)\n",
        "class Tuning(BaseModel):\n    size: int = 7\n    more: int = Field(default=2)\n",
        "class Base(BaseModel):\n    size: int = 7\nclass Tuning(Base):\n    more: int = 2\n",
    ],
)
def test_an_object_has_its_class_defaults(declared: str) -> None:
    assert sizes(f"{declared}tuning = Tuning()\nengine = {OF_IT}") == (7, 2)


@pytest.mark.parametrize("call", ["Tuning(size=9)", "Tuning(9)", "Tuning(9, more=2)"])
def test_what_an_object_is_made_with_holds_over_them(call: str) -> None:
    assert sizes(f"{DATACLASS}tuning = {call}\nengine = {OF_IT}") == (9, 2)


@pytest.mark.parametrize(
    "made",
    [
        "tuning = Tuning(**given)\n",
        "tuning = Tuning()\ntuning.size = 9\n",
        "def make(tuning: Tuning):\n    return tuning\n",
        "tuning = Tuning() if given else Tuning(size=9)\n",
    ],
)
def test_what_is_not_seen_is_not_known(made: str) -> None:
    assert sizes(f"{DATACLASS}{made}engine = {OF_IT}")[0] is None


@pytest.mark.parametrize("dumped", ["tuning.model_dump()", "asdict(tuning)", "vars(tuning)"])
def test_a_dumped_object_is_a_mapping(dumped: str) -> None:
    declared = "class Tuning(BaseModel):\n    pool_size: int = 7\n    max_overflow: int = 2\n"
    text = f"{declared}tuning = Tuning()\nengine = create_engine({URL}, **{dumped})\n"
    assert sizes(text) == (7, 2)


def test_what_a_dump_leaves_out_is_not_known() -> None:
    declared = "class Tuning(BaseModel):\n    pool_size: int = 7\n"
    dumped = "tuning.model_dump(exclude_defaults=True)"
    found = pool(f"{declared}tuning = Tuning()\nengine = create_engine({URL}, **{dumped})\n")
    assert not found.max_overflow.is_known


CLASS = """\
class Database:
    SIZE = 7
    def __init__(self, url, more=2, **options):
        self._more = more
        self._engine = create_engine(
            url, pool_size=self.SIZE, max_overflow=self._more, **self._options(), **options
        )
    def _options(self):
        return {"pool_timeout": 3}
"""


def test_an_object_knows_its_own() -> None:
    found = pool(f"{CLASS}db = Database({URL}, 4, pool_recycle=60)\n")
    assert (found.size.known, found.max_overflow.known) == (7, 4)
    assert (found.timeout_s.known, found.recycle_s.known) == (3, 60)
    assert found.target.host.known == "db"


def test_a_class_that_is_made_twice_says_less() -> None:
    found = pool(f"{CLASS}db = Database({URL}, 4)\nother = Database({URL}, 5)\n")
    assert not found.max_overflow.is_known
    assert not found.recycle_s.is_known


def test_what_a_subclass_sets_is_not_the_class_own() -> None:
    derived = "class Large(Database):\n    SIZE = 70\n"
    assert not pool(f"{CLASS}{derived}db = Database({URL})\n").size.is_known


def test_a_partial_call_has_what_it_is_bound_to() -> None:
    bound = "make = partial(create_engine, pool_size=7, pool_timeout=2)\n"
    found = pool(f"from functools import partial\n{bound}engine = make({URL}, pool_timeout=3)\n")
    assert (found.name, found.size.known, found.timeout_s.known) == ("engine", 7, 3)
    assert found.made_at_import.known is True
