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
