"""The environment: what is read, what is refused, and what is never said."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback

import pytest
from pydantic import ValidationError

from auth_service.settings import BadSettings, PoolSettings, Settings, load

URL = "postgresql://app:canary%21pass@db.example:6543/accounts"
CANARIES = ("canary%21pass", "canary!pass")


def problems_of(**environment: str) -> dict[str, str]:
    """The problems of an environment, by variable."""
    with pytest.raises(BadSettings) as refused:
        load(Settings, {"AUTH_DATABASE_URL": URL, **environment})
    problems = {problem.variable: problem.message for problem in refused.value.problems}
    assert len(problems) == len(refused.value.problems)
    return problems


def test_defaults_are_those_of_the_contract() -> None:
    """An environment with nothing but the database gives every documented default."""
    settings = load(Settings, {"AUTH_DATABASE_URL": URL})
    assert settings.model_dump(exclude={"database_url"}) == {
        "host": "127.0.0.1",
        "port": 0,
        "announce": None,
        "exit_with_stdin": False,
        "drain_s": 5.0,
        "replica": "replica-1",
        "release": 1,
        "pool": {
            "implementation": "sqlalchemy-async",
            "name": "primary",
            "size": 5,
            "max_overflow": 10,
            "timeout_s": 30.0,
            "recycle_s": -1.0,
            "pre_ping": False,
            "use_lifo": False,
            "min_size": None,
            "max_waiting": 0,
            "threads": 40,
        },
        "hash": {
            "time_cost": 2,
            "memory_kib": 19456,
            "parallelism": 1,
            "workers": 2,
            "latency_ms": 0.0,
        },
        "work_ms": 0.0,
        "session_ttl_s": 3600.0,
        "connect_timeout_s": 5.0,
        "statement_timeout_ms": 0,
        "retry_after_s": 1,
        "defects": (),
        "teardown_ms": 50.0,
    }


def test_nested_settings_are_read() -> None:
    """Each level of the name is a level of the settings."""
    settings = load(
        Settings,
        {
            "AUTH_DATABASE_URL": URL,
            "AUTH_POOL__IMPLEMENTATION": "psycopg-pool",
            "AUTH_POOL__SIZE": "2",
            "AUTH_POOL__MIN_SIZE": "12",
            "AUTH_POOL__MAX_WAITING": "7",
            "AUTH_HASH__WORKERS": "3",
            "AUTH_HASH__LATENCY_MS": "250.5",
            "AUTH_RELEASE": "7",
            "AUTH_DEFECTS": "nested-checkout, hash-while-holding,",
            "AUTH_ANNOUNCE": "/tmp/announce.json",
            "AUTH_EXIT_WITH_STDIN": "1",
        },
    )
    assert (settings.pool.size, settings.pool.min_size, settings.pool.max_waiting) == (2, 12, 7)
    assert settings.pool.max_connections == 12
    assert (settings.hash.workers, settings.hash.latency_ms) == (3, 250.5)
    assert settings.release == 7
    assert settings.defects == ("nested-checkout", "hash-while-holding")
    assert settings.announce is not None
    assert settings.exit_with_stdin


def test_an_empty_value_is_no_value() -> None:
    """A launcher may set a variable to nothing instead of leaving it out."""
    settings = load(
        Settings, {"AUTH_DATABASE_URL": URL, "AUTH_POOL__MIN_SIZE": "", "AUTH_DEFECTS": ""}
    )
    assert settings.pool.min_size is None
    assert settings.defects == ()


def test_only_load_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings built in code do not depend on who started the process."""
    monkeypatch.setenv("AUTH_WORK_MS", "7")
    assert Settings(database_url=URL).work_ms == 0  # type: ignore[arg-type]
    monkeypatch.setenv("AUTH_DATABASE_URL", URL)
    assert load(Settings).work_ms == 7


def test_all_problems_come_at_once_under_their_variables() -> None:
    """Bad values, cross checks, unknown names and unknown defects in one refusal."""
    problems = problems_of(
        AUTH_POOL__SIZE="many",
        AUTH_POOL__TIMEOUT_S="0",
        AUTH_POOL__MIN_SIZE="3",
        AUTH_POOL__SIZ="3",
        AUTH_HASH__PARALLELISM="4",
        AUTH_HASH__MEMORY_KIB="16",
        AUTH_HASH__LATENCY_MS="-1",
        AUTH_RELEASE="0",
        AUTH_WORK_MS="nan",
        AUTH_DEFECTS="nested-checkouts",
        AUTH_REPLICA="replica 1",
        AUTH_DATABASE_URL="mysql://app@db/accounts",
    )
    assert set(problems) == {
        "AUTH_POOL__SIZE",
        "AUTH_POOL__TIMEOUT_S",
        "AUTH_POOL__MIN_SIZE",
        "AUTH_POOL__SIZ",
        "AUTH_HASH__MEMORY_KIB",
        "AUTH_HASH__LATENCY_MS",
        "AUTH_RELEASE",
        "AUTH_WORK_MS",
        "AUTH_DEFECTS",
        "AUTH_REPLICA",
        "AUTH_DATABASE_URL",
    }
    assert problems["AUTH_POOL__SIZ"] == "unknown; did you mean AUTH_POOL__SIZE?"
    assert "nested-checkouts" in problems["AUTH_DEFECTS"]
    assert "session-over-teardown" in problems["AUTH_DEFECTS"]
    assert "32" in problems["AUTH_HASH__MEMORY_KIB"]


