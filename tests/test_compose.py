"""docker-compose.yml and the Dockerfile as data: what they promise without being run."""

from __future__ import annotations

import re
import subprocess
import tomllib
from typing import Any

import pytest
import yaml

from auth_service.gateway.settings import GatewaySettings
from auth_service.settings import Settings, load
from harness.incident import load_incident
from harness.stack.service import service_environment
from tests.compose import FILE, PROFILES, ROOT, VARIABLE, environment_of, filled, services

ONE_SHOT = {"accounts", "drill"}
"""Services that end by themselves; the others have a health check."""

WRITABLE = {"pgbouncer"}
"""Whose file system is not read-only; the file says why."""

OURS = {"pooldrill-service:local": "service", "pooldrill:local": "pooldrill"}
DASHBOARDS = ROOT / "dashboards"
every_service = pytest.mark.parametrize("name", services())


def test_each_profile_has_its_services() -> None:
    by_profile: dict[str, set[str]] = {}
    for name, service in services().items():
        (profile,) = service["profiles"]
        by_profile.setdefault(profile, set()).add(name)
    assert by_profile == {
        "core": {"postgres", "accounts", "auth-1", "auth-2", "gateway"},
        "observability": {"database-exporter", "prometheus", "alertmanager", "grafana"},
        "load": {"locust-master", "locust-worker"},
        "pgbouncer": {"pgbouncer", "pgbouncer-exporter"},
        "drill": {"drill"},
    }


@every_service
def test_a_service_is_confined(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is (name not in WRITABLE)
    assert filled(service["user"]).partition(":")[0] not in ("", "0", "root")
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & service.keys()
    limits = service["deploy"]["resources"]["limits"]
    assert limits["memory"]
    # A drill measures: it is not held back, and would otherwise be what it measures.
    assert (filled(limits.get("cpus")) == "1") is (name != "drill")


@every_service
def test_a_service_says_whether_it_is_healthy(name: str) -> None:
    service = services()[name]
    assert ("healthcheck" in service) is (name not in ONE_SHOT)
    assert service["restart"] == "no", "a part that dies in a drill must be seen"


@every_service
def test_a_service_is_published_on_loopback_only_and_elsewhere_when_its_port_is_taken(
    name: str,
) -> None:
    for port in services()[name].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{POOLDRILL_[A-Z]+_PORT:-\d+\}:\d+", port)


def test_no_two_services_are_published_on_the_same_port() -> None:
    ports = [filled(port) for each in services().values() for port in each.get("ports", ())]
    assert len({port.split(":")[1] for port in ports}) == len(ports) > 5


@every_service
def test_an_image_is_pinned_or_ours(name: str) -> None:
    service = services()[name]
    image, _, tag = service["image"].rpartition(":")
    assert image
    assert re.fullmatch(r"v?\d+(\.\d+)*(-\w+)?|local", tag), "a version"
    if service["image"] in OURS:
        assert service["build"] == {"context": ".", "target": OURS[service["image"]]}
    else:
        assert "build" not in service


@every_service
def test_what_is_mounted_exists_and_cannot_be_written(name: str) -> None:
    for mount in services()[name].get("volumes", ()):
        if isinstance(mount, dict):
            assert name == "drill"
            assert mount["source"] == "./runs"
            # Docker would create it as root's, and the drill could not write to it.
            assert mount["bind"] == {"create_host_path": False}
            continue
        source, _, rest = mount.partition(":")
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert rest.endswith(":ro")
        else:
            assert source in yaml.safe_load(FILE.read_text("utf-8"))["volumes"]


@every_service
def test_who_waits_for_another_profile_does_without_it(name: str) -> None:
    """Else `--profile load up` beside a running core would be refused."""
    every = services()
    needed = every[name].get("depends_on", {})
    for other, how in needed.items():
        if every[other]["profiles"] != every[name]["profiles"] and name != "drill":
            assert how["required"] is False


def test_every_variable_stands_in_env_with_its_default() -> None:
    text = (ROOT / ".env").read_text("utf-8")
    settings = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))
    assert settings.pop("COMPOSE_PROFILES").split(",") == list(PROFILES)
    used = dict(VARIABLE.findall(FILE.read_text("utf-8")))
    assert settings == used
    defaults = VARIABLE.findall(FILE.read_text("utf-8"))
    assert len(set(defaults)) == len(used), "a variable has one default"
    set_here = re.findall(r"^([A-Z_]+)=", text, re.MULTILINE)
    assert set_here == ["COMPOSE_PROFILES"], "what is set here would win over the defaults there"


# -- what it tells the parts ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["auth-1", "auth-2", "accounts"])
def test_the_service_takes_its_settings(name: str) -> None:
    settings = load(Settings, environment_of(name))
    assert settings.database_address == "postgres:5432/auth"


