"""The replicas as a set: launched together, replaced one by one, ended together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import httpx

from harness.errors import InfrastructureError, PartStartError, UsageError
from harness.incident import ServiceConfig
from harness.stack.gateway import GatewayControl
from harness.stack.process import wait_until
from harness.stack.service import Replica

LAST_SCRAPE_S = 1.3
"""A drained replica stays this long, so that the one-second scrapes see its last counters."""

STOP_S = 1.5


class Replicas:
    """The service's processes by name; changes happen one after the other.

    ``moved`` is called whenever an address has come or gone. When ``cancelled`` is set nothing
    new is started any more.
    """

    def __init__(
        self,
        *,
        client: httpx.Client,
        logs: Path,
        folder: Path,
        cancelled: threading.Event,
        moved: Callable[[], None],
    ) -> None:
        self._client = client
        self._logs = logs
        self._folder = folder
        self._cancelled = cancelled
        self._moved = moved
        self._changing = threading.RLock()
        self._current: dict[str, Replica] = {}
        self._retiring: list[Replica] = []
        self._launched: list[Replica] = []

    @property
    def current(self) -> Mapping[str, Replica]:
        """Those that serve now; a snapshot."""
        return MappingProxyType(dict(self._current))

    @property
    def retiring(self) -> tuple[Replica, ...]:
        """Those that were replaced and still work off what they have."""
        return tuple(self._retiring)

    def launch(
        self, name: str, service: ServiceConfig, dsn: str, *, generation: int = 1
    ) -> Replica:
        """Start a process and return at once. It serves nobody yet."""
        replica = Replica.launch(
            name, service, dsn=dsn, logs=self._logs, folder=self._folder, generation=generation
        )
        self._launched.append(replica)
        if self._cancelled.is_set():  # `stop` may have looked at the list already
            replica.stop(within_s=0.0)
            raise InfrastructureError(f"{name} was not started: the stack is stopping")
        return replica

    def await_ready(self, replica: Replica) -> None:
        """Wait for a launched process; it is ended when it does not become ready."""
        try:
            replica.await_ready(self._client, cancelled=self._cancelled)
        except BaseException:
            replica.stop(within_s=0.5)
            raise

    def serve(self, replica: Replica) -> None:
        """From now on this is the replica of its name."""
        self._current[replica.name] = replica

    def replace(
        self,
        name: str,
        service: ServiceConfig,
        dsn: str,
        control: GatewayControl,
        *,
        drain_s: float,
    ) -> Replica:
        """Start the new process beside the old one, switch over, drain and end the old one."""
        with self._changing:
            old = self._get(name)
            new = self.launch(name, service, dsn, generation=old.generation + 1)
            self.await_ready(new)
            self._switch(new, control)
            self._retiring.append(old)
            try:
                self._moved()
                _drain(old, control, drain_s)
                self._cancelled.wait(LAST_SCRAPE_S)
                old.stop()
            finally:
                self._retiring.remove(old)
                self._moved()
            return new

    def restart(self, name: str, dsn: str, control: GatewayControl) -> Replica:
        """End the old process, then start the new one with the same configuration."""
        with self._changing:
            old = self._get(name)
            old.stop()
            new = self.launch(name, old.config, dsn, generation=old.generation + 1)
            self.await_ready(new)
            self._switch(new, control)
            return new

    def stop(self) -> None:
        """End every process that was ever launched, side by side."""
        launched = tuple(self._launched)
        for replica in launched:
            replica.child.ask_to_stop()
        deadline = time.monotonic() + STOP_S
        for replica in launched:
            replica.stop(within_s=max(0.0, deadline - time.monotonic()))

    def _get(self, name: str) -> Replica:
        if name not in self._current:
            known = ", ".join(sorted(self._current))
            raise UsageError(f"no replica is called {name}: {known}")
        return self._current[name]

    def _switch(self, new: Replica, control: GatewayControl) -> None:
        control.set_url(new.name, new.url)
        self.serve(new)
        self._moved()


def _drain(old: Replica, control: GatewayControl, within_s: float) -> None:
    """Wait until the gateway waits for nothing from ``old``; not for ever."""
    old.child.expect_end()

    def drained() -> bool:
        return not old.child.alive() or not control.state().in_flight.get(old.url)

    with suppress(PartStartError):  # the time is up: what is left is cut off
        wait_until(f"{old.name} to drain", drained, timeout_s=within_s, poll_s=0.05)
