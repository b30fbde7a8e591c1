"""The replicas as a set: launched together, replaced one by one, ended together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType

import httpx

from harness.errors import InfrastructureError, PartStartError, UsageError
from harness.incident import ServiceConfig
from harness.stack.gateway import GatewayControl, Upstream
from harness.stack.process import wait_until
from harness.stack.service import Replica, ReplicaHome

LAST_SCRAPE_S = 1.3
"""A drained replica stays this long, so that the one-second scrapes see its last counters."""

STOP_S = 1.5
PREFIX = "replica"
"""A serving replica is called so and has a number; backups are called otherwise."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The replicas at one moment.

    ``current`` serve, by name; ``retiring`` were replaced and work off what they have.
    """

    current: Mapping[str, Replica] = field(default_factory=dict)
    retiring: tuple[Replica, ...] = ()


class Replicas:
    """The service's processes by name. Several may change at once, each once at a time.

    ``moved`` is called whenever an address has come or gone. When ``cancelled`` is set nothing
    new is started any more.
    """

    def __init__(
        self,
        *,
        client: httpx.Client,
        home: ReplicaHome,
        cancelled: threading.Event,
        moved: Callable[[], None],
    ) -> None:
        self.home = home
        """Where they run; another one may be set before the first is launched."""

        self._client = client
        self._cancelled = cancelled
        self._moved = moved
        self._changing: dict[str, threading.Lock] = {}
        self._adding = threading.Lock()
        self._lock = threading.Lock()
        """For what follows: held for moments only."""
        self._shown = Shown()
        self._launched: list[Replica] = []

    @property
    def shown(self) -> Shown:
        """Those that serve and those that retire, at one moment."""
        return self._shown

    @property
    def current(self) -> Mapping[str, Replica]:
        """Those that serve now; a snapshot."""
        return self._shown.current

    def launch(self, name: str, service: ServiceConfig, dsn: str) -> Replica:
        """Start a process and return at once. It serves nobody yet."""
        # Counted by launches, not by successes: a process that failed has left its announcement.
        with self._lock:
            generation = 1 + sum(launched.name == name for launched in self._launched)
        replica = self.home.launch(name, service, dsn, generation)
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

    def serve(self, replica: Replica, *, retiring: Replica | None = None) -> None:
        """From now on this is the replica of its name; ``retiring`` works off what it has.

        Both at once: nobody sees the old process under two names, or for a moment under none.
        """
        with self._lock:
            current = {**self._shown.current, replica.name: replica}
            leaving = (*self._shown.retiring, *([retiring] if retiring else []))
            self._shown = Shown(MappingProxyType(current), leaving)
        self._moved()

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
        with self._change(name):
            old = self._get(name)
            new = self.launch(name, service, dsn)
            self.await_ready(new)
            control.set_url(name, new.url)
            self.serve(new, retiring=old)
            try:
                _drain(old, control, drain_s)
                self._cancelled.wait(LAST_SCRAPE_S)
                old.stop()
            finally:
                self._retired(old)
            return new

    @contextmanager
    def adding(self) -> Iterator[str]:
        """The name that the next replica gets; no other change happens inside."""
        with self._adding:
            numbers = [
                int(number)
                for name in self.current
                for prefix, _, number in [name.rpartition("-")]
                if prefix == PREFIX
            ]
            yield f"{PREFIX}-{max(numbers, default=0) + 1}"

    def add(self, name: str, service: ServiceConfig, dsn: str, control: GatewayControl) -> Replica:
        """Start one more and give it its share of the users, when it is ready."""
        new = self.launch(name, service, dsn)
        self.await_ready(new)
        upstream = Upstream(name=name, url=new.url, weight=service.weight(name))
        try:
            control.upstreams([*control.state().upstreams, upstream])
        except BaseException:
            new.stop()
            raise
        self.serve(new)
        return new

    def restart(
        self, name: str, dsn: str, control: GatewayControl, service: ServiceConfig | None = None
    ) -> Replica:
        """End the old process, then start one as it was, or with another configuration."""
        with self._change(name):
            old = self._get(name)
            old.stop()
            new = self.launch(name, service or old.config, dsn)
            self.await_ready(new)
            control.set_url(name, new.url)
            self.serve(new)
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
        current = self.current
        if name not in current:
            raise UsageError(f"no replica is called {name}: {', '.join(sorted(current))}")
        return current[name]

    def _change(self, name: str) -> threading.Lock:
        """Held while the replica of this name changes."""
        with self._lock:
            return self._changing.setdefault(name, threading.Lock())

    def _retired(self, old: Replica) -> None:
        with self._lock:
            leaving = tuple(replica for replica in self._shown.retiring if replica is not old)
            self._shown = Shown(self._shown.current, leaving)
        self._moved()


def _drain(old: Replica, control: GatewayControl, within_s: float) -> None:
    """Wait until the gateway waits for nothing from ``old``; not for ever."""
    old.child.expect_end()

    def drained() -> bool:
        return not old.child.alive() or not control.state().in_flight.get(old.url)

    with suppress(PartStartError):  # the time is up: what is left is cut off
        wait_until(f"{old.name} to drain", drained, timeout_s=within_s, poll_s=0.05)
