"""Keycloak: its pool, by variables, by options of its command, and by its operator."""

from __future__ import annotations

import math

import pytest

from harness.audit.loaders import compose, keycloak, kubernetes
from harness.audit.parts import Pool
from harness.audit.reading import Deployment, Runtime
from harness.audit.values import Place, Settings
from tests.harness.audit.loaders.reading import SECRET, read, texts

HERE = Place("compose.yaml", 4)
HOST = {"KC_DB": "postgres", "KC_DB_URL_HOST": "db"}


def settings(**said: str) -> Settings:
    return {key: (text, Place("compose.yaml", 9, key)) for key, text in said.items()}


def known(**said: str) -> tuple[Runtime, Pool]:
    found = settings(**{**HOST, **said})
    assert keycloak.is_it(found)
    deployment, code = keycloak.known(Deployment(name="login", place=HERE, kind="x"), found)
    assert deployment.runtime is not None
    (pool,) = code.pools
    return deployment.runtime, pool


def test_nobody_has_said_anything() -> None:
    runtime, pool = known()
    assert (runtime.processes.known, runtime.serves.known) == (1, True)
    assert (runtime.threads.known, runtime.threads.origin) == (50, "default")
    assert (pool.size.known, pool.size.why) == (100, "Keycloak")
    assert (pool.capacity.known, pool.min_size.known) == (100, 0)
    assert (pool.timeout_s.known, pool.recycle_s.known) == (5, math.inf)
    assert pool.connect_timeout_s.known == 10
    assert pool.prepared_statements.known is True
    assert (pool.target.host.known, pool.target.port.known) == ("db", 5432)
    assert pool.target.database.known == "keycloak"


@pytest.mark.parametrize(
    ("image", "threads"),
    [
        ("quay.io/keycloak/keycloak:26.3", 50),
        ("quay.io/keycloak/keycloak:25.0.1", 50),
        ("quay.io/keycloak/keycloak:24.0.5", 200),
        ("registry.example.com:5000/iam/keycloak:latest", 50),
        ("", 50),
    ],
)
def test_how_many_threads_there_are_depends_on_its_version(image: str, threads: float) -> None:
    deployment = Deployment(name="login", place=HERE, kind="x", image=image)
    found, _ = keycloak.known(deployment, settings(**HOST))
    assert found.runtime is not None
    assert found.runtime.threads.known == threads


def test_what_is_said() -> None:
    runtime, pool = known(
        KC_DB_POOL_MAX_SIZE="30",
        KC_DB_POOL_MIN_SIZE="10",
        KC_DB_POOL_MAX_LIFETIME="PT30M",
        QUARKUS_DATASOURCE_JDBC_ACQUISITION_TIMEOUT="100s",
        KC_HTTP_POOL_MAX_THREADS="40",
        KC_DB_URL_PORT="6432",
        KC_DB_URL_DATABASE="iam",
        KC_DB_URL_PROPERTIES="?connectTimeout=3&prepareThreshold=0",
    )
    assert runtime.threads.known == 40
    assert (pool.size.known, pool.min_size.known, pool.recycle_s.known) == (30, 10, 1800)
    assert pool.size.place == Place("compose.yaml", 9, "KC_DB_POOL_MAX_SIZE")
    assert (pool.timeout_s.known, pool.connect_timeout_s.known) == (100, 3)
    assert pool.prepared_statements.known is False
    assert (pool.target.port.known, pool.target.database.known) == (6432, "iam")


def test_keycloaks_own_variable_holds_over_quarkus() -> None:
    _, pool = known(KC_DB_POOL_MAX_SIZE="30", QUARKUS_DATASOURCE_JDBC_MAX_SIZE="90")
    assert pool.size.known == 30


def test_a_limit_for_connecting_is_its_own_option() -> None:
    assert known(KC_DB_CONNECT_TIMEOUT="4s")[1].connect_timeout_s.known == 4


def test_an_address_of_its_own_holds_over_its_parts() -> None:
    _, pool = known(KC_DB_URL="jdbc:postgresql://pg-rw:5433/users?connectTimeout=2")
    assert (pool.target.host.known, pool.target.port.known) == ("pg-rw", 5433)
    assert pool.connect_timeout_s.known == 2


