"""`docker compose up` on a real engine: soon ready, confined, and gone without a trace."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from harness.stack.process import wait_until
from tests.compose import (
    PROFILES,
    ROOT,
    WITHOUT_STAND_IN,
    Project,
    build_images,
    docker,
    project,
    services,
)
from tests.harness.run.small import SMALL_YAML
from tests.test_compose import ONE_SHOT, WRITABLE
from tests.untrusted import UntrustedError

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1800)]

READY_S = 60.0
"""What the first `docker compose up` may take, once the images are there."""

USER = {"username": "user000001", "password": "correct horse 1"}


@pytest.fixture(scope="module")
def images() -> None:
    """Ours, as this checkout makes them."""
    build_images()


@pytest.fixture(scope="module")
def up(images: None) -> Iterator[Project]:
    """What a plain `docker compose up` starts, Grafana apart."""
    with project("up") as made:
        began_s = time.monotonic()
        made.up(*PROFILES)
        made.ready_s = time.monotonic() - began_s
        print(f"docker compose up: ready after {made.ready_s:.1f} s")
        yield made


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client


def log_in(http: httpx.Client, up: Project) -> str:
    answer = http.post(f"{up.url('gateway')}/login", json=USER)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def asked(http: httpx.Client, up: Project, path: str, **parameters: str) -> Any:
    """What Prometheus answers."""
    answer = http.get(f"{up.url('prometheus')}/api/v1/{path}", params=parameters)
    return answer.raise_for_status().json()["data"]


def scraped(http: httpx.Client, up: Project) -> dict[tuple[str, str, str], str]:
    """Address and health of every target, by its job, its name and its generation."""
    return {
        (
            target["labels"]["job"],
            target["labels"]["instance"],
            target["labels"].get("generation", ""),
        ): f"{target['discoveredLabels']['__address__']} {target['health']}"
        for target in asked(http, up, "targets")["activeTargets"]
    }


def test_it_is_ready_within_a_minute(up: Project) -> None:
    assert up.ready_s <= READY_S
    containers = up.containers()
    names = {each["Config"]["Labels"]["com.docker.compose.service"] for each in containers}
    assert names == {
        name
        for name, service in services().items()
        if set(service["profiles"]) & set(PROFILES) and name not in WITHOUT_STAND_IN
    }


def test_users_log_in_through_the_gateway(up: Project, http: httpx.Client) -> None:
    token = log_in(http, up)
    headers = {"Authorization": f"Bearer {token}", "X-User": USER["username"]}
    session = http.get(f"{up.url('gateway')}/session", headers=headers)
    assert session.json()["username"] == USER["username"]


def test_nothing_listens_beyond_this_machine(up: Project) -> None:
    published = [
        bound["HostIp"]
        for container in up.containers()
        for bounds in container["HostConfig"]["PortBindings"].values()
        for bound in bounds
    ]
    assert len(published) >= 5
    assert set(published) == {"127.0.0.1"}


def test_nobody_is_root_and_nothing_is_written_where_it_should_not_be(up: Project) -> None:
    for container in up.containers():
        name = container["Config"]["Labels"]["com.docker.compose.service"]
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"] is (name not in WRITABLE), name
        assert host["CapDrop"] == ["ALL"], name
        assert host["Memory"] > 0, name
        assert host["NanoCpus"] > 0, name
        if name not in ONE_SHOT:
            assert docker("exec", container["Id"], "id", "-u").strip() != "0", name


def test_prometheus_finds_every_part_and_has_the_rules(up: Project, http: httpx.Client) -> None:
    wanted = {
        ("auth", "replica-1", "1"): "auth-1:8000 up",
        ("auth", "replica-2", "1"): "auth-2:8000 up",
        ("gateway", "gateway", "1"): "gateway:8081 up",
        ("postgres", "postgres", ""): "database-exporter:9187 up",
    }
    wait_until("every target to be up", lambda: scraped(http, up) == wanted, timeout_s=30)
    files = {group["file"] for group in asked(http, up, "rules")["groups"]}
    assert {file.rpartition("/")[2] for file in files} == {
        path.name for path in (ROOT / "dashboards" / "prometheus" / "rules").glob("*.yml")
    }
    managers = asked(http, up, "alertmanagers")["activeAlertmanagers"]
    assert [each["url"] for each in managers] == ["http://alertmanager:9093/api/v2/alerts"]
    wait_until(
        "the database's connections",
        lambda: asked(http, up, "query", query='pg_settings_max_connections{job="postgres"}')[
            "result"
        ],
        timeout_s=30,
    )


def test_prometheus_follows_a_replica_that_moves(up: Project, http: httpx.Client) -> None:
    """Its name stays, and its generation tells the processes apart."""
    place = f"{up.url('control')}/control/upstreams/replica-2"
    http.patch(place, json={"url": "http://auth-1:8000"}).raise_for_status()
    try:
        moved = ("auth", "replica-2", "2")
        wait_until(
            "the move",
            lambda: scraped(http, up).get(moved) == "auth-1:8000 up",
            timeout_s=30,
        )
        assert ("auth", "replica-2", "1") not in scraped(http, up)
    finally:
        http.patch(place, json={"url": "http://auth-2:8000"}).raise_for_status()


def test_it_is_started_again_and_keeps_its_sessions(up: Project, http: httpx.Client) -> None:
    token = log_in(http, up)
    up.up(*PROFILES)
    headers = {"Authorization": f"Bearer {token}"}
    assert http.get(f"{up.url('gateway')}/session", headers=headers).status_code == 200


def test_the_pool_is_changed_while_it_runs(up: Project, http: httpx.Client) -> None:
    up.compose("up", "--detach", "--wait", "--no-build", "auth-1", "auth-2", AUTH_POOL__SIZE="20")
    wait_until(
        "the larger pools",
        lambda: (
            {
                (each["metric"]["instance"], each["value"][1])
                for each in asked(http, up, "query", query="db_client_connection_max")["result"]
            }
            == {("replica-1", "20"), ("replica-2", "20")}
        ),
        timeout_s=30,
    )
    log_in(http, up)
    up.compose("up", "--detach", "--wait", "--no-build", "auth-1", "auth-2")


def test_locust_explores_with_as_many_workers_as_wanted(up: Project, http: httpx.Client) -> None:
    up.compose(
        *("--profile", "load", "up", "--detach", "--wait", "--no-build"),
        *("--scale", "locust-worker=2", "locust-master", "locust-worker"),
    )
    page = up.url("locust")

    def stats() -> dict[str, Any]:
        found: dict[str, Any] = http.get(f"{page}/stats/requests").json()
        return found

    wait_until("both workers", lambda: len(stats()["workers"]) == 2, timeout_s=30)
    http.post(f"{page}/swarm", data={"user_count": 6, "spawn_rate": 6}).raise_for_status()
    wait_until("logins", lambda: stats()["stats"][0]["num_requests"] >= 20, timeout_s=60)
    logins = stats()["stats"][0]
    assert logins["name"] == "/login"
    assert logins["num_failures"] == 0
    http.post(f"{page}/stop").raise_for_status()
    up.compose("--profile", "load", "rm", "--stop", "--force", "locust-master", "locust-worker")


def test_a_drill_is_played_on_its_postgresql(up: Project, tmp_path: Any) -> None:
    """In a container of its own; the exit code is the verdict, and the service stands by."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs").chmod(0o777)
    (tmp_path / "small.yaml").write_text(SMALL_YAML)
    try:
        up.compose(
            *("run", "--rm", "-T", "--no-deps"),
            *("--volume", f"{tmp_path / 'small.yaml'}:/incident.yaml:ro"),
            *("--volume", f"{tmp_path / 'runs'}:/runs"),
            "drill",
            within_s=240,
            POOLDRILL_INCIDENT="/incident.yaml",
        )
    except AssertionError as error:
        for verdict in tmp_path.glob("runs/*/verdict.json"):
            if json.loads(verdict.read_text("utf-8"))["outcome"] == "invalid":
                raise UntrustedError(verdict) from error
        raise
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "report.html").exists()
    assert json.loads((run / "verdict.json").read_text("utf-8"))["outcome"] == "pass"


def test_the_service_goes_through_pgbouncer(images: None, http: httpx.Client) -> None:
    with project("pgbouncer") as up:
        up.up("core", "observability", "pgbouncer", POOLDRILL_DATABASE_HOST="pgbouncer")
        log_in(http, up)

        def connections() -> list[Any]:
            metric = 'sum(pgbouncer_pools_client_active_connections{database="auth"}) > 0'
            found: list[Any] = asked(http, up, "query", query=metric)["result"]
            return found

        wait_until("PgBouncer's clients", connections, timeout_s=30)
        assert scraped(http, up)["pgbouncer", "pgbouncer", ""].endswith(" up")


def test_it_goes_without_a_trace(images: None) -> None:
    with project("gone") as made:
        made.up("core")
        assert made.left("container")
        assert made.left("volume")
        made.down()
        assert [made.left(kind) for kind in ("container", "volume", "network")] == [[], [], []]
