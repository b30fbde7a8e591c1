"""Gives a compose stack back: its replicas run again, and its gateway leads to them.

A plain script as well, for the guard to run when the harness was killed:
``python -P compose_return.py ENGINE GATEWAY REPLICA…``, with containers' ids. The gateway is
restarted then: what it was told by a run is gone, and what compose has told it holds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

RETURN_S = 2.0
"""For a replica or gateway that does nothing: more than it takes to end."""


def start_again(containers: Iterable[Any]) -> None:
    """Start containers that were stopped; those that run already are left alone.

    Raises ``docker.errors.DockerException``.
    """
    for container in containers:
        container.start()


def main(engine: str, gateway: str, *replicas: str) -> None:
    """Start the replicas, then restart the gateway."""
    import docker

    client = docker.DockerClient(base_url=engine) if engine else docker.from_env()
    start_again(client.containers.get(replica) for replica in replicas)
    client.containers.get(gateway).restart(timeout=int(RETURN_S))


if __name__ == "__main__":
    main(*sys.argv[1:])
