"""URLs that SQLAlchemy makes of others, and classes of pools."""

from __future__ import annotations

import pytest

from harness.audit.loaders import python
from harness.audit.parts import Pool
from harness.audit.values import Place
from tests.harness.audit.loaders.reading import SECRET, read, texts

BEFORE = """\
import os
from sqlalchemy import URL, create_engine, make_url
import sqlalchemy.pool as kinds
from sqlalchemy.pool import NullPool as NP, QueuePool, StaticPool
"""
MADE = f'make_url("postgresql+psycopg://u:{SECRET}@db/app")'


def pools(text: str) -> tuple[Pool, ...]:
    reading = read(python, "app/db.py", f"{BEFORE}{text}\n")
    assert SECRET not in texts(reading)
    return tuple(pool for code in reading.codes for pool in code.pools)


def engine(url: str, arguments: str = "") -> Pool:
    (found,) = pools(f"engine = create_engine({url}, {arguments})")
    return found


@pytest.mark.parametrize(
    ("url", "host", "port", "timeout_s"),
    [
        (f'{MADE}.set(host="pg", port=6432)', "pg", 6432, 130),
        (f'{MADE}.set(drivername="postgresql+asyncpg")', "db", 5432, 60),
        (f'{MADE}.update_query_dict({{"connect_timeout": "4"}})', "db", 5432, 4),
        (f'{MADE}.set(host="pg").update_query_dict({{"connect_timeout": "4"}})', "pg", 5432, 4),
        ('URL.create("postgresql", host="pg").set(port=6432)', "pg", 6432, 130),
    ],
)
def test_a_changed_url_leads_where_it_says(
    url: str, host: str, port: int, timeout_s: float
) -> None:
    found = engine(url)
    assert (found.target.host.known, found.target.port.known) == (host, port)
    assert found.connect_timeout_s.known == timeout_s


def test_a_url_of_the_environment_may_be_changed() -> None:
    found = engine('make_url(os.environ["DB"]).set(drivername="postgresql+asyncpg")')
    said = {"DB": ("postgresql://u@pg/app", Place(".env", 1, "DB"))}
    assert found.target.host.resolved(said).known == "pg"
    assert found.prepared_statements.resolved(said).known is True, "asyncpg's"


def test_what_is_added_and_not_seen_is_not_known() -> None:
    found = engine(f"{MADE}.update_query_dict(extra)")
    assert found.target.host.known == "db"
    assert not found.connect_timeout_s.is_known


@pytest.mark.parametrize(
    "text",
    [
        f'create_engine({MADE}.set(drivername="mysql+pymysql"))',
        'DRIVER = "mysql+pymysql"\ncreate_engine(URL.create(DRIVER, host="db"))',
    ],
)
def test_another_database_is_none_of_ours(text: str) -> None:
    assert pools(text) == ()


@pytest.mark.parametrize("named", ["NP", "kinds.NullPool"])
def test_a_null_pool_is_one_by_whatever_name(named: str) -> None:
    assert engine(MADE, f"poolclass={named}").implementation == "none"


@pytest.mark.parametrize("named", ["QueuePool", "kinds.AsyncAdaptedQueuePool"])
def test_a_queue_pool_is_sqlalchemys(named: str) -> None:
    found = engine(MADE, f"poolclass={named}")
    assert (found.implementation, found.size.known) == ("sqlalchemy", 5)


def test_a_static_pool_has_one_connection() -> None:
    assert engine(MADE, "poolclass=StaticPool").capacity.known == 1


def test_of_another_class_nothing_is_known() -> None:
    found = engine(MADE, "poolclass=OurPool, pool_size=5")
    assert found.implementation == "unknown"
    assert "OurPool" in found.size.why


def test_a_pool_that_an_engine_is_given_is_the_engines() -> None:
    pool = "QueuePool(connect, pool_size=3, max_overflow=1, timeout=4, recycle=60)"
    found = engine(MADE, f"pool={pool}")
    assert (found.size.known, found.max_overflow.known) == (3, 1)
    assert (found.timeout_s.known, found.recycle_s.known) == (4, 60)
    assert not engine(MADE, "pool=made_elsewhere").size.is_known
