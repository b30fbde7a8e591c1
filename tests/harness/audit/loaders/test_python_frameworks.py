"""Django's and Flask's settings modules."""

from __future__ import annotations

import math

import pytest

from harness.audit.loaders import python
from harness.audit.parts import Pool
from harness.audit.values import Place
from tests.harness.audit.loaders.reading import SECRET, read, texts

POSTGRESQL = '"ENGINE": "django.db.backends.postgresql"'


def pools(text: str) -> dict[str, Pool]:
    found = read(python, "site/settings.py", text)
    assert SECRET not in texts(found)
    return {pool.name: pool for code in found.codes for pool in code.pools}


def django(entries: str, more: str = "") -> Pool:
    text = f'import os\nDATABASES = {{"default": {{{POSTGRESQL}, {entries}}}}}\n{more}'
    return pools(text)["Django: default"]


def test_django_has_a_connection_for_each_thread() -> None:
    found = django(f'"HOST": os.getenv("H", "db"), "PORT": "6432", "PASSWORD": "{SECRET}"')
    assert (found.implementation, found.timeout_s.known, found.recycle_s.known) == ("django", 0, 0)
    assert "each thread" in found.size.why
    assert (found.target.host.known, found.target.port.known) == ("db", 6432)
    assert found.target.host.resolved({"H": ("pg", Place(".env"))}).known == "pg"
    assert (found.pre_ping.known, found.prepared_statements.known) == (False, False)
    assert (found.connect_timeout_s.known, found.connect_timeout_s.origin) == (130, "default")


def test_django_says_how_it_connects() -> None:
    options = '{"connect_timeout": 3, "options": "-c statement_timeout=5s"}'
    found = django(f'"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True, "OPTIONS": {options}')
    assert (found.recycle_s.known, found.pre_ping.known) == (math.inf, True)
    assert (found.connect_timeout_s.known, found.statement_timeout_s.known) == (3, 5)
    later = django('"CONN_MAX_AGE": 5', 'DATABASES["default"]["CONN_MAX_AGE"] = 60\n')
    assert later.recycle_s.known == 60
    assert later.recycle_s.place is not None
    assert later.recycle_s.place.line == 3


def test_a_backend_with_a_pool_of_its_own_is_not_known() -> None:
    text = 'DATABASES = {"default": {"ENGINE": "dj_db_conn_pool.backends.postgresql"}}\n'
    found = pools(text)["Django: default"]
    assert (found.implementation, found.size.is_known) == ("unknown", False)


def test_django_has_psycopgs_pool() -> None:
    found = django('"OPTIONS": {"pool": {"min_size": 2, "max_size": 12, "timeout": 10}}')
    assert (found.implementation, found.capacity.known, found.min_size.known) == (
        "psycopg-pool",
        12,
        2,
    )
    assert (found.timeout_s.known, found.pre_ping.known) == (10, False)
    assert found.made_at_import.known is False
    found = django('"OPTIONS": {"pool": True}, "CONN_HEALTH_CHECKS": True')
    assert (found.capacity.known, found.pre_ping.known) == (4, True)
    assert django('"OPTIONS": {"pool": False}').implementation == "django"


@pytest.mark.parametrize(
    ("value", "variable"),
    [
        ("dj_database_url.config(conn_max_age=600, default='postgres://u:p@pg/x')", "DATABASE_URL"),
        ("dj_database_url.config('OTHER', conn_max_age=600)", "OTHER"),
        ("dj_database_url.config(env='OTHER', conn_max_age=600)", "OTHER"),
        ("dj_database_url.parse(os.environ['OTHER'], conn_max_age=600)", "OTHER"),
    ],
)
def test_a_url_has_it_all(value: str, variable: str) -> None:
    text = f'import os\nimport dj_database_url\nDATABASES = {{"default": {value}}}\n'
    found = pools(text)["Django: default"]
    assert (found.implementation, found.recycle_s.known) == ("django", 600)
    environment = {variable: ("postgres://u:p@db:6432/app", Place(".env"))}
    assert found.target.host.resolved(environment).known == "db"
    assert found.target.port.resolved(environment).known == 6432


def test_django_environ_has_it_all() -> None:
    text = 'DATABASES = {"default": env.db(), "other": env.db("OTHER")}\n'
    found = pools(text)
    for name, variable in (("default", "DATABASE_URL"), ("other", "OTHER")):
        host = found[f"Django: {name}"].target.host
        assert host.resolved({variable: ("postgres://db/x", Place(".env"))}).known == "db"


