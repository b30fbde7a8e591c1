"""What code does with its connections: each practice, and what only looks like it."""

from __future__ import annotations

import pytest

from harness.audit.loaders import python
from harness.audit.parts import Use
from tests.harness.audit.loaders.reading import read

HEAD = """\
from typing import Annotated
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool
from psycopg_pool import AsyncConnectionPool, ConnectionPool
app = FastAPI()
engine = create_engine("postgresql://db/app")
SessionLocal = sessionmaker(bind=engine)
def get_db():
    with SessionLocal() as session:
        yield session
DB = Annotated[Session, Depends(get_db)]
"""


def uses(text: str, head: str = HEAD) -> list[tuple[str, int, int]]:
    """Practices with their lines, counted from the text's first."""
    before = head.count("\n")
    found: list[Use] = [
        use for code in read(python, "app/main.py", head + text).codes for use in code.uses
    ]
    return [(use.practice, use.place.line - before, use.connections) for use in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "def f():\n    with engine.connect() as a:\n        with engine.begin() as b:\n"
            "            ...\n",
            [("nested-checkout", 3, 2)],
        ),
        (
            "def f():\n    with SessionLocal() as a, SessionLocal() as b:\n"
            "        with engine.connect() as c:\n            ...\n",
            [("nested-checkout", 2, 2), ("nested-checkout", 3, 3)],
        ),
        (
            "async def f():\n    async with pool.connection() as a:\n        for x in y:\n"
            "            async with pool.connection() as b:\n                ...\n",
            [("nested-checkout", 4, 2)],
        ),
        (
            "async def f(pool):\n    async with pool.acquire() as a, pool.acquire() as b:\n"
            "        ...\n",
            [("nested-checkout", 2, 2)],
        ),
        (
            "def f():\n    make = create_sessionmaker(engine)\n"
            "    with make() as a, make() as b:\n        ...\n",
            [("nested-checkout", 3, 2)],
        ),
        (
            "def f():\n    with get_session_of(1) as a:\n        with get_session_of(1) as b:\n"
            "            ...\n",
            [("nested-checkout", 3, 2)],
        ),
        (
            "def f():\n    with Session(engine) as a, engine.begin() as b:\n        ...\n",
            [("nested-checkout", 2, 2)],
        ),
        (
            '@app.get("/")\ndef f(db: DB):\n    db.execute(x)\n    with engine.begin() as c:\n'
            "        ...\n",
            [("nested-checkout", 4, 2)],
        ),
    ],
)
def test_a_second_connection_is_seen(text: str, expected: list[tuple[str, int, int]]) -> None:
    assert uses(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    with engine.connect() as a:\n        ...\n    with engine.connect() as b:\n"
        "        ...\n",
        "def f():\n    with engine.connect() as a, a.begin() as b:\n        ...\n",
        "def f():\n    with pool.connection() as a, a.cursor() as b:\n        ...\n",
        "def f():\n    with SessionLocal() as a:\n        with a.begin():\n            ...\n",
        "def f():\n    with Session(engine) as async_session:\n"
        "        with async_session.begin():\n            ...\n",
        "def f():\n    with engine.connect() as a:\n        def g():\n"
        "            with engine.connect() as b:\n                ...\n",
        "def f():\n    with r_pool.connection() as a, w_pool.connection() as b:\n        ...\n",
        "def f():\n    with r_engine.connect() as a, w_engine.connect() as b:\n        ...\n",
        "def f():\n    with lock.acquire() as a, lock.acquire() as b:\n        ...\n",
        '@app.get("/")\ndef f(db: DB):\n    with engine.begin() as c:\n        ...\n',
        '@app.get("/")\ndef f(db: DB):\n    db.execute(x)\n    db.commit()\n'
        "    with engine.begin() as c:\n        ...\n",
    ],
)
def test_one_connection_after_the_other_is_none(text: str) -> None:
    assert uses(text) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            '@app.get("/")\ndef f(tasks: BackgroundTasks, db: DB):\n    x = db.query(1)\n'
            "    tasks.add_task(g, x)\n    return x\n",
            4,
        ),
        (
            '@app.post("/")\nasync def f(tasks: BackgroundTasks, db: Session = Depends(get_db)):\n'
            "    tasks.add_task(g, 1)\n    return await db.execute(1)\n",
            3,
        ),
        (
            '@router.get("/")\ndef f(db=Depends(get_db)):\n    def rows():\n'
            "        yield from db.query(1)\n    return StreamingResponse(rows())\n",
            5,
        ),
        (
            '@app.get("/")\ndef f(db: DB):\n    user = db.get(1)\n'
            "    return StreamingResponse(talk(user))\n",
            4,
        ),
        (
            '@app.get("/")\ndef f(db: DB):\n    file = get_file(1, db_session=db)\n'
            "    return StreamingResponse(file)\n",
            4,
        ),
    ],
)
def test_a_session_that_outlasts_its_request_is_seen(text: str, line: int) -> None:
    assert uses(text) == [("session-over-teardown", line, 1)]