def test_what_is_filled_in_elsewhere_is_not_known() -> None:
    _, pool = known(KC_DB_URL_HOST="${DB_HOST}", KC_DB_POOL_MAX_SIZE="${POOL}")
    assert not pool.target.host.is_known
    assert not pool.size.is_known


@pytest.mark.parametrize(
    ("said", "is_it"),
    [
        (HOST, True),
        ({"KC_DB_URL_HOST": "db"}, True),
        ({"KC_DB_URL": "jdbc:postgresql://db/keycloak"}, True),
        ({"KEYCLOAK_DATABASE_HOST": "db", "KEYCLOAK_DATABASE_VENDOR": "postgresql"}, True),
        ({"KC_DB": "mysql", "KC_DB_URL_HOST": "db"}, False),
        ({"KC_DB_URL": "jdbc:mariadb://db/keycloak"}, False),
        ({"KC_DB": "postgres"}, False),
        ({"KC_DB": "dev-file"}, False),
        ({"KC_HOSTNAME": "login.example.com"}, False),
        ({"DATABASE_URL": "postgresql://db/x"}, False),
    ],
)
def test_it_is_one_where_its_database_is_a_postgresql(said: dict[str, str], is_it: bool) -> None:
    assert keycloak.is_it(settings(**said)) is is_it


def started(image: str, command: str) -> Settings:
    text = f"services:\n  login:\n    image: {image}\n    command: {command}\n"
    (deployment,) = read(compose, "compose.yaml", text).deployments
    return deployment.environment


@pytest.mark.parametrize(
    "command",
    [
        "start --optimized --db-pool-max-size=20 --db-url-host db",
        "[start, --db-pool-max-size, '20', --db-url-host=db, --hostname, x]",
        "/opt/keycloak/bin/kc.sh start --db-url-host=db --db-pool-max-size=20",
    ],
)
def test_options_are_variables(command: str) -> None:
    found = started("quay.io/keycloak/keycloak:26.3", command)
    assert {key: text for key, (text, _) in found.items()} == {
        "KC_DB_POOL_MAX_SIZE": "20",
        "KC_DB_URL_HOST": "db",
    }


def test_options_of_another_program_are_its_own() -> None:
    assert started("registry.example.com/team/api", "serve --db-pool-max-size=20") == {}


def test_no_password_is_in_what_is_read() -> None:
    text = f"""\
services:
  login:
    image: keycloak
    command: start --db-password={SECRET} --db-password {SECRET}
    environment:
      KC_DB_PASSWORD: {SECRET}
      KC_DB_URL: jdbc:postgresql://db/keycloak?user=kc&password={SECRET}
"""
    found = read(compose, "compose.yaml", text)
    assert SECRET not in texts(found)
    (deployment,) = found.deployments
    assert SECRET not in texts(keycloak.known(deployment, deployment.environment))


OPERATED = f"""\
apiVersion: k8s.keycloak.org/v2alpha1
kind: Keycloak
metadata: {{name: login}}
spec:
  instances: 3
  db:
    vendor: postgres
    host: pg-rw
    port: 5433
    poolMinSize: 20
    poolMaxSize: 40
    passwordSecret: {{name: pg, key: password}}
  additionalOptions:
    - {{name: http-pool-max-threads, value: "60"}}
    - {{name: db-password, value: {SECRET}}}
    - {{name: db-username, secret: {{name: pg, key: user}}}}
"""


def test_the_operators_object_is_the_same() -> None:
    found = read(kubernetes, "keycloak.yaml", OPERATED)
    assert SECRET not in texts(found)
    (deployment,) = found.deployments
    assert (deployment.name, deployment.replicas.known) == ("login", 3)
    assert deployment.hosts == ("login-service",)
    assert keycloak.is_it(deployment.environment)
    served, code = keycloak.known(deployment, deployment.environment)
    (pool,) = code.pools
    assert served.runtime is not None
    assert served.runtime.threads.known == 60
    assert (pool.size.known, pool.min_size.known) == (40, 20)
    assert pool.size.place == Place("keycloak.yaml", 11, "KC_DB_POOL_MAX_SIZE")
    assert (pool.target.host.known, pool.target.port.known) == ("pg-rw", 5433)


def test_the_operator_starts_one_unless_it_is_told_more() -> None:
    found = read(kubernetes, "keycloak.yaml", OPERATED.replace("  instances: 3\n", ""))
    assert found.deployments[0].replicas.known == 1
