"""What is in the container engine, for tests that hold it against what should be there."""

from __future__ import annotations

from typing import Any

import docker
from harness.stack.container_removal import LABEL
from harness.stack.engine import Engine


def client() -> docker.DockerClient:
    """The engine's own client, past everything of ours."""
    return docker.from_env()


def containers(part: str | None = None) -> list[Any]:
    """Our runs' containers, running or not; those of one part, if named."""
    found = client().containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return [each for each in found if part is None or each.name.endswith(f"-{part}")]


def names(part: str) -> list[str]:
    """The names of the containers of one part, of whichever run."""
    return [each.name for each in containers(part)]


def leftovers(run: str | None = None) -> list[str]:
    """The names of all that a run, or any, has in the engine."""
    label = {"label": LABEL if run is None else f"{LABEL}={run}"}
    engine = client()
    things = [
        *engine.containers.list(all=True, filters=label, ignore_removed=True),
        *engine.volumes.list(filters=label),
        *engine.networks.list(filters=label),
    ]
    return [thing.name for thing in things]


def of(engine: Engine) -> list[str]:
    """The names of all that this engine's run has in it."""
    return leftovers(engine.run)