@pytest.mark.parametrize(
    "text",
    [
        '@app.get("/")\ndef f(db: DB):\n    return db.query(1)\n',
        '@app.get("/")\ndef f(tasks: BackgroundTasks, db: DB):\n    x = db.query(1)\n'
        "    db.commit()\n    tasks.add_task(g, x)\n",
        '@app.get("/")\ndef f(tasks: BackgroundTasks, db: DB):\n    return db.query(1)\n',
        '@app.get("/")\ndef f(db: DB):\n    x = db.query(1)\n    db.close()\n'
        "    return StreamingResponse(talk(x))\n",
        '@app.get("/")\ndef f():\n    return StreamingResponse(talk())\n',
        '@app.get("/")\ndef f(user=Depends(get_user)):\n    user.load()\n'
        "    return StreamingResponse(talk(user))\n",
        '@app.get("/")\ndef f(db: Session = Depends(get_db, scope="function")):\n'
        "    db.query(1)\n    return StreamingResponse(talk())\n",
        "def f(db: DB):\n    db.query(1)\n    return StreamingResponse(talk())\n",
        '@app.get("/")\ndef f(db: DB):\n    if x:\n        return StreamingResponse(talk())\n'
        "    return db.query(1)\n",
        '@app.get("/")\ndef f(db: DB):\n    x = db.query(1)\n'
        "    return StreamingResponse(io.BytesIO(x))\n",
        '@app.get("/")\ndef f(db: DB):\n    x = create_file(db)\n'
        "    return StreamingResponse(talk(x))\n",
        '@app.get("/")\ndef f(db: DB):\n    return StreamingResponse(talk())\n',
    ],
)
def test_ordinary_endpoints_are_none(text: str) -> None:
    assert uses(text) == []


def test_a_middleware_that_holds_a_session_is_seen() -> None:
    head = "from sqlalchemy import text\nfrom app.database import Session\n"
    text = (
        "async def middleware(request, call_next):\n    async with Session() as session:\n"
        "        return await call_next(request)\n"
    )
    assert uses(text, head) == [("session-over-teardown", 2, 1)]
    assert uses(text.replace("async with Session()", "async with timer()"), head) == []
    after = text.replace("        return await", "        ...\n    return await")
    assert uses(after, head) == []


def test_an_http_clients_session_is_none() -> None:
    head = "from sqlalchemy import text\nfrom requests import Session\n# pool.acquire(\n"
    text = "def f():\n    with Session() as a, Session() as b:\n        ...\n"
    assert uses(text, head) == []
    assert uses(text, head.replace("requests", "app.database")) == [("nested-checkout", 2, 2)]


@pytest.mark.parametrize(
    "call",
    [
        "import os\nos.fork()",
        "import multiprocessing\nmultiprocessing.Process(target=f).start()",
        "import multiprocessing as mp\nmp.Pool(4)",
        "from concurrent.futures import ProcessPoolExecutor\nProcessPoolExecutor()",
    ],
)
def test_a_fork_after_an_engine_is_seen(call: str) -> None:
    assert uses(call) == [("fork-after-engine", 2, 1)]
    assert uses(f"{call}\ndef g():\n    engine.dispose()\n") == []
    assert uses(f"{call}\nset_start_method('spawn')\n") == []
    assert (
        uses(call, "from sqlalchemy import create_engine\ndef g():\n    create_engine(x)\n") == []
    )


def test_threads_are_no_processes() -> None:
    assert uses("from threading import Thread\nThread(target=f).start()\n") == []
    assert uses("from multiprocessing.pool import ThreadPool\nThreadPool(4)\n") == []


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ("creator=pool.getconn", True),
        ("creator=lambda: pool.getconn()", True),
        ("creator=pool.getconn, poolclass=NullPool", False),
        ("creator=connect", False),
        ("creator=pool.getconn, **options", False),
    ],
)
def test_a_pool_over_a_pool_is_seen(arguments: str, seen: bool) -> None:
    text = f'e2 = create_engine("postgresql://", {arguments})\n'
    assert uses(text) == ([("pool-over-pool", 1, 1)] if seen else [])


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("pool = AsyncConnectionPool(x)\n", True),
        ("pool = AsyncConnectionPool(x, open=True)\n", True),
        ("pool = AsyncConnectionPool(x, open=False)\n", False),
        ("pool = AsyncConnectionPool(x, **more)\n", False),
        ("async def f():\n    async with AsyncConnectionPool(x) as pool:\n        ...\n", False),
        ("pool = ConnectionPool(x)\n", False),
    ],
)
def test_a_pool_that_is_opened_in_its_constructor_is_seen(text: str, seen: bool) -> None:
    assert [practice for practice, _, _ in uses(text)] == (
        ["opened-in-constructor"] if seen else []
    )


@pytest.mark.parametrize(
    ("taken", "pool"),
    [("engine.begin()", "engine"), ("SessionLocal()", "engine"), ("get_session_of(1)", "")],
)
def test_the_pool_of_a_second_connection_is_named(taken: str, pool: str) -> None:
    text = f"def f():\n    with {taken} as a, {taken} as b:\n        ...\n"
    (code,) = read(python, "app/main.py", HEAD + text).codes
    assert [use.pool for use in code.uses] == [pool]


HELPERS = """\
from app.db import pool

async def seen(user):
    async with pool.connection() as connection:
        await connection.execute("UPDATE members SET seen_at = now()")

async def noted(connection, user):
    await connection.execute("INSERT INTO notes VALUES (1)")

async def told(user):
    await seen(user)

async def twice(user):
    await told(user)

async def maybe(user):
    if user.is_new:
        await seen(user)

async def later(user):
    asyncio.create_task(seen(user))

async def rename(request):
    async with pool.connection() as connection:
        await connection.execute("UPDATE members SET name = 1")
        await {call}
"""


@pytest.mark.parametrize(
    ("call", "practices"),
    [
        ("seen(1)", ["nested-checkout"]),
        ("twice(1)", ["nested-checkout"]),
        ("maybe(1)", []),
        ("asyncio.create_task(seen(1))", []),
        ("later(1)", []),
        ("noted(connection, 1)", []),
        ("elsewhere(1)", []),
    ],
)
def test_a_helper_of_the_file_may_take_the_second_connection(
    call: str, practices: list[str]
) -> None:
    found = uses(HELPERS.format(call=call), head="")
    assert [each[0] for each in found] == practices
    assert all(each[1] == 26 for each in found), "where it is called"
