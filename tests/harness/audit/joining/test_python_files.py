"""Pools that are made with what another file declares."""

from __future__ import annotations

import pytest

from harness.audit.auditing import audit_sources
from harness.audit.chain import Declared
from harness.audit.parts import Pool
from tests.harness.audit.loaders.reading import source

URL = '"postgresql+psycopg://u@db/app"'
OPTIONS = 'ENGINE_OPTIONS = {"pool_size": 7, "max_overflow": 2}\n'


def pool(db: str, **files: str) -> Pool:
    whole = {"app/db.py": f"from sqlalchemy import create_engine\n{db}", **files}
    audit = audit_sources((source(*each) for each in whole.items()), Declared())
    assert not audit.unread
    ((_, found),) = audit.chains[0].pools()
    return found


def sizes(db: str, **files: str) -> tuple[float | None, float | None]:
    found = pool(db, **files)
    return found.size.known, found.max_overflow.known


@pytest.mark.parametrize("module", ["app.options", ".options"])
def test_a_dict_of_options_may_stand_in_another_file(module: str) -> None:
    db = f"from {module} import ENGINE_OPTIONS\ncreate_engine({URL}, **ENGINE_OPTIONS)\n"
    found = pool(db, **{"app/options.py": OPTIONS})
    assert (found.size.known, found.max_overflow.known, found.timeout_s.known) == (7, 2, 30)
    assert found.size.place is not None
    assert (found.size.place.file, found.size.place.line) == ("app/options.py", 1)


@pytest.mark.parametrize(
    ("options", "used"),
    [
        (f"POOL_SIZE = 7\n{OPTIONS.replace('7', 'POOL_SIZE')}", "ENGINE_OPTIONS"),
        ('def options():\n    return {"pool_size": 7, "max_overflow": 2}\n', "options()"),
        (f"{OPTIONS}def options():\n    return ENGINE_OPTIONS | {{}}\n", "options()"),
        (
            "from dataclasses import asdict, dataclass\n@dataclass\nclass Options:\n"
            "    pool_size: int = 5\n    max_overflow: int = 2\n"
            "options = Options(pool_size=7)\nENGINE_OPTIONS = asdict(options)\n",
            "ENGINE_OPTIONS",
        ),
    ],
)
def test_with_what_it_needs(options: str, used: str) -> None:
    db = f"from app.options import {used.strip('()')}\ncreate_engine({URL}, **{used})\n"
    assert sizes(db, **{"app/options.py": options}) == (7, 2)


def test_by_way_of_a_package() -> None:
    db = f"from app.conf import ENGINE_OPTIONS\ncreate_engine({URL}, **ENGINE_OPTIONS)\n"
    package = {"app/conf/__init__.py": "from .pools import ENGINE_OPTIONS\n"}
    assert sizes(db, **package, **{"app/conf/pools.py": OPTIONS}) == (7, 2)


def test_an_environment_decides_what_another_file_asks_it_for() -> None:
    options = 'import os\nENGINE_OPTIONS = {"pool_size": int(os.getenv("POOL_SIZE", "7"))}\n'
    db = f"from app.options import ENGINE_OPTIONS\ncreate_engine({URL}, **ENGINE_OPTIONS)\n"
    assert pool(db, **{"app/options.py": options, ".env": "POOL_SIZE=9\n"}).size.known == 9


@pytest.mark.parametrize(
    "options",
    [
        f'{OPTIONS}ENGINE_OPTIONS["pool_size"] = 70\n',
        f"{OPTIONS}if x:\n    ENGINE_OPTIONS = {{}}\n",
        "from functools import cache\n@cache\ndef ENGINE_OPTIONS():\n    return {'pool_size': 7}\n",
        "ENGINE_OPTIONS = load('pool_size')\n",
        "from app.options import ENGINE_OPTIONS  # 'pool_size'\n",
        "ENGINE_OPTIONS = {'pool_size': 7\n",
    ],
)
def test_what_is_not_clear_stays_unknown(options: str) -> None:
    db = "from sqlalchemy import create_engine\nfrom app.options import ENGINE_OPTIONS\n"
    db += f"create_engine({URL}, **ENGINE_OPTIONS)\n"
    files = {"app/db.py": db, "app/options.py": options}
    audit = audit_sources((source(*each) for each in files.items()), Declared())
    ((_, found),) = audit.chains[0].pools()
    assert not found.size.is_known


def test_a_name_that_means_another_thing_here_is_not_taken() -> None:
    options = f"SIZE = 7\n{OPTIONS.replace('7', 'SIZE')}"
    db = "from app.options import ENGINE_OPTIONS\nSIZE = 5\n"
    db += f"create_engine({URL}, **ENGINE_OPTIONS)\n"
    assert sizes(db, **{"app/options.py": options}) == (None, None)


def test_what_this_file_says_stays() -> None:
    options = "def options(size):\n    return {'pool_timeout': 3, 'max_overflow': 1}\n"
    db = f"""\
from app.options import options
def make(size=7):
    return create_engine({URL}, pool_size=size, **options(1))
engine = make()
"""
    found = pool(db, **{"app/options.py": options})
    assert (found.size.known, found.timeout_s.known) == (7, 3)


def test_another_programs_file_of_that_name_is_not_meant() -> None:
    db = f"from app.options import ENGINE_OPTIONS\ncreate_engine({URL}, **ENGINE_OPTIONS)\n"
    assert sizes(db, **{"other/app/options.py": OPTIONS}) == (None, None)


def test_a_pool_of_another_file_is_not_made_again() -> None:
    files = {
        "app/db.py": "from sqlalchemy import create_engine\n"
        f"from app.options import OPTIONS\nengine = create_engine({URL}, **OPTIONS)\n",
        "app/options.py": "OPTIONS = {'pool_size': 7}\n",
        "app/more.py": "from sqlalchemy import create_engine\nfrom app.db import engine\n"
        f"from app.options import OPTIONS\nother = create_engine({URL}, **OPTIONS)\n",
    }
    audit = audit_sources((source(*each) for each in files.items()), Declared())
    found = [(pool.name, pool.size.known) for _, pool in audit.chains[0].pools()]
    assert sorted(found) == [("engine", 7), ("other", 7)]
