"""Which Python files are read as trees, and that each is gone through only a few times."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from harness.audit.loaders import python
from harness.audit.loaders.python.signs import may_concern
from tests.harness.audit.loaders.reading import read

SIGNS = (
    "engine = create_engine(url)",
    "engine = create_async_engine(url)",
    "engine = engine_from_config(config)",
    "pool = AsyncConnectionPool(url)",
    "pool = await asyncpg.create_pool(url)",
    'app.config["SQLALCHEMY_DATABASE_URI"]',
    "DATABASES.update(local)",
    "class Settings(BaseSettings):",
    "make = sessionmaker()",
    "with SessionLocal() as session:",
    "with session_factory() as session:",
    "with SessionFactory() as session:",
    "async with async_session() as session:",
    "async with async_session_maker() as session:",
    "def read(session: Annotated[AsyncSession, Depends(get)]):",
    "return StreamingResponse(rows())",
    "def work(tasks: BackgroundTasks):",
    "uvicorn.run(app)",
    'worker_class = "gevent"',
    "worker_concurrency = 8",
    "def post_fork(server, worker):",
    "@worker_process_init.connect",
    "os.register_at_fork(after_in_child=dispose)",
    "with engine.begin() as connection:",
    "with pool.connection() as connection:",
    "await call_next(request)",
    "db = Database(url)",
    "db = open_pool(url)",
    "from app.db import engine",
    "import app.main_database",
    "from app.db import (\n    settings,\n    main_engine,\n)",
    "options = {'pool_size': 5}",
    'options = {"max_overflow": 5}',
    "Tortoise.init(config)",
    "from playhouse.pool import Pooled",
    "await db.set_bind(url)",
    "db = Gino()",
    "current_default_thread_limiter().total_tokens = 100",
    "app = FastAPI()",
    "app = Starlette()",
    'waits = Histogram("wait_seconds", "")',
    "workers = 4",
    "import os\ntimeout\t= 30",
    'os.getenv("APP_POOL")',
    'env.int("PG_LIMIT")',
    'os.environ["TIMEOUT"]',
    "    db_pool_size: int = 5",
    "    max_overflow = 5",
    "\tpool_timeout: float = 5.0",
    "    DB_LIMIT = 5",
    "POSTGRES_HOST: str",
)


@pytest.mark.parametrize("sign", SIGNS)
def test_a_file_with_a_sign_is_read(sign: str) -> None:
    """Alone in its file, and behind other lines."""
    assert may_concern(sign)
    assert may_concern(f"import os\n\n{sign}\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "print('hello')",
        "OLD_DATABASES_NUMBER",
        "Annotated[str, Depends(get)]",
        "    workers = 4",
        "threads: int",
        "def timeout(): ...",
        "DB_LIMIT",
        "limit = max_overflow",
        "enginery = 5",
        'getenv("HOME")',
        "config\nPOOL",
        "import os, engineering",
    ],
)
def test_a_file_without_one_is_not(text: str) -> None:
    """Each has a part of a sign, or a sign that stands elsewhere."""
    assert not may_concern(text)


def methods(count: int) -> str:
    """A class whose methods ask for its fields, hold connections and call each other."""
    head = (
        "from sqlalchemy import create_engine\nfrom app.work import done\n"
        "from app.types import Session\nengine = create_engine('postgresql://db/app')\n"
        "class Work:\n    def __init__(self, given):\n"
    )
    fields = "".join(f"        self.field_{n} = given[{n}]\n" for n in range(count))
    return (
        head
        + fields
        + "".join(
            f"    def method_{n}(self, session: Session, flag):\n"
            f"        if self.field_{n} or flag:\n"
            f"            with engine.connect() as connection:\n"
            f"                done(connection)\n"
            f"        return done(self.field_{n})\n"
            for n in range(count)
        )
    )


def test_a_file_twice_as_long_takes_twice_as_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes through the whole tree again for each call, field or function in it."""
    steps = 0
    children = ast.iter_child_nodes

    def counted(node: ast.AST) -> Iterator[ast.AST]:
        nonlocal steps
        steps += 1
        return children(node)

    monkeypatch.setattr(ast, "iter_child_nodes", counted)
    taken = []
    for count in (40, 80):
        steps = 0
        assert read(python, "app/work.py", methods(count)).codes
        taken.append(steps)
    assert taken[1] < 2.2 * taken[0]
