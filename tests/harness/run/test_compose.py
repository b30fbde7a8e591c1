"""Runs on a stack that `docker compose up` has started: the same verdict, and all given back."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from harness.stack.process import wait_until
from tests.compose import Project, build_images, docker, project
from tests.harness.run.small import Command, running
from tests.harness.stack.engine import leftovers

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1800)]

PLAYING = '"surge"'
USER = {"username": "user000001", "password": "correct horse 1"}


@pytest.fixture(scope="module")
def up() -> Iterator[Project]:
    """The core, with as many connections as the small incident asks for."""
    build_images()
    with project("run") as made:
        made.up("core", POOLDRILL_MAX_CONNECTIONS="60")
        yield made


@pytest.fixture(autouse=True)
def named(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the project of these tests, as they would find a user's."""
    if "up" in request.fixturenames:
        up: Project = request.getfixturevalue("up")
        monkeypatch.setenv("COMPOSE_PROJECT_NAME", up.name)


def serves(up: Project) -> bool:
    """Whether the stack's own replicas serve, and lead nowhere else."""
    with httpx.Client(trust_env=False, timeout=5) as client:
        try:
            state = client.get(f"{up.url('control')}/control").json()
            answer = client.post(f"{up.url('gateway')}/login", json=USER)
        except (httpx.HTTPError, ValueError):
            return False
    urls = [upstream["url"] for upstream in state["upstreams"]]
    return urls == ["http://auth-1:8000", "http://auth-2:8000"] and answer.status_code == 200


def schemas(up: Project) -> list[str]:
    """Schemas of runs that are in its database for drills."""
    port = up.ports["POOLDRILL_POSTGRES_PORT"]
    dsn = f"postgresql://drill:for-development-only@127.0.0.1:{port}/drill"
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pooldrill%'"
        )
        return [str(name) for (name,) in found]


def assert_given_back(up: Project) -> None:
    wait_until("the stack to be given back", lambda: serves(up), timeout_s=40)
    wait_until("the run's schema to go", lambda: not schemas(up), timeout_s=20)
    wait_until("the run's containers to go", lambda: not leftovers(), timeout_s=20)


def container(up: Project, service: str) -> str:
    """The id of its container."""
    (found,) = (
        each["Id"]
        for each in up.containers()
        if each["Config"]["Labels"]["com.docker.compose.service"] == service
    )
    return str(found)


def playing(command: Command) -> None:
    command.wait_for("the surge", lambda: command.event_seen(PLAYING), timeout_s=90)


def test_an_incident_is_played_on_its_parts(up: Project, tmp_path: Path) -> None:
    with running(tmp_path / "runs", "--stack", "compose") as command:
        playing(command)
        with httpx.Client(trust_env=False) as client:
            state = client.get(f"{up.url('control')}/control").json()
        assert all("-replica-" in upstream["url"] for upstream in state["upstreams"])
        # A second run would be the first one's load.
        with running(tmp_path / "second", "--stack", "compose") as second:
            code, _, said = second.end()
        assert code == 2
        assert "another run has the compose stack" in said
        code, stdout, said = command.judged()
    assert code == 0, (stdout, said)
    assert command.directory is not None
    for log in ("postgres", "gateway", "replica-1"):
        assert (command.directory / "logs" / f"{log}.log").exists()
    environment = json.loads((command.directory / "environment.json").read_text("utf-8"))
    assert environment["addresses"]["gateway"] == up.url("gateway")
    assert_given_back(up)


def test_without_its_defect_it_does_not_reproduce(up: Project, tmp_path: Path) -> None:
    with running(tmp_path / "runs", "--stack", "compose", "--without", "defect") as command:
        code, stdout, said = command.judged()
    assert code == 1, (stdout, said)
    assert "did not reproduce" in stdout
    assert_given_back(up)


def test_a_killed_harness_gives_it_back(up: Project, tmp_path: Path) -> None:
    with running(tmp_path / "runs", "--stack", "compose") as command:
        playing(command)
        command.process.send_signal(signal.SIGKILL)
        command.end()
    assert_given_back(up)


def test_a_part_that_dies_makes_the_run_invalid(up: Project, tmp_path: Path) -> None:
    with running(tmp_path / "runs", "--stack", "compose") as command:
        playing(command)
        docker("kill", container(up, "gateway"))
        code, _, said = command.end()
    assert code == 3
    assert "PD014: gateway died during the run: gateway was ended by SIGKILL" in said
    up.up("core", POOLDRILL_MAX_CONNECTIONS="60")
    assert_given_back(up)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("database.max_connections=50", "POOLDRILL_MAX_CONNECTIONS=50 docker compose up"),
        ("gateway.connect_timeout=2s", "gateway.connect_timeout 2 s"),
        ("pgbouncer={default_pool_size: 5}", "PgBouncer of its own"),
    ],
)
def test_what_its_parts_cannot_be_is_refused(
    up: Project, tmp_path: Path, setting: str, words: str
) -> None:
    with running(tmp_path / "runs", "--stack", "compose", "--set", setting) as command:
        code, _, said = command.end()
    assert code == 2, said
    assert words in said
    assert serves(up)


def test_a_stack_that_is_not_up_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "nobody-has-started-this")
    with running(tmp_path / "runs", "--stack", "compose") as command:
        code, _, said = command.end()
    assert code == 4
    assert "PD019: the compose stack nobody-has-started-this is not up" in said
    assert "docker compose up --detach --wait" in said
