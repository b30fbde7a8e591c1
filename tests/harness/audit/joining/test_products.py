"""Programs of other databases are not judged: by an address, a host, a port, a named product."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.audit.chain import Declared
from harness.audit.joining.join import joined
from harness.audit.parts import Server, Target, Workload
from harness.audit.reading import Image, OtherDatabase, Reading, Service
from harness.audit.values import Place, Value, Variable
from tests.harness.audit.joining.pieces import at, code, deployment, environment

OTHER = Variable("DATABASE_URL", str, partial=True)


def workloads(*readings: Reading) -> list[str]:
    (chain,) = joined(readings, Declared())
    return [each.name for each in chain.workloads]


def told(**variables: str) -> list[str]:
    return workloads(Reading(deployments=(deployment("web", variables=variables),)))


@pytest.mark.parametrize(
    "variables",
    [
        {"DB_HOST": "db", "DB_PORT": "3306"},
        {"DB_HOST": "db:3306"},
        {"DB_HOST": "db", "DB_CONNECTION": "mysql"},
        {"KC_DB_URL_HOST": "db", "KC_DB": "mariadb"},
        {"GITEA__database__HOST": "db", "GITEA__database__DB_TYPE": "sqlite3"},
        {"APP_DB_HOST": "db", "APP_DB_ENGINE": "django_prometheus.db.backends.mysql"},
        {"DB_HOST": "db", "DATABASE_URL": "mysql+pymysql://db/app"},
    ],
)
def test_what_is_told_of_another_product_is_none_of_this_chain(variables: dict[str, str]) -> None:
    assert told(**variables) == []


@pytest.mark.parametrize(
    "variables",
    [
        {"DB_HOST": "db"},
        {"DB_HOST": "db", "DB_PORT": "5432"},
        {"DB_HOST": "db", "DB_CONNECTION": "pgsql"},
        {"POSTGRES_HOST": "db", "DB_ENGINE": "mysql"},
        {"URL": "postgresql://db/app", "LEGACY_URL": "mysql://old/app"},
        {"DB_HOST": "${HOST}"},
    ],
)
def test_what_may_be_postgresql_is_not_left_out(variables: dict[str, str]) -> None:
    assert told(**variables) == ["web"]


@pytest.mark.parametrize(
    ("file", "found"), [("blog/compose.yaml", []), ("shop/compose.yaml", ["web"])]
)
def test_of_two_databases_of_one_name_the_nearest_is_meant(file: str, found: list[str]) -> None:
    """Each project of a tree calls its database ``db``."""
    mysql = OtherDatabase(name="db", place=Place("blog/compose.yaml", 9), hosts=("db",))
    postgres = Server(name="db", place=Place("shop/compose.yaml", 9), hosts=("db",))
    web = deployment("web", file, variables={"DB_HOST": "db"})
    assert workloads(Reading(deployments=(web,), others=(mysql,), servers=(postgres,))) == found


def test_a_service_leads_to_another_database() -> None:
    web = deployment("web", variables={"DB_HOST": "blog-db.web.svc"})
    mysql = OtherDatabase(name="blog-mysql", place=Place("k8s/db.yaml"))
    leads = Service(name="blog-db", deployments=("blog-mysql",))
    assert workloads(Reading(deployments=(web,), others=(mysql,), services=(leads,))) == []
    assert workloads(Reading(deployments=(web,), services=(leads,))) == ["web"]


def test_an_image_that_is_built_upon_another_database_is_one() -> None:
    db = deployment("db", folder=".", image_file="Dockerfile", variables={"DB_HOST": "db"})
    for base, found in (("dolthub/dolt-sql-server:1.5", []), ("python:3.13", ["db"])):
        image = Image(name="Dockerfile", place=Place("Dockerfile"), base=base, starts=False)
        assert workloads(Reading(deployments=(db,), images=(image,))) == found


@pytest.mark.parametrize(
    ("address", "pools"),
    [
        ("mysql+pymysql://db/app", []),
        ("sqlite+aiosqlite:////data/app.db", []),
        ("postgresql://db/app", ["web"]),
        ("${ADDRESS}", ["web"]),
    ],
)
def test_a_pool_that_is_given_another_databases_address_is_none(
    address: str, pools: list[str]
) -> None:
    host: Value[str] = Value.unknown("filled in", Place("app/db.py", 3), OTHER)
    reading = Reading(
        codes=(code(target=Target(host=host)),),
        deployments=(deployment("web", folder=".", variables={"DATABASE_URL": address}),),
    )
    assert workloads(reading) == pools


def given_by(address: str) -> list[Workload]:
    """A file gives the pool to another database, and the deployment this address."""
    decides = Variable("URL", lambda text: text.startswith("jdbc:postgresql:"), partial=True)
    reading = Reading(
        codes=(code(is_postgresql=at(False).decided_by(decides), size=at(7.0)),),
        deployments=(deployment("web", folder=".", variables={"URL": address}),),
    )
    (chain,) = joined([reading], Declared())
    return [*chain.workloads]


def test_a_deployment_gives_a_pool_to_postgresql() -> None:
    (web,) = given_by("jdbc:postgresql://db/shop")
    assert web.pools[0].size.known == 7
    assert given_by("jdbc:mysql://db/shop") == []
    assert given_by("${ADDRESS}") == []


def test_without_a_deployment_it_is_what_the_file_says() -> None:
    other = code("a/db.py", is_postgresql=at(False))
    assert workloads(Reading(codes=(other, code("b/db.py")))) == ["b/db.py"]


POSTGRES = {"DATABASE_URL": "postgresql://db/app"}
SQLITE = {"DATABASE_URL": "sqlite:////app.db"}


@pytest.mark.parametrize("order", [1, -1])
def test_of_files_that_are_alternatives_postgresqls_is_judged(order: int) -> None:
    files = [
        Reading(deployments=(deployment("web", "compose.a.yml", image="web", variables=POSTGRES),)),
        Reading(deployments=(deployment("web", "compose.b.yml", image="web", variables=SQLITE),)),
    ]
    (chain,) = joined(files[::order], Declared())
    assert [each.name for each in chain.workloads] == ["web"]


@pytest.mark.parametrize("order", [1, -1])
def test_what_only_adds_another_product_is_an_alternative(order: int) -> None:
    whole = deployment("web", "compose.yml", image="web", environment_files=("app.env",))
    adds = deployment("web", "compose.dolt.yml", variables={"DB_ENGINE": "mysql"})
    files = [Reading(deployments=(whole,)), Reading(deployments=(adds,))]
    assert workloads(environment("app.env", DB_HOST="db"), *files[::order]) == ["web"]
    files[1] = Reading(deployments=(replace(adds, image="web"),))
    assert workloads(environment("app.env", DB_HOST="db"), *files[::order]) == []
