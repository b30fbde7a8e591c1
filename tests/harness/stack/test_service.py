"""A service configuration becomes the environment of a replica."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from harness.errors import PartStartError
from harness.incident import HashConfig, PoolConfig, ServiceConfig
from harness.stack.announced import clean_environment
from harness.stack.service import Processes, seed_accounts, service_environment

BAD_SERVICE = ServiceConfig().model_copy(update={"session_ttl_s": 0.0})
"""What an incident refuses and the service refuses too: copying does not validate."""

NOWHERE = "postgresql://auth:secret@127.0.0.1:1/auth"


def environment(config: ServiceConfig) -> dict[str, str]:
    return service_environment(config, name="replica-1", dsn=NOWHERE)


def test_every_setting_has_its_variable_and_its_unit() -> None:
    pool = PoolConfig(
        size=3, max_overflow=-1, timeout_s=0.5, recycle_s=90, pre_ping=True, use_lifo=True
    )
    config = ServiceConfig(
        pool=pool,
        hash=HashConfig(time_cost=1, memory_kib=64, workers=4),
        work_s=0.0501,
        session_ttl_s=60,
        connect_timeout_s=2,
        statement_timeout_s=1.5,
        retry_after_s=3,
        defects=("leak-on-failed-login", "nested-checkout"),
    )
    assert environment(config) == {
        "AUTH_DATABASE_URL": NOWHERE,
        "AUTH_REPLICA": "replica-1",
        "AUTH_RELEASE": "1",
        "AUTH_DRAIN_S": "1",
        "AUTH_POOL__IMPLEMENTATION": "sqlalchemy-async",
        "AUTH_POOL__NAME": "primary",
        "AUTH_POOL__SIZE": "3",
        "AUTH_POOL__MAX_OVERFLOW": "-1",
        "AUTH_POOL__TIMEOUT_S": "0.5",
        "AUTH_POOL__RECYCLE_S": "90",
        "AUTH_POOL__PRE_PING": "true",
        "AUTH_POOL__USE_LIFO": "true",
        "AUTH_HASH__TIME_COST": "1",
        "AUTH_HASH__MEMORY_KIB": "64",
        "AUTH_HASH__PARALLELISM": "1",
        "AUTH_HASH__WORKERS": "4",
        "AUTH_WORK_MS": "50.1",
        "AUTH_SESSION_TTL_S": "60",
        "AUTH_CONNECT_TIMEOUT_S": "2",
        "AUTH_STATEMENT_TIMEOUT_MS": "1500",
        "AUTH_RETRY_AFTER_S": "3",
        "AUTH_DEFECTS": "leak-on-failed-login,nested-checkout",
    }


def test_what_only_one_pool_knows_goes_to_that_pool_only() -> None:
    psycopg_pool = PoolConfig(implementation="psycopg-pool", min_size=2, max_waiting=9)
    settings = environment(ServiceConfig(pool=psycopg_pool))
    assert settings["AUTH_POOL__MIN_SIZE"] == "2"
    assert settings["AUTH_POOL__MAX_WAITING"] == "9"
    assert "AUTH_POOL__THREADS" not in settings
    sync = PoolConfig(implementation="sqlalchemy-sync", threads=7)
    assert environment(ServiceConfig(pool=sync))["AUTH_POOL__THREADS"] == "7"


def test_the_users_shell_does_not_reach_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stray AUTH_DEFECTS or HTTP_PROXY would change what is measured."""
    monkeypatch.setenv("AUTH_DEFECTS", "leak")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    passed = clean_environment({"AUTH_REPLICA": "replica-1"})
    assert passed["AUTH_REPLICA"] == "replica-1"
    assert passed["PATH"] == os.environ["PATH"]
    assert not {"AUTH_DEFECTS", "HTTP_PROXY"} & passed.keys()


def test_a_replica_with_bad_settings_shows_its_log(tmp_path: Path) -> None:
    config = BAD_SERVICE
    replica = Processes(tmp_path, tmp_path).launch("replica-1", config, NOWHERE, 1)
    with (
        httpx.Client(trust_env=False) as client,
        pytest.raises(
            PartStartError, match=r"(?s)replica-1 ended with exit code 2.*AUTH_SESSION_TTL_S"
        ),
    ):
        replica.await_ready(client)
    replica.stop()


def test_accounts_that_cannot_be_seeded_show_their_log(tmp_path: Path) -> None:
    with pytest.raises(PartStartError, match=r"(?s)accounts ended with exit code \d.*\n"):
        seed_accounts(NOWHERE, 10, HashConfig(), log=tmp_path / "accounts.log")
