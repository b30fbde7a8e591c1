"""Airflow: the pool of each of its processes, and how many of them are known."""

from __future__ import annotations

import math

import pytest

from harness.audit.joining.entry_points import started
from harness.audit.loaders import airflow, compose
from harness.audit.parts import Pool
from harness.audit.reading import Deployment, Runtime
from harness.audit.values import Place, Settings
from tests.harness.audit.loaders.reading import read, texts

HERE = Place("compose.yaml", 4)
CONN = "postgresql+psycopg2://airflow@db:6432/airflow?connect_timeout=5"


def settings(**said: str) -> Settings:
    return {
        f"AIRFLOW__{key}": (text, Place("compose.yaml", 9, f"AIRFLOW__{key}"))
        for key, text in said.items()
    }


def known(word: str = "", **said: str) -> tuple[Runtime, Pool]:
    found = settings(**{"DATABASE__SQL_ALCHEMY_CONN": CONN, **said})
    assert airflow.is_it(found)
    deployment = Deployment(name="web", place=HERE, kind="x", argument=word)
    deployment, code = airflow.known(deployment, found)
    assert deployment.runtime is not None
    (pool,) = code.pools
    return deployment.runtime, pool


def test_nobody_has_said_anything() -> None:
    _, pool = known()
    assert (pool.implementation, pool.capacity.known) == ("sqlalchemy", 15)
    assert (pool.recycle_s.known, pool.pre_ping.known) == (1800, True)
    assert not pool.timeout_s.is_known
    assert pool.connect_timeout_s.known == 5
    assert (pool.target.host.known, pool.target.port.known) == ("db", 6432)


@pytest.mark.parametrize("section", ["DATABASE", "CORE"])
def test_what_is_said(section: str) -> None:
    said = {
        f"{section}__SQL_ALCHEMY_{key}": text
        for key, text in {
            "POOL_SIZE": "8",
            "MAX_OVERFLOW": "-1",
            "POOL_RECYCLE": "600",
            "POOL_PRE_PING": "False",
        }.items()
    }
    _, pool = known(**said)
    assert (pool.size.known, pool.max_overflow.known) == (8, math.inf)
    assert (pool.recycle_s.known, pool.pre_ping.known) == (600, False)
    assert pool.size.place == Place("compose.yaml", 9, f"AIRFLOW__{section}__SQL_ALCHEMY_POOL_SIZE")


def test_zero_is_no_limit() -> None:
    assert known(DATABASE__SQL_ALCHEMY_POOL_SIZE="0")[1].capacity.known == math.inf


def test_without_a_pool_each_takes_a_connection_of_its_own() -> None:
    assert known(DATABASE__SQL_ALCHEMY_POOL_ENABLED="False")[1].implementation == "none"


@pytest.mark.parametrize(
    ("word", "said", "processes", "serves"),
    [
        ("webserver", {}, 4, True),
        ("webserver", {"WEBSERVER__WORKERS": "2"}, 2, True),
        ("api-server", {"API__WORKERS": "3"}, 3, True),
        ("scheduler", {}, None, False),
        ("celery", {}, None, False),
        ("", {}, None, None),
    ],
)
def test_processes_are_known_of_what_serves(
    word: str, said: dict[str, str], processes: int | None, serves: bool | None
) -> None:
    runtime, _ = known(word, **said)
    assert (runtime.processes.known, runtime.serves.known) == (processes, serves)


def test_others_are_not_it() -> None:
    assert not airflow.is_it(settings(CORE__EXECUTOR="LocalExecutor"))


def test_nothing_but_where_its_database_is_comes_of_its_address() -> None:
    url = "postgresql://airflow:hunter2-canary@db/airflow"
    _, pool = known(DATABASE__SQL_ALCHEMY_CONN=url)
    assert "hunter2" not in texts(pool)
    assert pool.target.user.known == "airflow"


@pytest.mark.parametrize("made", ["image: apache/airflow:3.0.2", "build: ."])
def test_what_a_part_of_it_is_comes_of_the_word_that_its_image_is_given(made: str) -> None:
    text = f"""\
services:
  web:
    {made}
    command: webserver
    environment: {{AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: "{CONN}"}}
"""
    readings = started([read(compose, "compose.yaml", text)])
    (deployment,) = readings[0].deployments
    known, _ = airflow.known(deployment, deployment.environment)
    assert known.runtime is not None
    assert known.runtime.processes.known == 4
