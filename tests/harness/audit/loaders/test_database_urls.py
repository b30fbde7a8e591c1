"""Database URLs: where they lead, what they ask for, and that no password gets out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit.loaders.database_urls import (
    driver_of,
    is_postgresql,
    parameter_of,
    parameters_of,
    target_from,
    target_of,
    target_of_pieces,
    without_password,
)
from harness.audit.reading import number
from harness.audit.values import Place, Value, Variable
from tests.harness.audit.loaders.reading import SECRET, texts

HERE = Place("app.env", 2, "DATABASE_URL")


@pytest.mark.parametrize(
    ("text", "host", "port", "database", "user"),
    [
        ("postgresql://u:p@db:6432/app", "db", 6432, "app", "u"),
        ("postgres://u:p@db.example.org/app?sslmode=require", "db.example.org", 5432, "app", "u"),
        ("postgresql+asyncpg://u@db/app", "db", 5432, "app", "u"),
        ("jdbc:postgresql://db:5433/app?user=u&password=p", "db", 5433, "app", "u"),
        ("postgresql:///app?host=/run/postgresql", "/run/postgresql", 5432, "app", None),
        ("postgresql://u:p@[::1]:5432/app", "::1", 5432, "app", "u"),
        ("host=db port=6432 dbname=app user=u password=p", "db", 6432, "app", "u"),
        ("postgresql://u:p%40ss@db/app", "db", 5432, "app", "u"),
    ],
)
def test_a_url_leads_somewhere(
    text: str, host: str, port: int, database: str, user: str | None
) -> None:
    found = target_of(text, HERE)
    assert (found.host.known, found.port.known) == (host, port)
    assert (found.database.known, found.user.known) == (database, user)
    assert found.host.place == HERE


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://u:{SECRET}@rest@db/app",
        f"postgresql://u:{SECRET}/x@y@db/app",
        f"postgresql://a:1,{SECRET}:2/app",
        f"postgresql://u@db:{SECRET}/app",
        f"{SECRET} that is no URL",
        f"mysql://u:{SECRET}@db/app",
        f"postgresql://db/app?host={SECRET}@x",
        f"password={SECRET} what",
        "",
    ],
)
def test_what_is_not_understood_repeats_nothing(text: str) -> None:
    found = target_of(text, HERE)
    assert not found.host.is_known
    assert SECRET not in texts(found)
    assert SECRET not in texts(parameters_of(text))
    assert SECRET not in (without_password(text) or "")


def test_placeholders_stay_variables() -> None:
    found = target_of("postgresql://${U}:${P}@${DB_HOST:-db}:$PORT/app", HERE)
    assert found.host.known == "db"
    assert found.host.resolved({"DB_HOST": ("other", HERE)}).known == "other"
    assert found.port.resolved({"PORT": ("6432", HERE)}).known == 6432
    assert not found.port.resolved({"PORT": ("soon", HERE)}).is_known
    mixed = target_of("postgresql://u:p@db-${REGION}/app", HERE)
    assert "filled in elsewhere" in mixed.host.why


def test_a_text_is_put_together_of_pieces() -> None:
    host = Value.unknown("it is filled in", HERE, Variable("H", str))
    found = target_of_pieces(["postgresql://u:", Value.at(SECRET, HERE), "@", host, "/app"], HERE)
    assert found.host.resolved({"H": ("db", HERE)}).known == "db"
    assert found.database.known == "app"
    assert SECRET not in texts(found)


def test_a_variable_decides_a_whole_url() -> None:
    url: Value[str] = Value.unknown("it is filled in", HERE, Variable("URL", str))
    found = target_from(url, HERE)
    environment = {"URL": ("postgresql://u:p@db:6432/app", HERE)}
    assert found.host.resolved(environment).known == "db"
    assert found.port.resolved(environment).known == 6432
    broken = found.host.resolved({"URL": (SECRET, HERE)})
    assert not broken.is_known
    assert SECRET not in texts(broken)
    defaulted = target_from(
        Value.at("postgres://pg/x", HERE).decided_by(Variable("URL", str)), HERE
    )
    assert defaulted.host.known == "pg"
    assert defaulted.host.resolved(environment).known == "db"


def test_what_a_url_asks_for_has_no_secrets() -> None:
    text = (
        f"postgresql://u:{SECRET}@db/app?connect_timeout=5&password={SECRET}&sslkey={SECRET}"
        "&options=-c%20statement_timeout%3D5000"
    )
    assert parameters_of(text) == {
        "connect_timeout": "5",
        "options": "-c statement_timeout=5000",
    }
    assert parameters_of(f"host=db connect_timeout=3 password={SECRET}")["connect_timeout"] == "3"


def test_a_parameter_may_be_decided_by_a_variable() -> None:
    none: Value[float] = Value.default(60.0, "the driver")
    said = Value.at("postgres://db/app?connect_timeout=5", HERE)
    assert parameter_of(said, "connect_timeout", number, none, HERE).known == 5
    assert parameter_of(Value.at("postgres://db", HERE), "x", number, none, HERE).known == 60
    url: Value[str] = Value.unknown("it is filled in", HERE, Variable("URL", str))
    open_one = parameter_of(url, "connect_timeout", number, none, HERE)
    assert open_one.known == 60
    assert open_one.resolved({"URL": (said.known or "", HERE)}).known == 5
    assert open_one.resolved({"URL": ("postgres://db", HERE)}).known == 60


def test_drivers_and_schemes_are_told_apart() -> None:
    assert driver_of("postgresql+asyncpg://db/app") == "asyncpg"
    assert driver_of("postgresql://db/app") == ""
    assert is_postgresql("postgis://db/app")
    assert not is_postgresql("mysql+pymysql://db/app")


def test_a_url_can_be_kept_without_its_password() -> None:
    text = f"postgresql://u:{SECRET}@db:6432/app?connect_timeout=5&password={SECRET}"
    assert without_password(text) == "postgresql://u@db:6432/app?connect_timeout=5"
    assert without_password("postgresql:///app?host=/run") == "postgresql://:5432/app?host=/run"
    assert without_password("redis://:p@cache") is None


@settings(deadline=None)  # SQLAlchemy is imported at the first example
@given(st.text(max_size=80), st.text(alphabet="postgresql:/@?=&%[]1,-${}", max_size=60))
def test_no_text_makes_it_fall(text: str, noise: str) -> None:
    for each in (text, noise, f"postgresql://{text}", f"postgres://{noise}", f"host={text}"):
        target_of(each, HERE)
        parameters_of(each)
        without_password(each)


@settings(deadline=None)  # SQLAlchemy is imported at the first example
@given(st.text(min_size=1, max_size=20))
def test_a_password_never_gets_out(rest: str) -> None:
    text = f"postgresql://u:{SECRET}{rest}@db/app"
    assert SECRET not in texts(target_of(text, HERE))
    assert SECRET not in texts(parameters_of(text))
    assert SECRET not in (without_password(text) or "")
