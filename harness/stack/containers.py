"""A container as a part of the stack: watched like a process, its output in a log file."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import EngineError, PartStartError, PortTakenError
from harness.stack.engine import Engine, engine_errors, explained, without_ryuk
from harness.stack.ports import LOOPBACK
from harness.stack.process import how_it_ended, log_tail

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

SIGNALLED = 128
"""What a container's exit code is over the number of the signal that ended it."""

PORT_TAKEN = ("port is already allocated", "address already in use")
LOG_ENDS_S = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a container is to be; ``port`` inside it is published on loopback.

    ``name`` is the part's, and by it other containers of the run find it. ``volumes`` are volumes
    and where they are mounted, ``files`` what is put into it before it starts, by path, ``tmpfs``
    where it may write, with the mount's options.
    ``called`` is its name in the engine, where it differs from the part's; ``options`` are the
    engine's own words for its user, its limits and what it may do; ``labels`` come beside the
    run's.
    """

    name: str
    image: str
    port: int
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    called: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


class Watched:
    """A container whose death is noticed, by a thread that follows its output into ``log``.

    ``wrapped`` is the engine's client's own object. What it printed ``since`` that epoch second
    is kept; all of it without one.
    """

    def __init__(self, name: str, wrapped: Any, log: Path, *, since: int | None = None) -> None:
        self.name = name
        self.log = log
        self._wrapped = wrapped
        self._since = since
        self._expected_to_end = False
        self._ended = threading.Event()
        self._how = "is still running"
        self._follower = threading.Thread(target=self._follow, name=f"log-{name}", daemon=True)
        self._follower.start()

    def alive(self) -> bool:
        """Whether it is running."""
        return not self._ended.is_set()

    def died_unexpectedly(self) -> bool:
        """Whether it has ended although nobody asked it to."""
        return not self._expected_to_end and not self.alive()

    def describe_death(self) -> str:
        """How it ended and the end of its log; for errors and events."""
        return f"{self.name} {self._how}{self.log_tail()}"

    def log_tail(self) -> str:
        """The last lines of its log, indented, beginning with a line break; empty for no log."""
        return log_tail(self.log)

    def expect_end(self) -> None:
        """From now on its end is not a failure."""
        self._expected_to_end = True

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its first process; nothing happens when it has ended."""
        import docker.errors

        with contextlib.suppress(docker.errors.DockerException, OSError):
            self._wrapped.kill(signal=number.name)

    def _follow(self) -> None:
        """Write what it prints into the log until it ends, and note how it did."""
        import docker.errors

        try:
            with self.log.open("ab") as file:
                for piece in self._wrapped.logs(stream=True, follow=True, since=self._since):
                    file.write(piece)
                    file.flush()
            code = int(self._wrapped.wait()["StatusCode"])
            self._how = how_it_ended(SIGNALLED - code if code > SIGNALLED else code)
        except docker.errors.NotFound:
            self._how = "was removed"
        except (docker.errors.DockerException, OSError) as error:
            self._how = f"is lost to sight: {explained(error)}"
        finally:
            self._ended.set()


class Container(Watched):
    """A container of ours: started, watched, and removed."""

    def __init__(self, plan: Plan, container: DockerContainer, log: Path) -> None:
        self._container = container
        self._stop_signal = plan.stop_signal
        self._polite = False
        self._stopping = threading.Lock()
        self._removed = False
        self.called = str(container.get_wrapped_container().name)
        """Its name in the engine, by which the containers of its network find it."""

        super().__init__(plan.name, container.get_wrapped_container(), log)

    @classmethod
    def start(cls, engine: Engine, plan: Plan, *, port: int, log: Path) -> Container:
        """Start it, published on ``port`` of the loopback interface, and return at once.

        Raises `PortTakenError` when that port is taken, `EngineError` for what else the engine
        refuses, `PartStartError` when its program cannot be started.
        """
        import docker.errors

        container = engine.container(plan.image).with_network_aliases(plan.name)
        container.with_envs(**plan.env).with_command(list(plan.command))
        container.with_name(f"pooldrill-{engine.run}-{plan.called or plan.name}")
        # The type in testcontainers' signature leaves out the engine's form with an address.
        published: dict[str, Any] = container.ports
        published[f"{plan.port}/tcp"] = (LOOPBACK, port)
        for volume, place in plan.volumes.items():
            container.with_volume_mapping(volume, place, "rw")
        container.tmpfs.update(plan.tmpfs)
        for path, text in plan.files.items():
            container.with_copy_into_container(text.encode(), path)
        container.with_kwargs(
            **plan.options,
            labels={**plan.labels, **engine.labels},
            detach=True,
            stop_signal=plan.stop_signal.name,
        )
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with without_ryuk():
                container.start()
        except (docker.errors.DockerException, OSError) as error:
            with contextlib.suppress(docker.errors.DockerException, OSError):
                container.stop()
            raise _refused(plan, port, error) from error
        return cls(plan, container, log)

    def write(self, files: Mapping[str, str]) -> None:
        """Put files into it while it runs, by their paths. Raises `EngineError`."""
        with engine_errors(f"the files of {self.name}"):
            for path, text in files.items():
                self._container.copy_into_container(text.encode(), path)

    def ask_to_stop(self) -> None:
        """Send the stop signal and return; `stop` does the waiting."""
        self.expect_end()
        self.send(self._stop_signal)

    def stop(self, within_s: float) -> bool:
        """End it, politely for ``within_s`` seconds (whole ones; less is at once), and remove it.

        Returns whether it ended by itself. May be called again; never fails: what the engine does
        not do now is done when it is closed, or behind the harness.
        """
        import docker.errors

        self.expect_end()
        with self._stopping:
            if self._removed:
                return self._polite
            with contextlib.suppress(docker.errors.DockerException, OSError):
                if within_s >= 1 and self.alive():
                    self._wrapped.stop(timeout=int(within_s))
                    self._polite = self._ended.wait(LOG_ENDS_S) and "SIGKILL" not in self._how
                self._wrapped.remove(force=True, v=True)
                self._removed = True
        self._follower.join(LOG_ENDS_S)
        self._container.get_docker_client().client.close()
        return self._polite


def _refused(plan: Plan, port: int, error: Exception) -> Exception:
    text = explained(error)
    if any(words in text for words in PORT_TAKEN):
        return PortTakenError(
            f"{plan.name} cannot listen on {LOOPBACK}:{port}: {text}",
            remedy="Stop what listens there, or leave the port out to have a free one chosen.",
        )
    if "OCI runtime" in text or "executable file not found" in text:
        return PartStartError(f"{plan.name} ({plan.image}) could not be started: {text}")
    return EngineError(
        f"{plan.name} ({plan.image}) could not be started: {text}",
        remedy="Ask the engine's own log, or leave --stack docker out.",
    )
