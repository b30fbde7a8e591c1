"""Quarkus' data sources, as properties and as YAML."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import quarkus
from harness.audit.parts import Pool
from harness.audit.values import Place
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

FILE = "api/src/main/resources/application.properties"
BASE = f"""\
quarkus.application.name=rates
quarkus.datasource.db-kind=postgresql
quarkus.datasource.username=rates
quarkus.datasource.password={SECRET}
quarkus.datasource.jdbc.url=jdbc:postgresql://db:6432/rates?connectTimeout=4
"""
YAML = """\
quarkus:
  datasource:
    jdbc: {url: "jdbc:postgresql://db/rates", max-size: 12}
"%prod":
  quarkus:
    datasource: {jdbc: {max-size: 30}}
"""


def pools(text: str, name: str = FILE) -> tuple[Pool, ...]:
    found = read(quarkus, name, text)
    assert SECRET not in texts(found)
    return tuple(pool for code in found.codes for pool in code.pools)


def pool(more: str = "", base: str = BASE) -> Pool:
    (found,) = pools(f"{base}{more}\n")
    return found


def test_a_source_is_a_pool_on_its_lines() -> None:
    found = pool("quarkus.datasource.jdbc.max-size=16\nquarkus.datasource.jdbc.min-size=4")
    assert (found.size.known, found.min_size.known, found.max_overflow.known) == (16, 4, 0)
    assert found.size.place == Place(FILE, 6, "quarkus.datasource.jdbc.max-size")
    target = found.target
    assert (target.host.known, target.port.known, target.database.known) == ("db", 6432, "rates")
    assert (found.connect_timeout_s.known, found.prepared_statements.known) == (4, True)
    code = read(quarkus, FILE, BASE).codes[0]
    assert (code.folder, code.program) == ("api", "rates")


def test_what_is_not_said_is_agroals() -> None:
    found = pool()
    assert (found.timeout_s.known, found.timeout_s.origin) == (5, "default")
    assert "its default changed" in found.size.why
    assert found.recycle_s.known == math.inf


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3), ("3S", 3), ("PT10S", 10), ("500ms", 0.5), ("2M", 120), ("0", math.inf), ("x", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert pool(f"quarkus.datasource.jdbc.acquisition-timeout={text}").timeout_s.known == seconds


def test_production_holds_over_what_is_said_for_all() -> None:
    more = "%dev.quarkus.datasource.jdbc.max-size=2\n%prod.quarkus.datasource.jdbc.max-size=30"
    assert pool(f"quarkus.datasource.jdbc.max-size=12\n{more}").size.known == 30
    (found,) = pools(YAML, "src/main/resources/application.yml")
    assert found.size.known == 30


def test_a_variable_holds_over_the_file() -> None:
    said = {"QUARKUS_DATASOURCE_JDBC_MAX_SIZE": ("50", Place("compose.yaml", 4))}
    assert pool("quarkus.datasource.jdbc.max-size=16").size.resolved(said).known == 50
    assert pool("quarkus.datasource.jdbc.max-size=${POOL:9}").size.known == 9
    assert pool().size.resolved(said).known == 50


def test_each_named_source_has_its_own() -> None:
    more = 'quarkus.datasource."old".jdbc.max-size=3\nquarkus.datasource.users.jdbc.max-size=7'
    found = {each.name: each.size.known for each in pools(f"{BASE}{more}\n")}
    assert found == {
        "quarkus.datasource": None,
        'quarkus.datasource."old"': 3,
        "quarkus.datasource.users": 7,
    }


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("postgresql", "mysql"),
        "quarkus.datasource.jdbc.url=jdbc:h2:mem:test\n",
        "quarkus.http.port=8080\n# datasource\n",
        "quarkus.datasource.reactive.max-size=5\n",
    ],
)
def test_another_database_has_no_pool_here(text: str) -> None:
    assert pools(text) == ()


def test_it_is_known_by_its_name_and_a_source() -> None:
    assert quarkus.recognises(source(FILE, BASE))
    assert not quarkus.recognises(source("src/test/resources/application.properties", BASE))
    assert not quarkus.recognises(source("other.properties", BASE))
    assert not quarkus.recognises(source(FILE, "spring.datasource.url=jdbc:postgresql://db/a\n"))


def test_what_cannot_be_read_is_said() -> None:
    (unread,) = read(quarkus, FILE, f"{BASE}a=\\u00g0\n").unread
    assert unread.line == 6
    assert read(quarkus, "application.yml", "quarkus: datasource: x\n").unread


@given(st.text(alphabet='quarkus.datasource.jdbc=:%$"\\{}\n 0', max_size=80))
def test_any_text_at_all(text: str) -> None:
    for name in (FILE, "application.yml"):
        quarkus.load(source(name, text))
