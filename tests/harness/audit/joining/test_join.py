"""Files about one thing are one part of the chain, and pools find their other end."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.audit.chain import Chain, Declared
from harness.audit.joining.join import joined, variant_of
from harness.audit.parts import Gateway, Pooler, PoolerDatabase, Proxy, Server
from harness.audit.reading import Reading, Scale, Service
from harness.audit.values import Place, Value
from tests.harness.audit.joining.pieces import asked_for, at, code, deployment, environment, target


def chain(*readings: Reading, declared: Declared = Declared()) -> Chain:  # noqa: B008 - frozen
    (found,) = joined(readings, declared)
    return found


def server(name: str = "db", *hosts: str, most: Any = None) -> Server:
    unsaid: Value[float] = Value.default(100.0, "PostgreSQL", Place(name))
    return Server(
        name=name,
        place=Place(name),
        hosts=hosts,
        max_connections=at(most) if most else unsaid,
        superuser_reserved=Value.default(3.0, "PostgreSQL"),
        reserved=Value.default(0.0, "PostgreSQL"),
    )


def pooler(name: str = "bouncer", *hosts: str, **more: Any) -> Pooler:
    return Pooler(name=name, place=Place(name), hosts=hosts, **more)


def test_a_container_has_the_settings_of_the_one_file() -> None:
    found = chain(
        Reading(servers=(server("db", "db", "postgres"),)),
        Reading(servers=(server("postgresql.conf", most=300.0),)),
    )
    (only,) = found.servers
    assert (only.name, only.max_connections.known, only.hosts) == ("db", 300, ("db", "postgres"))


def test_two_files_are_two_servers() -> None:
    found = chain(
        Reading(servers=(server("db", "db"), server("a.conf", most=1.0), server("b.conf")))
    )
    assert len(found.servers) == 3


def test_a_server_of_two_compose_files_is_one() -> None:
    found = chain(
        Reading(servers=(server("db", "db", most=50.0),)), Reading(servers=(server("db", "db"),))
    )
    (only,) = found.servers
    assert only.max_connections.known == 50, "a default of the second does not undo the first"


@pytest.mark.parametrize(
    ("host", "port", "end"),
    [
        ("db", 5432, "db"),
        ("bouncer", 6432, "bouncer"),
        ("bouncer.prod.svc.cluster.local", None, "bouncer"),
        ("localhost", 6432, "bouncer"),
        ("elsewhere.example", None, ""),
        ("elsewhere.example", 5432, "db"),
        (None, None, ""),
    ],
)
def test_a_pool_reaches_what_its_address_names(
    host: str | None, port: int | None, end: str
) -> None:
    found = chain(
        Reading(codes=(code(target=target(host, port)),)),
        Reading(servers=(server("db", "db"),), poolers=(pooler("bouncer", "bouncer"),)),
    )
    ((_, pool),) = found.pools()
    assert pool.reaches == end
    through = found.pooler_of(pool)
    assert (through is None) == (end == "db"), "nobody runs a pooler for nothing"
    assert found.server_of(pool) is found.servers[0]


def test_a_pooler_reaches_the_server_of_its_databases() -> None:
    there = PoolerDatabase(name="app", place=Place("ini"), host=at("two"))
    found = chain(
        Reading(
            poolers=(pooler("bouncer", databases=(there,)),),
            servers=(server("one", "one"), server("two", "two")),
        )
    )
    assert found.server_of(found.poolers[0]) is found.servers[1]


def test_an_overlay_and_an_autoscaler_are_no_second_deployment() -> None:
    found = chain(
        Reading(codes=(code(),)),
        Reading(deployments=(deployment(file="api.yaml", folder=".", kind="Deployment"),)),
        Reading(deployments=(deployment(file="patch.yaml", kind="Deployment", replicas=at(5)),)),
        Reading(scales=(Scale(of="api", kind="Deployment", replicas=at(9)),)),
    )
    (only,) = found.workloads
    assert only.replicas.known == 9


def test_a_service_is_a_name_of_what_it_selects() -> None:
    edge = Gateway(name="edge", place=Place("nginx.conf"), upstreams=("login",))
    found = chain(
        Reading(codes=(code(),), gateways=(edge,)),
        Reading(
            deployments=(deployment("api", folder="."), deployment("other", folder=".")),
            services=(Service(name="login", deployments=("api",)),),
        ),
    )
    assert [workload.name for workload, _ in found.served_by(edge)] == ["api"]


def test_a_gateway_that_names_nobody_serves_all_that_serve() -> None:
    edge = Gateway(name="edge", place=Place("nginx.conf"))
    found = chain(Reading(codes=(code(),), gateways=(edge,)))
    assert len(found.served_by(edge)) == 1


def test_limits_from_outside_are_those_on_the_way() -> None:
    found = chain(
        Reading(
            codes=(code(target=target("db")),),
            servers=(server("db", "db"),),
            proxies=(Proxy(name="haproxy", place=Place("h"), idle_timeout_s=at(60.0)),),
        )
    )
    ((_, pool),) = found.pools()
    assert [name for name, _ in found.limits_of(pool)] == ["haproxy", "db"]


def test_what_is_declared_holds_over_what_files_say() -> None:
    peaks = (Reading(peak_per_s=at(10.0)), Reading(peak_per_s=at(20.0)))
    assert "give --peak" in chain(*peaks).peak_per_s.why
    assert chain(peaks[0]).peak_per_s.known == 10
    assert chain(*peaks, declared=Declared(peak_per_s=5)).peak_per_s.known == 5
    assert "--slo" in chain(Reading()).slo_s.why
    assert chain(Reading(), declared=Declared(slo_s=math.pi)).slo_s.known == math.pi


def test_a_gateway_that_names_somebody_else_serves_none_of_ours() -> None:
    ours = Gateway(name="/", place=Place("nginx.conf", 1), upstreams=("api",))
    theirs = Gateway(name="/files", place=Place("nginx.conf", 2), upstreams=("files",))
    local = Gateway(name="/local", place=Place("nginx.conf", 3), upstreams=("127.0.0.1",))
    found = chain(
        Reading(codes=(code(),), gateways=(ours, theirs, local)),
        Reading(deployments=(deployment("api", folder="."),)),
    )
    assert [len(found.served_by(each)) for each in (ours, theirs, local)] == [1, 0, 1]


def test_two_compose_projects_are_apart() -> None:
    """Each has an `api` and a `db`, and each pool reaches its own."""
    parts = [
        Reading(
            codes=(code(f"{name}/db.py", target=target("db")),),
            deployments=(deployment(file=f"{name}/compose.yaml", folder=name),),
            servers=(replace(server("db", "db"), place=Place(f"{name}/compose.yaml")),),
            gateways=(Gateway(name=name, place=Place(f"{name}/nginx.conf"), upstreams=("api",)),),
        )
        for name in ("one", "two")
    ]
    found = chain(*parts)
    assert [each.place.file for each in found.workloads] == ["one/compose.yaml", "two/compose.yaml"]
    for number, (_, pool) in enumerate(found.pools()):
        assert found.server_of(pool) is found.servers[number]
        assert found.gateways_of(pool) == (found.gateways[number],)


def test_overlays_are_alternatives() -> None:
    common = Reading(
        codes=(code(size=at(5.0)),), deployments=(deployment(folder=".", kind="Deployment"),)
    )
    small = Reading(deployments=(deployment(kind="Deployment", replicas=at(3)),), variant="small")
    large = Reading(deployments=(deployment(kind="Deployment", replicas=at(9)),), variant="large")
    found = joined((common, small, large), Declared())
    assert [each.workloads[0].replicas.known for each in found] == [9, 3]


@pytest.mark.parametrize(
    ("file", "variant"),
    [
        ("deploy/overlays/production/api.yaml", "production"),
        ("envs/staging/values.yaml", "staging"),
        ("deploy/base/api.yaml", ""),
        ("overlays.yaml", ""),
    ],
)
def test_an_overlay_is_known_by_its_folder(file: str, variant: str) -> None:
    assert variant_of(file) == variant


def test_a_server_is_settled_by_the_variables_of_its_files() -> None:
    asked = replace(server("db", "db"), max_connections=asked_for("MOST", 100.0))
    torn = replace(server("other", "other"), max_connections=asked_for("TORN", 100.0))
    found = chain(
        Reading(servers=(asked, torn)),
        environment("settings", MOST="60", TORN="1"),
        environment("more", TORN="2"),
    )
    assert [each.max_connections.known for each in found.servers] == [60, 100]


def test_nobody_asks_the_peak_of_a_rehearsal() -> None:
    common = Reading(codes=(code(),), deployments=(deployment(folder="."),))
    staging, production = Reading(variant="staging"), Reading(variant="production")
    asked = joined((common, staging, production), Declared(peak_per_s=50))
    assert [each.peak_per_s.known for each in asked] == [50, 0]
    alone = joined((common, staging), Declared(peak_per_s=50))
    assert [each.peak_per_s.known for each in alone] == [50], "where there is nothing else"


@pytest.mark.parametrize(
    ("file", "through"),
    [("shop/web.yaml", True), ("mail/web.yaml", False), ("web.yaml", True), ("ops/web.yaml", True)],
)
def test_a_pooler_of_a_project_beside_is_nobody_elses(file: str, through: bool) -> None:
    """Where another server is declared nearer to the workload than the one before which it is."""
    pgbouncer = Pooler(name="pgbouncer", place=Place("shop/db.yaml", 5), reaches="shop")
    servers = [Server(name=name, place=Place(f"{name}/db.yaml")) for name in ("shop", "mail")]
    web = deployment("web", file, variables={"DB_HOST": "${HOST}"})
    (chain,) = joined(
        [Reading(deployments=(web,), poolers=(pgbouncer,), servers=tuple(servers))], Declared()
    )
    ((_, pool),) = chain.pools()
    assert (chain.pooler_of(pool) is not None) is through


def test_a_pooler_of_which_no_file_says_the_server_may_be_anybodys() -> None:
    pgbouncer = Pooler(name="pgbouncer", place=Place("shop/db.yaml", 5))
    server = Server(name="mail", place=Place("mail/db.yaml"))
    other = Server(name="log", place=Place("log/db.yaml"))
    web = deployment("web", "mail/web.yaml", variables={"DB_HOST": "${HOST}"})
    (chain,) = joined(
        [Reading(deployments=(web,), poolers=(pgbouncer,), servers=(server, other))], Declared()
    )
    ((_, pool),) = chain.pools()
    assert chain.pooler_of(pool) is not None