def test_the_database_is_required() -> None:
    """There is no default database to damage by accident."""
    with pytest.raises(BadSettings, match="AUTH_DATABASE_URL: required"):
        load(Settings, {})


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({"IMPLEMENTATION": "sqlalchemy-async", "MIN_SIZE": "1"}, "MIN_SIZE"),
        ({"IMPLEMENTATION": "sqlalchemy-sync", "MAX_WAITING": "1"}, "MAX_WAITING"),
        ({"IMPLEMENTATION": "sqlalchemy-async", "THREADS": "8"}, "THREADS"),
        ({"IMPLEMENTATION": "psycopg-pool", "THREADS": "8"}, "THREADS"),
        ({"IMPLEMENTATION": "psycopg-pool", "USE_LIFO": "1"}, "USE_LIFO"),
        ({"IMPLEMENTATION": "psycopg-pool", "MAX_OVERFLOW": "-1"}, "MAX_OVERFLOW"),
        ({"IMPLEMENTATION": "psycopg-pool", "SIZE": "0", "MAX_OVERFLOW": "0"}, "MAX_OVERFLOW"),
        ({"IMPLEMENTATION": "psycopg-pool", "MIN_SIZE": "16"}, "MIN_SIZE"),
        ({"IMPLEMENTATION": "pgbouncer"}, "IMPLEMENTATION"),
    ],
)
def test_a_setting_that_the_pool_would_ignore_is_refused(
    environment: dict[str, str], variable: str
) -> None:
    """Each pool takes its own settings; another's is a mistake worth knowing."""
    prefixed = {f"AUTH_POOL__{name}": value for name, value in environment.items()}
    assert list(problems_of(**prefixed)) == [f"AUTH_POOL__{variable}"]


@pytest.mark.parametrize("implementation", ["sqlalchemy-async", "psycopg-pool", "none"])
def test_a_default_is_never_refused(implementation: str) -> None:
    """A launcher that always sets everything may set what does not apply to its default."""
    load(
        Settings,
        {
            "AUTH_DATABASE_URL": URL,
            "AUTH_POOL__IMPLEMENTATION": implementation,
            "AUTH_POOL__THREADS": "40",
            "AUTH_POOL__MAX_WAITING": "0",
            "AUTH_POOL__USE_LIFO": "false",
            "AUTH_TEARDOWN_MS": "50",
        },
    )


def test_the_teardown_needs_its_defect() -> None:
    """A teardown time without the defect that has a teardown would do nothing."""
    assert list(problems_of(AUTH_TEARDOWN_MS="90")) == ["AUTH_TEARDOWN_MS"]
    settings = load(
        Settings,
        {
            "AUTH_DATABASE_URL": URL,
            "AUTH_TEARDOWN_MS": "90",
            "AUTH_DEFECTS": "session-over-teardown",
        },
    )
    assert settings.teardown_ms == 90


@pytest.mark.parametrize(
    ("pool", "limit"),
    [
        (PoolSettings(), 15),
        (PoolSettings(size=0), None),
        (PoolSettings(max_overflow=-1), None),
        (PoolSettings(implementation="none"), None),
        (PoolSettings(implementation="psycopg-pool", size=0, max_overflow=4), 4),
    ],
)
def test_the_most_connections_of_a_pool(pool: PoolSettings, limit: int | None) -> None:
    """SQLAlchemy's 0 and -1 mean no limit; psycopg-pool's 0 is a 0."""
    assert pool.max_connections == limit


def test_a_pool_built_in_code_is_checked_too() -> None:
    """The checks belong to the settings, not to the reading of the environment."""
    with pytest.raises(ValidationError):
        PoolSettings(implementation="none", min_size=1)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        URL.replace("postgresql", "postgres"),
        URL.replace("6543", "port"),
        URL.replace("6543", "99999999"),
        URL.replace("/accounts", ""),
        URL.replace("db.example", "[db"),
    ],
)
def test_a_password_is_never_written(url: str) -> None:
    """Neither a refusal nor a repr of anything repeats the password."""
    texts = []
    try:
        settings = load(Settings, {"AUTH_DATABASE_URL": url, "AUTH_PORT": "0"})
        texts += [repr(settings), str(settings), settings.model_dump_json()]
        texts += [settings.database_address]
    except BadSettings:
        texts.append(traceback.format_exc())
    assert texts
    assert not any(canary in text for text in texts for canary in CANARIES)


def test_the_password_is_known_in_all_its_spellings() -> None:
    """What scrubs the logs is told the password as the URL spells it and as it is."""
    assert set(load(Settings, {"AUTH_DATABASE_URL": URL}).secrets) == set(CANARIES)


def test_the_process_refuses_bad_settings_with_exit_code_2() -> None:
    """All problems stand on standard error, and nothing on standard output."""
    environment = {
        **os.environ,
        "AUTH_DATABASE_URL": URL,
        "AUTH_POOL__SIZE": "-1",
        "AUTH_PORTS": "80",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "auth_service"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "bad settings: 2 problems",
        "  AUTH_POOL__SIZE: Input should be greater than or equal to 0",
        "  AUTH_PORTS: unknown; did you mean AUTH_PORT?",
    ]
