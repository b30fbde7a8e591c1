"""Spring Boot: HikariCP's pool by any spelling, profiles, placeholders, threads before it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import spring
from harness.audit.parts import Pool
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value, replaced
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

YAML = """\
server:
  tomcat:
    threads.max: 60
spring:
  datasource:
    url: jdbc:postgresql://${DB_HOST:db}:5433/shop?prepareThreshold=0&connectTimeout=3
    username: shop
    password: hunter2-canary
    hikari:
      maximum-pool-size: ${DB_POOL:20}
      connectionTimeout: 2000
---
spring:
  config:
    activate:
      on-profile: test
  datasource.hikari.maximum-pool-size: 1
---
spring.config.activate.on-profile: prod
spring.datasource.hikari.max-lifetime: 0
"""


def pool_of(found: Reading) -> Pool:
    ((pool,),) = (code.pools for code in found.codes)
    return pool


def known(value: Value[float], line: int) -> float | None:
    """The value, which stands on that line."""
    assert value.place is not None
    assert value.place.line == line
    return value.known


def test_a_pool_is_read_with_its_lines() -> None:
    found = read(spring, "src/main/resources/application.yml", YAML)
    pool = pool_of(found)
    assert pool.implementation == "hikari"
    assert known(pool.size, 10) == 20
    assert known(pool.timeout_s, 11) == 2
    assert known(pool.recycle_s, 20) == math.inf
    assert known(pool.threads, 3) == 60
    assert (pool.capacity.known, pool.pre_ping.known, pool.is_async.known) == (20, True, False)
    assert pool.min_size.known == 20, "as many as the most, where nothing is said"


def test_the_jdbc_url_says_where_and_how() -> None:
    pool = pool_of(read(spring, "application.yml", YAML))
    target = pool.target
    assert (target.port.known, target.database.known, target.user.known) == (5433, "shop", "shop")
    assert target.host.known == "db"
    assert target.host.variable is not None
    assert target.host.variable.name == "DB_HOST"
    assert (pool.prepared_statements.known, pool.connect_timeout_s.known) == (False, 3)


def test_hikaris_defaults_hold() -> None:
    text = "spring.datasource.url=jdbc:postgresql://db/shop\n"
    pool = pool_of(read(spring, "application.properties", text))
    assert (pool.size.known, pool.timeout_s.known, pool.recycle_s.known) == (10, 30, 1800)
    assert (pool.size.origin, pool.size.why) == ("default", "HikariCP")
    assert (pool.threads.known, pool.threads.why) == (200, "Tomcat")
    assert (pool.prepared_statements.known, pool.connect_timeout_s.known) == (True, 10)


@pytest.mark.parametrize("name", ["maximum-pool-size", "maximumPoolSize", "maximum_pool_size"])
def test_names_are_relaxed(name: str) -> None:
    text = f"# pool\nspring.datasource.hikari.{name}=7\n"
    assert known(pool_of(read(spring, "application.properties", text)).size, 2) == 7


@pytest.mark.parametrize(
    "variable",
    ["SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", "SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE"],
)
@pytest.mark.parametrize("said", ["spring.datasource.hikari.maximum-pool-size=7\n", ""])
def test_the_environment_holds_over_the_file(variable: str, said: str) -> None:
    text = f"spring.datasource.hikari.pool-name=main\n{said}"
    size = pool_of(read(spring, "application.properties", text)).size
    assert size.resolved({variable: ("40", Place("compose.yaml", 9))}).known == 40
    assert size.resolved({}).known == size.known


def test_a_placeholders_variable_holds_over_its_default() -> None:
    size = pool_of(read(spring, "application.yml", YAML)).size
    assert size.resolved({"DB_POOL": ("5", Place(".env", 1))}).known == 5


def test_properties_may_be_continued_and_escaped() -> None:
    text = "! a comment\nspring.datasource.hikari.\\\n  minimum\\u002didle = 3\n"
    pool = pool_of(read(spring, "application.properties", text))
    assert known(pool.min_size, 2) == 3


def test_a_profile_that_does_not_run_is_passed_over() -> None:
    text = (
        "spring.datasource.hikari.maximum-pool-size=7\n#---\n"
        "spring.config.activate.on-profile={}\nspring.datasource.hikari.maximum-pool-size=1\n"
    )
    for profile, size in (("dev", 7), ("prod", 1), ("production", 1)):
        found = read(spring, "application.properties", text.format(profile))
        assert pool_of(found).size.known == size


def test_files_of_one_program_are_one_pool(tmp_path: Path) -> None:
    folder = tmp_path / "shop" / "src" / "main" / "resources"
    folder.mkdir(parents=True)
    pools = {
        "application.yml": "spring:\n  datasource.hikari: {maximumPoolSize: 5, max-lifetime: 1}\n",
        "application.properties": "spring.datasource.hikari.maximum-pool-size=6\n",
        "application-prod.yaml": "spring.datasource.hikari.connection-timeout: 900\n",
        "application-dev.yml": "spring.datasource.hikari.maximum-pool-size: 1\n",
    }
    found = {}
    for name, text in pools.items():
        (folder / name).write_text(text, "utf-8")
    for name, text in pools.items():
        found[name] = spring.load(SourceFile(folder / name, str(folder / name), text))
    assert [name for name, reading in found.items() if reading.codes] == ["application.yml"]
    pool = pool_of(found["application.yml"])
    assert (pool.size.known, pool.timeout_s.known, pool.recycle_s.known) == (6, 0.9, 0.001)
    assert pool.timeout_s.place is not None
    assert pool.timeout_s.place.file.endswith("application-prod.yaml")
    (code,), (runtime,) = found["application.yml"].codes, found["application.yml"].runtimes
    assert code.folder == runtime.folder == str(tmp_path / "shop")
    assert runtime.processes.known == 1


def test_it_says_what_it_is_called() -> None:
    text = "spring.application.name=shop\nspring.datasource.url=jdbc:postgresql://db/shop\n"
    (code,) = read(spring, "application.properties", text).codes
    assert code.program == "shop"


def test_settings_of_tests_are_nobodys() -> None:
    assert spring.load(source("src/test/resources/application.yml", YAML)) == Reading()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("spring.main.web-application-type=reactive", "no servlet"),
        ("spring.threads.virtual.enabled=true", "virtual threads"),
    ],
)
def test_not_every_application_has_threads_before_its_pool(said: str, why: str) -> None:
    text = f"spring.datasource.url=jdbc:postgresql://db/shop\n{said}\n"
    assert why in pool_of(read(spring, "application.properties", text)).threads.why


@pytest.mark.parametrize("url", ["jdbc:mysql://db/shop", "jdbc:h2:mem:shop"])
def test_another_databases_pool_is_postgresqls_where_a_variable_says_so(url: str) -> None:
    said = f"spring.datasource.url={url}\nspring.datasource.hikari.maximum-pool-size=7\n"
    pool = pool_of(read(spring, "application.properties", said))
    assert pool.is_postgresql.known is False
    assert known(pool.size, 2) == 7

    def told(address: str) -> Pool:
        there = {"SPRING_DATASOURCE_URL": (address, Place("compose.yaml", 4))}
        return replaced(pool, lambda value: value.resolved(there))

    assert told("jdbc:postgresql://db/shop").is_postgresql.known is True
    assert told("jdbc:postgresql://${HOST}/shop").is_postgresql.known is True
    assert told("jdbc:postgresql://db/shop").target.host.known == "db"
    assert told("jdbc:mysql://db/shop").is_postgresql.known is False
    assert not told("${ADDRESS}").is_postgresql.is_known


def test_each_data_source_has_its_pool() -> None:
    text = (
        "spring.datasource.orders.jdbc-url=jdbc:postgresql://db/orders\n"
        "spring.datasource.orders.hikari.maximum-pool-size=8\n"
        "app.users.url=jdbc:postgresql://db/users\napp.users.hikari.maximum-pool-size=4\n"
    )
    (code,) = read(spring, "application.properties", text).codes
    assert [(p.name, p.size.known, p.target.database.known) for p in code.pools] == [
        ("spring.datasource.orders", 8, "orders"),
        ("app.users", 4, "users"),
    ]


def test_nonsense_is_unknown_and_half_a_file_unread() -> None:
    text = "spring.datasource.hikari.maximum-pool-size=many\n"
    assert "not understood" in pool_of(read(spring, "application.properties", text)).size.why
    for name, broken in (
        ("application.yml", "spring: [datasource\n"),
        ("application.properties", "spring.datasource.url=\\u12\n"),
    ):
        (unread,) = spring.load(source(name, broken)).unread
        assert unread.why


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("application.yml", "quarkus:\n  datasource: {}\n"),
        ("bootstrap.yml", YAML),
        ("application.yml", "spring.application.name: shop\n"),
    ],
)
def test_other_files_are_not_recognised(name: str, text: str) -> None:
    assert not spring.recognises(source(name, text))


def test_no_secret_is_repeated() -> None:
    text = (
        f"spring.datasource.url=jdbc:postgresql://db/shop?user=u&password={SECRET}\n"
        f"spring.datasource.password={SECRET}\nspring.datasource.hikari.password={SECRET}\n"
        f"spring.datasource.hikari.maximum-pool-size={SECRET}\n"
        f"spring.datasource.hikari.jdbc-url=jdbc:postgresql://u:{SECRET}@db/shop\n"
        f"spring.config.activate.on-profile={SECRET}\n"
    )
    for each in (text, text.replace("on-profile", "off")):
        assert SECRET not in texts(spring.load(source("application.properties", each)))
    assert SECRET not in texts(read(spring, "application.yml", YAML))


@given(st.text(max_size=200))
def test_no_text_makes_it_fall(text: str) -> None:
    for name in ("application.properties", "application.yml"):
        spring.load(source(name, text))
        spring.load(source(name, f"spring.datasource.url: {text}"))
        spring.load(source(name, f"spring.datasource.hikari.{text}\n"))