def test_other_databases_are_passed_over() -> None:
    lite = '{"ENGINE": "django.db.backends.sqlite3"}'
    assert pools(f'DATABASES = {{"default": {lite}}}\n') == {}
    both = f'DATABASES = {{"default": {lite}}}\nDATABASES["default"] = {{{POSTGRESQL}}}\n'
    assert list(pools(both)) == ["Django: default"]


FLASK = """\
import os
class Config:
    SECRET_KEY = "hunter2-canary"
    SQLALCHEMY_DATABASE_URI = os.environ.get("DATABASE_URL")
    SQLALCHEMY_ENGINE_OPTIONS = {"pool_size": 10, "pool_pre_ping": True}
"""


def test_flask_has_an_engine() -> None:
    found = pools(FLASK)["SQLAlchemy"]
    assert (found.implementation, found.size.known, found.pre_ping.known) == (
        "sqlalchemy",
        10,
        True,
    )
    assert found.place.line == 5
    environment = {"DATABASE_URL": ("postgresql://db/app", Place(".env"))}
    assert found.target.host.resolved(environment).known == "db"


@pytest.mark.parametrize(
    "text",
    [
        'app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 10}\n',
        'app.config.update(SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 10})\n',
        'app.config.from_mapping({"SQLALCHEMY_ENGINE_OPTIONS": {"pool_size": 10}})\n',
        'SQLALCHEMY_URL = x\ndb = SQLAlchemy(engine_options={"pool_size": 10})\n',
    ],
)
def test_flasks_options_stand_in_several_places(text: str) -> None:
    assert pools(text)["SQLAlchemy"].size.known == 10


def test_flask_without_options_has_the_defaults() -> None:
    text = 'from flask import Flask\napp.config["SQLALCHEMY_DATABASE_URI"] = "postgresql://db/x"\n'
    assert pools(text)["SQLAlchemy"].size.origin == "default"
    assert pools(text.replace("postgresql", "sqlite")) == {}


BINDS = """\
from flask import Flask
app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql://db/app"
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 8}
app.config["SQLALCHEMY_BINDS"] = {
    "reports": "postgresql://reports/app",
    "jobs": {"url": "postgresql://jobs/app", "pool_size": 3},
    "cache": "sqlite:///cache.db",
}
"""


def test_flask_has_an_engine_for_each_bind() -> None:
    found = pools(BINDS)
    assert found.keys() == {"SQLAlchemy", "reports", "jobs"}
    assert [each.size.known for each in found.values()] == [8, 8, 3]
    hosts = [each.target.host.known for each in found.values()]
    assert hosts == ["db", "reports", "jobs"]


def test_what_only_an_older_flask_sqlalchemy_reads_is_not_known() -> None:
    text = 'from flask import Flask\napp.config["SQLALCHEMY_DATABASE_URI"] = "postgresql://db/x"\n'
    found = pools(f'{text}app.config["SQLALCHEMY_POOL_SIZE"] = 8\n')["SQLAlchemy"]
    assert not found.size.is_known
    assert "before Flask-SQLAlchemy 3" in found.size.why
    assert found.max_overflow.known == 10


def test_a_settings_module_that_names_a_url_only_gives_it_away() -> None:
    text = 'import os\nSQLALCHEMY_DATABASE_URI = os.environ["DATABASE_URL"]\n'
    (code,) = read(python, "srv/config.py", text).codes
    (pool,) = code.pools
    assert code.given, "to code that makes a pool, where there is any"
    assert (pool.implementation, pool.size.known) == ("sqlalchemy", 5)
    text = text.replace('os.environ["DATABASE_URL"]', '"sqlite:///x.db"')
    assert read(python, "srv/config.py", text).codes == ()


def test_a_settings_class_of_another_framework_makes_no_engine() -> None:
    text = (
        "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n"
        "    SQLALCHEMY_DATABASE_URI: str = ''\n"
    )
    assert pools(text) == {}


INHERITED = """\
from pydantic import BaseModel
from pydantic_settings import BaseSettings, SettingsConfigDict

class Pool(BaseModel):
    size: int = 5

class Common(BaseSettings):
    model_config = SettingsConfigDict(env_nested_delimiter="__")

class App(Common):
    model_config = SettingsConfigDict(env_prefix="APP_")
    pool: Pool = Pool()
"""


def test_what_a_settings_class_inherits_decides_its_variables() -> None:
    found = read(python, "app/settings.py", INHERITED).settings
    assert [(each.name, each.variable, each.text) for each in found] == [
        ("size", "APP_POOL__SIZE", "5")
    ]
