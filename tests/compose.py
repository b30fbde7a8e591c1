"""The compose file under test: read as data, and as a project of its own that runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from harness.stack.ports import free_port

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
PROFILES = ("core", "observability")
"""What a plain `docker compose up` starts."""

WITHOUT_STAND_IN = {"grafana"}
"""Services whose image only a registry has: they are tested as data alone."""


def services() -> dict[str, dict[str, Any]]:
    """The file's services, by name, with anchors resolved and variables as they are written."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text("utf-8"))["services"]
    return found


def filled(text: object) -> str:
    """With every variable at its default."""
    return VARIABLE.sub(lambda found: found[2], str(text))


def environment_of(service: str) -> dict[str, str]:
    """What a service's container is told, with every variable at its default."""
    return {name: filled(value) for name, value in services()[service]["environment"].items()}


class Project:
    """A project of its own: its ports are free ones, and it goes when the `with` ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready_s = 0.0
        """How long the first start took."""

        ports = set(re.findall(r"POOLDRILL_\w+_PORT", FILE.read_text("utf-8")))
        ports -= {"POOLDRILL_EXPORTER_PORT"}
        self.ports = {variable: free_port() for variable in sorted(ports)}
        self._environment = {
            **{key: value for key, value in os.environ.items() if key != "COMPOSE_PROFILES"},
            **{variable: str(port) for variable, port in self.ports.items()},
            "COMPOSE_PROJECT_NAME": name,
        }

    def url(self, service: str) -> str:
        """A published service on this machine, by the middle of its port's variable."""
        return f"http://127.0.0.1:{self.ports[f'POOLDRILL_{service.upper()}_PORT']}"

    def compose(self, *words: str, within_s: float = 120, **variables: str) -> str:
        """Run `docker compose WORDS`; what it said. Fails with its words where it fails."""
        ended = subprocess.run(
            ["docker", "compose", "--ansi", "never", *words],
            cwd=ROOT,
            env={**self._environment, **variables},
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
        assert ended.returncode == 0, f"docker compose {' '.join(words)}: {ended.stderr}"
        return ended.stdout

    def up(self, *profiles: str, **variables: str) -> None:
        """Start what ``profiles`` have and wait until all of it is healthy."""
        named = [
            name
            for name, service in services().items()
            if name not in WITHOUT_STAND_IN and set(service["profiles"]) & set(profiles)
        ]
        variables["COMPOSE_PROFILES"] = ",".join(profiles)
        self.compose("up", "--detach", "--wait", "--no-build", *named, **variables)

    def containers(self) -> list[Mapping[str, Any]]:
        """`docker inspect` of every container, ended ones included."""
        return inspected("container", *self.left("container"))

    def left(self, kind: str) -> list[str]:
        """The ids of its containers, volumes or networks."""
        every = ["--all"] if kind == "container" else []
        label = f"label=com.docker.compose.project={self.name}"
        return docker(kind, "ls", *every, "--quiet", "--filter", label).split()

    def down(self) -> None:
        """End it and remove everything it has made."""
        # All profiles: what one of them has started goes too.
        self.compose("--profile", "*", "down", "--volumes", "--timeout", "5")


@contextmanager
def project(purpose: str) -> Iterator[Project]:
    """A project that is started by its `up` and gone at the end."""
    made = Project(f"pooldrill-{purpose}-{os.getpid()}")
    try:
        yield made
    finally:
        made.down()


def build_images() -> None:
    """Both images of this checkout, from what was built before where nothing has changed."""
    for target, tag in (("service", "pooldrill-service"), ("pooldrill", "pooldrill")):
        # On the host's network, where a package index may be reached by a proxy of its own.
        words = ("--network", "host", "--target", target, "--tag", f"{tag}:local", ".")
        docker("build", "--quiet", *words, within_s=1200)


def docker(*words: str, within_s: float = 60) -> str:
    """Run `docker WORDS`; what it said. Fails with its words where it fails."""
    ended = subprocess.run(
        ["docker", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert ended.returncode == 0, f"docker {' '.join(words)}: {ended.stderr}"
    return ended.stdout


def inspected(kind: str, *ids: str) -> list[Mapping[str, Any]]:
    """`docker inspect`, read."""
    found: list[Mapping[str, Any]] = json.loads(docker(kind, "inspect", *ids)) if ids else []
    return found
