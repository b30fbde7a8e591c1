"""Django's settings modules that change what they import from another."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.joining.settings_modules import amended
from harness.audit.loaders import python
from harness.audit.parts import Pool
from tests.harness.audit.loaders.reading import source

BASE = """\
import environ

env = environ.Env()
DATABASES = {"default": env.db("DATABASE_URL"), "reports": env.db("REPORTS_URL")}
"""
IMPORT = "from .base import *\nfrom .base import DATABASES, env\n"


def pools(base: str = BASE, **modules: str) -> dict[str, Pool]:
    """The pools of ``base.py``, by name, as the modules beside it leave them."""
    files = {"base": base, **modules}
    loaded = [python.load(source(f"site/settings/{name}.py", text)) for name, text in files.items()]
    found = amended(loaded)
    return {pool.name: pool for code in found[0].codes for pool in code.pools}


def default(production: str, **modules: str) -> Pool:
    return pools(production=IMPORT + production, **modules)["Django: default"]


@pytest.mark.parametrize(
    "how",
    [
        'DATABASES["default"]["OPTIONS"] = {"connect_timeout": 5}',
        'DATABASES["default"].setdefault("OPTIONS", {})["connect_timeout"] = 5',
        'DATABASES["default"].setdefault("OPTIONS", {})\n'
        'DATABASES["default"]["OPTIONS"]["connect_timeout"] = 5',
        'DATABASES["default"]["OPTIONS"].update(connect_timeout=5)',
        'DATABASES["default"].update({"OPTIONS": {"connect_timeout": 5}})',
        'DATABASES["default"] |= {"OPTIONS": {"connect_timeout": 5}}',
    ],
)
def test_what_is_set_later_holds(how: str) -> None:
    changed = default(f'DATABASES["default"]["CONN_MAX_AGE"] = 60\n{how}\n')
    assert changed.connect_timeout_s.known in (5, None)
    assert changed.connect_timeout_s.known == 5 or "|=" in how
    if "|=" not in how:
        assert changed.recycle_s.known == 60
    same_file = pools(f'{BASE}\nDATABASES["default"]["CONN_MAX_AGE"] = 60\n{how}\n')
    assert same_file["Django: default"].connect_timeout_s.known == changed.connect_timeout_s.known


def test_others_keep_what_they_have() -> None:
    found = pools(production=IMPORT + 'DATABASES["default"]["CONN_MAX_AGE"] = None\n')
    assert found["Django: default"].recycle_s.known == math.inf
    assert found["Django: default"].connect_timeout_s.origin == "default"
    assert found["Django: reports"].recycle_s.known == 0


def test_one_may_be_told_apart_from_all_others() -> None:
    every = "for each in DATABASES.values():\n    each.update(CONN_MAX_AGE=5)\n"
    found = pools(production=f'{IMPORT}{every}DATABASES["default"]["CONN_MAX_AGE"] = 60\n')
    assert found["Django: default"].recycle_s.known == 60
    assert not found["Django: reports"].recycle_s.is_known
    found = pools(production=f'{IMPORT}DATABASES["default"]["CONN_MAX_AGE"] = 60\n{every}')
    assert not found["Django: default"].recycle_s.is_known


def test_a_variable_decides_it_still() -> None:
    changed = default('DATABASES["default"]["CONN_MAX_AGE"] = env.int("MAX_AGE", default=30)\n')
    assert changed.recycle_s.known == 30
    assert changed.recycle_s.variable is not None


def test_djangos_own_pool_may_come_later() -> None:
    changed = default('DATABASES["default"]["OPTIONS"] = {"pool": {"max_size": 7}}\n')
    assert (changed.implementation, changed.size.known) == ("psycopg-pool", 7)


def test_where_it_leads_may_be_changed_in_parts() -> None:
    url = '"postgres://shop@db:6432/shop"'
    base = BASE.replace('env.db("DATABASE_URL")', f'env.db("D", default={url})')
    changed = pools(base, production=IMPORT + 'DATABASES["default"]["HOST"] = "replica"\n')
    target = changed["Django: default"].target
    assert (target.host.known, target.port.known, target.user.known) == ("replica", 6432, "shop")


@pytest.mark.parametrize(
    "how",
    [
        'if env("FAST"):\n    DATABASES["default"]["CONN_MAX_AGE"] = 60',
        'for each in DATABASES.values():\n    each["CONN_MAX_AGE"] = 60',
        'for each in DATABASES:\n    DATABASES[each]["CONN_MAX_AGE"] = 60',
        'for name, each in DATABASES.items():\n    each.setdefault("CONN_MAX_AGE", 60)',
        "for each in DATABASES.values():\n    configure(each)",
        'for each in DATABASES.values():\n    one = each\n    one["CONN_MAX_AGE"] = 60',
        'default = DATABASES["default"]\ndefault["CONN_MAX_AGE"] = 60',
        'DATABASES["default"].update(env.json("MORE"))',
        'configure(DATABASES["default"])',
        'DATABASES["default"][env("KEY")] = 60',
    ],
)
def test_what_may_have_been_changed_is_not_known(how: str) -> None:
    assert not default(f"{how}\n").recycle_s.is_known
    assert not pools(f"{BASE}\n{how}\n")["Django: default"].recycle_s.is_known


@pytest.mark.parametrize(
    "how",
    [
        'if env("TLS"):\n    DATABASES["default"].setdefault("OPTIONS", {})["sslmode"] = "require"',
        'NAME = DATABASES["default"]["NAME"]',
        'for name, each in DATABASES.items():\n    if not each["NAME"]:\n        raise OSError',
        'print(DATABASES["default"].get("HOST"))',
        'SPARE = {**DATABASES["default"], "CONN_MAX_AGE": 5}',
    ],
)
def test_what_is_only_read_or_about_something_else_changes_nothing(how: str) -> None:
    changed = default(f"{how}\n")
    assert (changed.recycle_s.known, changed.connect_timeout_s.origin) == (0, "default")


def test_of_several_modules_no_file_says_which_one_runs() -> None:
    hour = IMPORT + 'DATABASES["default"]["CONN_MAX_AGE"] = 3600\n'
    minute = IMPORT + 'DATABASES["default"]["CONN_MAX_AGE"] = 60\n'
    assert pools(production=hour, local=minute)["Django: default"].recycle_s.known == 3600
    assert pools(local=minute)["Django: default"].recycle_s.known == 0
    found = pools(live=hour, heroku=minute)["Django: default"].recycle_s
    assert "several settings modules" in found.why
    assert pools(live=hour, heroku=hour)["Django: default"].recycle_s.known == 3600


def test_a_module_may_stand_between() -> None:
    between = IMPORT + 'DATABASES["default"]["CONN_HEALTH_CHECKS"] = True\n'
    last = 'from .common import *\nDATABASES["default"]["CONN_MAX_AGE"] = 90\n'
    found = pools(common=between, production=last)["Django: default"]
    assert (found.recycle_s.known, found.pre_ping.known) == (90, True)
    twice = 'from .common import *\nDATABASES["default"]["CONN_HEALTH_CHECKS"] = False\n'
    assert pools(common=between, production=twice)["Django: default"].pre_ping.known is False
    circle = 'from .common import *\nDATABASES["default"]["CONN_MAX_AGE"] = 1\n'
    around = 'from .production import *\nDATABASES["default"]["CONN_MAX_AGE"] = 2\n'
    assert pools(common=around, production=circle)["Django: default"].recycle_s.known == 0


def test_another_projects_settings_are_none_of_its_own() -> None:
    text = "from shop.base import *\n" + 'DATABASES["default"]["CONN_MAX_AGE"] = 60\n'
    assert pools(production=text)["Django: default"].recycle_s.known == 0


def test_a_settings_module_with_databases_of_its_own_changes_none() -> None:
    own = IMPORT + 'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3"}}\n'
    assert default(own.removeprefix(IMPORT)).recycle_s.known == 0


@given(st.text(alphabet='DATBSE[]"default".=(){}\n ', max_size=60))
def test_no_text_makes_it_fall(text: str) -> None:
    pools(production=IMPORT + 'DATABASES["default"]["CONN_MAX_AGE"] = 1\n' + text)