def test_the_service_has_the_incidents_configuration() -> None:
    incident = load_incident("undersized-pool")
    wanted = service_environment(incident.service, name="replica-1", dsn="")
    ours = environment_of("auth-1")
    for name in ours.keys() - {"AUTH_DATABASE_URL", "AUTH_HOST", "AUTH_PORT"}:
        assert ours[name] == wanted[name], name
    assert len([name for name in services() if name.startswith("auth-")]) == (
        incident.service.replicas
    )
    gateway = load(GatewaySettings, environment_of("gateway"))
    assert gateway.timeout_s == incident.gateway.timeout_s
    users = filled(services()["accounts"]["command"][-2])
    assert int(users) == incident.database.users


def test_the_gateway_knows_every_replica_by_its_name() -> None:
    upstreams = load(GatewaySettings, environment_of("gateway")).upstreams
    replicas = [name for name in services() if name.startswith("auth-")]
    assert [(each.name, each.url) for each in upstreams] == [
        (environment_of(name)["AUTH_REPLICA"], f"http://{name}:8000") for name in replicas
    ]


# -- Prometheus ----------------------------------------------------------------------------------


def scraped() -> dict[str, dict[str, Any]]:
    config = yaml.safe_load((DASHBOARDS / "prometheus" / "prometheus.yml").read_text("utf-8"))
    return {job["job_name"]: job for job in config["scrape_configs"]}


def test_prometheus_asks_for_services_that_there_are() -> None:
    jobs = scraped()
    names = set(services())
    assert jobs.keys() == {"auth", "gateway", "postgres", "pgbouncer"}
    for job in jobs.values():
        addresses = [
            address for group in job.get("static_configs", ()) for address in group["targets"]
        ]
        addresses += [each["url"].split("/")[2] for each in job.get("http_sd_configs", ())]
        addresses += [name for each in job.get("dns_sd_configs", ()) for name in each["names"]]
        assert addresses
        assert {address.partition(":")[0] for address in addresses} <= names


@pytest.mark.prometheus
def test_promtool_takes_the_configuration_with_its_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "config", DASHBOARDS / "prometheus" / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rules = len(list((DASHBOARDS / "prometheus" / "rules").glob("*.yml")))
    assert f"{rules} rule files found" in done.stdout + done.stderr


# -- the guide -----------------------------------------------------------------------------------


def test_the_guides_commands_speak_of_what_there_is() -> None:
    page = (ROOT / "docs" / "guides" / "containers.md").read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line.partition(" #")[0] for block in blocks for line in block.splitlines()]
    commands = [line for line in lines if "docker compose" in line]
    assert len(commands) > 5
    profiles = {profile for each in services().values() for profile in each["profiles"]}
    variables = dict(VARIABLE.findall(FILE.read_text("utf-8"))).keys() | {"COMPOSE_PROFILES"}
    for line in commands:
        before, _, words = line.partition("docker compose ")
        assert {word.partition("=")[0] for word in before.split()} <= variables, line
        named = re.findall(r"COMPOSE_PROFILES=(\S+)", before)
        named += re.findall(r"--profile (\S+)", words)
        assert {profile for each in named for profile in each.split(",")} <= profiles, line
        words = re.sub(r"--(profile|scale) (\S+)", "", words)
        _, *others = words.split()
        assert {word for word in others if not word.startswith("-")} <= services().keys(), line
        scaled = re.findall(r"--scale (\S+)=", line)
        assert set(scaled) <= services().keys(), line


# -- the images ----------------------------------------------------------------------------------


def stages() -> list[tuple[str, str]]:
    """Base and name of each stage of the Dockerfile."""
    return re.findall(r"^FROM (\S+) AS (\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.M)


def test_both_images_are_stages_that_end_without_root() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    for target in OURS.values():
        stage = re.split(r"^FROM ", text.partition(f" AS {target}\n")[2], flags=re.M)[0]
        assert re.findall(r"^USER (.*)$", stage, re.M)[-1] == "10001:10001"
        assert "pip install" not in stage, "what builds stays behind"
    names = {name for _, name in stages()}
    for base, _ in stages():
        assert base in names or re.fullmatch(r"python:3\.\d+-slim", base)


def test_the_services_image_needs_what_the_service_needs() -> None:
    """The group is the first section of the dependencies, word for word."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    group = data["dependency-groups"]["service"]
    assert group == data["project"]["dependencies"][: len(group)]


def test_the_builder_is_sent_every_package() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = data["tool"]["hatch"]["build"]["targets"]["wheel"]
    packages = {*wheel["packages"], *wheel["force-include"]}
    sent = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.M))
    assert packages | {"pyproject.toml", "README.md", "docker"} == sent


def test_the_set_up_of_the_ci_has_every_image_that_can_be_had() -> None:
    listed = re.findall(r"^images=\((.*)\)$", (ROOT / ".ci" / "docker").read_text("utf-8"), re.M)
    needed = {each["image"] for name, each in services().items() if name != "grafana"} - set(OURS)
    assert needed | {"python:3.14-slim"} == set(listed[0].split())
