"""Names that packages have from elsewhere."""

from __future__ import annotations

import pytest

from harness.audit.joining.calls import across
from harness.audit.joining.reexports import original
from harness.audit.loaders import python
from tests.harness.audit.loaders.reading import read

DB = 'from sqlalchemy import create_engine\nengine = create_engine("postgresql://u@db/app")\n'
LOG = """\
from {db} import engine
def record(what):
    with engine.begin() as connection:
        connection.execute(what)
"""
MAIN = """\
from {db} import engine
from {log} import record
def handler():
    with engine.begin() as connection:
        connection.execute("x")
        record("y")
"""


def nested(main: str, log: str, **more: str) -> list[int]:
    files = {
        "src/app/main.py": main,
        "src/app/audit/log.py": log,
        "src/app/audit/__init__.py": "from .log import record\n",
        "src/app/db/engine.py": DB,
        "src/app/db/__init__.py": "from app.db.engine import engine as engine\n",
        **more,
    }
    readings = [read(python, name, text) for name, text in files.items()]
    found = across(original(readings))
    return [use.place.line for each in found for code in each.codes for use in code.uses]


@pytest.mark.parametrize("main", ["app.db", "app.db.engine"])
@pytest.mark.parametrize("log", ["app.db", "app.db.engine", "..db"])
@pytest.mark.parametrize("called", ["app.audit", "app.audit.log", ".audit"])
def test_one_engine_is_one_by_whatever_name(main: str, log: str, called: str) -> None:
    assert nested(MAIN.format(db=main, log=called), LOG.format(db=log)) == [6]


def test_packages_may_have_it_from_each_other() -> None:
    facade = {"src/app/__init__.py": "from app.audit import record\n"}
    assert nested(MAIN.format(db="app.db", log="app"), LOG.format(db="app.db"), **facade) == [6]


def test_packages_that_have_it_from_each_other_lead_nowhere() -> None:
    circle = {
        "src/app/audit/__init__.py": "from app.other import record\n",
        "src/app/other/__init__.py": "from app.audit import record\n",
    }
    main = MAIN.format(db="app.db", log="app.audit")
    assert nested(main, LOG.format(db="app.db"), **circle) == []


def test_another_engine_is_another() -> None:
    other = {
        "src/app/db/reads.py": DB,
        "src/app/reads/__init__.py": "from app.db.reads import engine\n",
    }
    log = LOG.format(db="app.reads")
    assert nested(MAIN.format(db="app.db", log="app.audit"), log, **other) == []
