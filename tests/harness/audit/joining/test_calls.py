"""A function of another file takes a connection of its own, while its caller holds one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.joining.calls import across
from harness.audit.loaders import python
from harness.audit.parts import Use
from harness.audit.reading import Reading
from tests.harness.audit.loaders.reading import source

DB = """\
from psycopg_pool import AsyncConnectionPool

pool = AsyncConnectionPool("postgresql://u@db/a", open=False)


async def audit(user):
    async with pool.connection() as connection:
        await connection.execute("SELECT 1")
"""
MAIN = """\
from app.db import audit, pool


async def rename(user):
    async with pool.connection() as connection:
        await connection.execute("SELECT 1")
        await audit(user)
"""


def used(main: str = MAIN, db: str = DB, main_file: str = "app/main.py", **more: str) -> list[Use]:
    """What the file that calls does with two connections."""
    files = {main_file: main, "app/db.py": db, **more}
    loaded = [python.load(source(name, text)) for name, text in files.items()]
    return [use for code in across(loaded)[0].codes for use in code.uses]


def test_the_call_is_where_two_are_held() -> None:
    (use,) = used()
    assert (use.practice, use.connections, use.pool) == ("nested-checkout", 2, "pool")
    assert (use.place.file, use.place.line) == ("app/main.py", 7)


@pytest.mark.parametrize(
    ("old", "new", "call"),
    [
        ("from app.db import audit, pool", "from .db import audit, pool", "audit(user)"),
        ("from app.db import audit, pool", "from app.db import audit as a, pool", "a(user)"),
        (
            "from app.db import audit, pool",
            "from app import db\nfrom app.db import pool",
            "db.audit(user)",
        ),
        (
            "from app.db import audit, pool",
            "import app.db\nfrom app.db import pool",
            "app.db.audit(user)",
        ),
    ],
)
def test_however_it_is_imported(old: str, new: str, call: str) -> None:
    assert len(used(MAIN.replace(old, new).replace("audit(user)", call))) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("        await audit(user)", "    await audit(user)"),
        ("from app.db import audit, pool", "from other import audit\nfrom app.db import pool"),
        ("from app.db import audit, pool", "from app.db import audit\nfrom app.other import pool"),
        ("from app.db import audit, pool", "from app.db import pool\ndef audit(u): ..."),
        ("from app.db import audit, pool", "from .sub.db import audit, pool"),
        ("audit(user)", "audit.later(user)"),
    ],
)
def test_a_caller_that_is_harmless(old: str, new: str) -> None:
    assert not used(MAIN.replace(old, new))


@pytest.mark.parametrize(
    "taken",
    [
        "async def audit(user, connection):\n    await connection.execute('SELECT 1')\n",
        "async def audit(user, connection=None):\n    if connection is None:\n"
        "        async with pool.connection() as connection:\n            pass\n",
        "class Log:\n    async def audit(self, user):\n        def audit():\n"
        "            with pool.connection() as connection:\n                pass\n",
        "other = AsyncConnectionPool('postgresql://u@db/a', open=False)\n"
        "async def audit(user):\n    async with other.connection() as connection:\n        pass\n",
    ],
)
def test_a_function_that_takes_none_of_this_pool_in_any_case(taken: str) -> None:
    db = DB.partition("async def audit")[0] + taken
    assert not used(db=db)


def test_one_engine_is_one_pool() -> None:
    db = (
        "from sqlalchemy import create_engine\nengine = create_engine('postgresql://u@db/a')\n"
        "def audit(user):\n    with engine.begin() as connection:\n        pass\n"
    )
    main = (
        "from app.db import audit, engine\n"
        "def rename(user):\n    with engine.begin() as connection:\n        audit(user)\n"
    )
    assert len(used(main, db)) == 1
    assert len(used(main, db.replace("engine.begin()", "engine.connect()"))) == 1


def test_the_nearest_file_of_that_name_is_meant() -> None:
    harmless = "async def audit(user): ...\n"
    other = {"shop/app/db.py": DB}
    assert len(used(main_file="shop/app/main.py", db=harmless, **other)) == 1
    assert not used(main_file="app/main.py", db=DB.replace("pool", "pond"), **other)


def test_others_stay_as_they_are() -> None:
    loaded = [python.load(source("app/db.py", DB)), Reading()]
    assert across(loaded) == loaded


@given(st.text(alphabet="abcdp/. _", max_size=30), st.text(alphabet=".abdp_", max_size=12))
def test_no_name_makes_it_fall(file: str, module: str) -> None:
    main = MAIN.replace("app.db", module)
    across([python.load(source(file, main)), python.load(source(f"{file}.py", DB))])


DEPS = """\
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import get_session

SessionDep = Annotated[AsyncSession, Depends(get_session)]
"""
ROUTES = """\
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from app.db import SessionFactory
from app.deps import SessionDep

router = APIRouter()


@router.get("/export")
async def export(session: SessionDep):
    rows = await session.stream(select(1))
    return StreamingResponse(rows)


@router.post("/")
async def add(session: SessionDep):
    await session.execute(select(1))
    async with SessionFactory() as audit:
        await audit.execute(select(1))
"""


def practices(routes: str = ROUTES, deps: str = DEPS) -> list[tuple[str, int]]:
    """What the endpoints do wrong, with the line."""
    files = {"srv/app/routes.py": routes, "srv/app/deps.py": deps}
    loaded = [python.load(source(name, text)) for name, text in files.items()]
    uses = [use for code in across(loaded)[0].codes for use in code.uses]
    return [(use.practice, use.place.line) for use in uses]


def test_a_session_that_another_file_declares_is_one() -> None:
    assert practices() == [("session-over-teardown", 14), ("nested-checkout", 20)]
    by_module = ROUTES.replace("from app.deps import SessionDep", "from app import deps")
    assert len(practices(by_module.replace(": SessionDep", ": deps.SessionDep"))) == 2
    relative = ROUTES.replace("from app.deps", "from .deps")
    assert len(practices(relative)) == 2


@pytest.mark.parametrize(
    "deps",
    [
        DEPS.replace("[AsyncSession, Depends(get_session)]", "[Settings, Depends(get_settings)]"),
        DEPS.replace("Depends(get_session)", 'Depends(get_session, scope="function")'),
        DEPS.replace("SessionDep =", "OtherDep ="),
        "",
    ],
)
def test_a_name_that_is_no_session_of_the_answers_is_none(deps: str) -> None:
    assert practices(deps=deps) == []


def test_a_session_that_is_given_back_first_is_free() -> None:
    streaming = ROUTES.replace("    return Str", "    await session.close()\n    return Str")
    assert practices(streaming) == [("nested-checkout", 21)]
    nested = ROUTES.replace("    async with", "    await session.commit()\n    async with")
    assert practices(nested) == [("session-over-teardown", 14)]
