"""A container engine, reached through testcontainers and left without a trace.

What a run makes in it bears the run's label. `Engine.close` removes it; where the harness was
killed, the guard does. So testcontainers' own clearing container (Ryuk), one more image to fetch
and one that needs the engine's socket, is not started for ours.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.errors import EngineError, ImageMissingError
from harness.loopback import is_loopback_host
from harness.stack.container_removal import LABEL, remove_all
from harness.stack.guard import guard
from harness.stack.images import Image

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.docker_client import DockerClient
    from testcontainers.core.network import Network

REMOVAL = Path(__file__).with_name("container_removal.py")
DEFAULT_SOCKET = "unix:///var/run/docker.sock"
ANSWER_S = 30
"""For one answer of the engine; what takes longer says so itself."""

WITHOUT = "or leave --stack docker out"


class Engine:
    """A running engine, and what one run has in it. Made by `connect`; a context manager.

    Its methods may be called from several threads.
    """

    def __init__(self, client: DockerClient, address: str) -> None:
        self.run = secrets.token_hex(4)
        """The value of the label `pooldrill.run` on all that this run makes."""

        self.address = address
        """Where it answers; empty for the usual place."""

        self.images: dict[str, str] = {}
        """The ids of the images that were required, by name: a tag may be moved."""

        self._client = client
        self._removal = [sys.executable, "-P", str(REMOVAL), address, self.run]
        self._network: Network | None = None
        self._lock = threading.Lock()
        guard().add_command(self._removal)

    @classmethod
    def connect(cls) -> Engine:
        """Find the engine, as the docker command would, and ask it for an answer.

        Raises `EngineError` when there is none, it may not be used, it is on another machine, or
        testcontainers is not installed.
        """
        try:
            from testcontainers.core.docker_client import DockerClient, get_docker_host
        except ImportError as error:
            raise EngineError(
                "containers need the package testcontainers, which is not installed",
                remedy=f"`pip install 'pooldrill[docker]'`, {WITHOUT}.",
            ) from error
        address = get_docker_host() or ""
        _refuse_elsewhere(address)
        with engine_errors(f"the container engine at {address or DEFAULT_SOCKET}"):
            client = DockerClient(timeout=ANSWER_S)
            client.client.ping()
        return cls(client, address)

    @property
    def labels(self) -> dict[str, str]:
        """What all that the run makes is known by."""
        return {LABEL: self.run}

    def network(self) -> Network:
        """The run's own network, in which its containers find each other by name."""
        from testcontainers.core.network import Network

        with self._lock:
            if self._network is None:
                with engine_errors("the network of the containers"):
                    network = Network(docker_network_kw={"labels": self.labels})
                    network.name = f"pooldrill-{self.run}"
                    self._network = network.create()
            return self._network

    def join(self, network: str) -> None:
        """Let the run's containers be in a network that is there, and not the run's own."""
        from testcontainers.core.network import Network

        with self._lock, engine_errors("the network of the containers"):
            found = Network()
            found.name = network  # all that is asked of it: it is never created or removed
            self._network = found

    def labelled(self, label: str, value: str) -> list[Any]:
        """The engine's containers with this label, as its client's objects, whoever made them.

        Raises ``docker.errors.DockerException``.
        """
        return list(
            self._client.client.containers.list(
                all=True, filters={"label": f"{label}={value}"}, ignore_removed=True
            )
        )

    def volume(self, name: str) -> str:
        """A new volume of the run; its full name."""
        full = f"pooldrill-{self.run}-{name}"
        with engine_errors(f"the volume {full}"):
            self._client.client.volumes.create(full, labels=self.labels)
        return full

    def require_image(self, image: Image) -> None:
        """Have the image on the machine; `ImageMissingError` when it cannot be fetched."""
        import docker.errors
        from testcontainers.core.config import testcontainers_config

        name = testcontainers_config.hub_image_name_prefix + image.name
        images = self._client.client.images
        with engine_errors(f"the image {name}"):
            try:
                self.images[name] = str(images.get(name).id)
            except docker.errors.ImageNotFound:
                pass
            else:
                return
        try:
            self.images[name] = str(images.pull(name).id)
        except (docker.errors.DockerException, OSError) as error:
            raise ImageMissingError(
                f"the image {name} is not on this machine and could not be fetched: "
                f"{explained(error)}",
                remedy=f"`docker pull {name}`, or name another one in {image.variable}.",
            ) from error

    def container(self, image: str) -> DockerContainer:
        """A container that is to be, in the run's network and with its label."""
        from testcontainers.core.container import DockerContainer

        with engine_errors("the container engine"):
            container = DockerContainer(image, docker_client_kw={"timeout": ANSWER_S})
        container.with_network(self.network())
        return container

    def close(self) -> None:
        """Remove all that the run has left in it. May be called again; never fails.

        What could not be removed is left to the guard, which tries again behind the harness.
        """
        import docker.errors

        try:
            remove_all(self._client.client, self.run)
        except (docker.errors.DockerException, OSError):
            return
        guard().drop_command(self._removal)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def without_ryuk() -> Iterator[None]:
    """Containers that are started inside are ours to remove, whatever the environment says.

    The setting is testcontainers' own, so it is put back for others who use it in this process.
    """
    from testcontainers.core.config import testcontainers_config

    with _ryuk:
        before = testcontainers_config.ryuk_disabled
        testcontainers_config.ryuk_disabled = True
        try:
            yield
        finally:
            testcontainers_config.ryuk_disabled = before


_ryuk = threading.RLock()


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn what the engine's client raises inside into `EngineError`s that begin with ``what``."""
    import docker.errors

    try:
        yield
    except (docker.errors.DockerException, OSError) as error:
        raise _understood(what, error) from error


def explained(error: BaseException) -> str:
    """The engine's own words, without its client's around them."""
    return str(getattr(error, "explanation", None) or error).strip()


def _understood(what: str, error: Exception) -> EngineError:
    text = explained(error)
    if "Permission denied" in text:
        return EngineError(
            f"{what} may not be used by this user: permission denied",
            remedy=f"Join the group of its socket, such as docker, and log in again; {WITHOUT}.",
        )
    if any(word in text for word in ("Connection refused", "No such file", "Connection aborted")):
        return EngineError(
            f"{what} does not answer: is it running?",
            remedy=f"Start it, or point DOCKER_HOST to it; {WITHOUT}.",
        )
    return EngineError(f"{what}: {text}", remedy=f"Ask the engine's own log; {WITHOUT}.")


def _refuse_elsewhere(address: str) -> None:
    """Containers listen on the loopback interface of their engine's machine, and nowhere else."""
    host: Any = urlsplit(address).hostname
    if address.startswith(("unix:", "npipe:")) or not address:
        return
    if not host or not is_loopback_host(host):
        raise EngineError(
            f"the container engine is on {host or address}, which is not this machine",
            remedy="Use an engine of this machine: `docker context use default`, "
            "or take DOCKER_HOST out of the environment.",
        )
