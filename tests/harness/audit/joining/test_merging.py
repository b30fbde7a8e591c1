"""A PgBouncer is a container and a file: what only one of them knows."""

from __future__ import annotations

from typing import Any

import pytest

from harness.audit.joining.merging import mounted
from harness.audit.parts import Pooler
from harness.audit.values import Place, Value

TRACKED: Value[float] = Value.default(200.0, "PgBouncer")
BEFORE: Value[float] = Value.default(0.0, "PgBouncer")
ANY: Value[float] = Value.unknown("it depends on the version", Place("compose.yaml", 2))


def pooler(file: str, hosts: tuple[str, ...] = (), **said: Any) -> Pooler:
    return Pooler(name="pgbouncer", place=Place(file), hosts=hosts, **said)


@pytest.mark.parametrize("image", [BEFORE, TRACKED, ANY])
def test_the_image_says_what_holds_by_default(image: Value[float]) -> None:
    container = pooler("compose.yaml", ("pgbouncer",), prepared_by_default=image)
    file = pooler("pgbouncer.ini", max_prepared_statements=TRACKED)
    (found,) = mounted((container, file))
    assert found.max_prepared_statements == image


def test_the_file_holds_over_the_image() -> None:
    said = Value.at(100.0, Place("pgbouncer.ini", 7))
    container = pooler("compose.yaml", ("pgbouncer",), prepared_by_default=BEFORE)
    (found,) = mounted((container, pooler("pgbouncer.ini", max_prepared_statements=said)))
    assert found.max_prepared_statements == said


def test_a_file_alone_has_its_own() -> None:
    (found,) = mounted((pooler("pgbouncer.ini", max_prepared_statements=TRACKED),))
    assert found.max_prepared_statements == TRACKED


SAID = {
    each: Value.at(1.0, Place("x", 1))
    for each in (
        *("default_pool_size", "reserve_pool_size", "max_client_conn", "max_db_connections"),
        *("query_wait_timeout_s", "min_pool_size", "reserve_pool_timeout_s", "query_timeout_s"),
        *("max_user_connections", "client_idle_timeout_s", "idle_transaction_timeout_s"),
        *("transaction_timeout_s", "server_idle_timeout_s", "server_lifetime_s"),
        "server_login_retry_s",
    )
}
FILE = pooler("deploy/pgbouncer/pgbouncer.ini", pool_mode=Value.at("session", Place("x", 2)))


def modes(*running: Pooler) -> list[str | None]:
    return [each.pool_mode.known for each in mounted((*running, FILE))]


def test_a_file_is_the_nearest_poolers() -> None:
    assert modes(pooler("deploy/compose.yaml", ("a",)), pooler("examples/k8s.yaml", ("b",))) == [
        "session",
        None,
    ]
    assert modes(pooler("compose.yaml", ("a",))) == ["session"], "of one, wherever it stands"


def test_a_pooler_whose_variables_say_everything_reads_no_file() -> None:
    own = Value.at("transaction", Place("compose.yaml", 3))
    whole = pooler("deploy/compose.yaml", ("a",), pool_mode=own, **SAID)
    assert modes(whole) == ["transaction", "session"], "the file is a part of its own"


@pytest.mark.parametrize("name", ["values.yaml", "values-prod.yml", "custom-values.yaml"])
def test_a_chart_reads_no_file_of_another_folder(name: str) -> None:
    assert modes(pooler(f"charts/app/{name}", ("a",))) == [None, "session"]
    assert modes(pooler(f"deploy/{name}", ("a",))) == ["session"]
