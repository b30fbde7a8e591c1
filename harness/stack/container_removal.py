"""Removes all that one run made in a container engine: containers, their volumes, its network.

A plain script as well, for the guard to run when the harness was killed:
``python -P container_removal.py ENGINE RUN``. It knows a run's things by their label, so that
nothing is missed that was made an instant before.
"""

from __future__ import annotations

import sys
import time
from typing import Any

LABEL = "pooldrill.run"
SWEEP_EVERY_S = 1.0
GIVE_UP_AFTER_S = 15.0


def remove_all(client: Any, run: str) -> int:
    """Remove what bears this run's label; how much there was.

    ``client`` is a ``docker.DockerClient``. Raises ``docker.errors.DockerException`` for what
    cannot be removed, but for what is gone already.
    """
    import docker.errors

    label = {"label": f"{LABEL}={run}"}
    found = [
        *((container, {"force": True, "v": True}) for container in _containers(client, label)),
        *((volume, {"force": True}) for volume in client.volumes.list(filters=label)),
        *((network, {}) for network in client.networks.list(filters=label)),
    ]
    for thing, how in found:
        try:
            thing.remove(**how)
        except docker.errors.NotFound:
            continue
        except docker.errors.APIError as error:
            if "already in progress" not in str(error):
                raise
    return len(found)


def _containers(client: Any, label: dict[str, str]) -> Any:
    # Without `ignore_removed`, a container that goes while the list is made is an error.
    return client.containers.list(all=True, filters=label, ignore_removed=True)


def main(engine: str, run: str) -> None:
    """Sweep until nothing is found twice: an order of the killed harness may still be under way."""
    import docker.errors

    import docker

    client = docker.DockerClient(base_url=engine) if engine else docker.from_env()
    deadline = time.monotonic() + GIVE_UP_AFTER_S
    clean = 0
    while clean < 2 and time.monotonic() < deadline:
        try:
            clean = 0 if remove_all(client, run) else clean + 1
        except (docker.errors.DockerException, OSError):
            clean = 0
        time.sleep(SWEEP_EVERY_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
