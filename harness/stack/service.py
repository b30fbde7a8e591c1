"""The service's replicas: one process each, started from a `ServiceConfig` where it is at home."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from harness.errors import PartStartError
from harness.incident import HashConfig, ServiceConfig
from harness.stack.announced import (
    await_announcement,
    await_http,
    clean_environment,
    python_module,
)
from harness.stack.ports import LOOPBACK
from harness.stack.process import Child, Supervised

SERVICE_MODULE = "auth_service"
ACCOUNTS_MODULE = "auth_service.accounts"
SEED_TIMEOUT_S = 120.0
# The process's own drain. A rolling replacement waits longer, but before it sends the signal,
# while the process still serves in full.
DRAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a replica is: for the ``gateway``, and for ``us`` (to scrape it, to see it ready)."""

    gateway: str
    us: str


Locate = Callable[[threading.Event | None], Address]
"""Waits until a replica listens and says where; gives up when the event is set."""


class Replica:
    """One process of the service, wherever it runs.

    ``name`` stays the same when the replica is replaced; ``generation`` counts its processes.
    """

    def __init__(
        self, name: str, config: ServiceConfig, child: Supervised, generation: int, locate: Locate
    ) -> None:
        self.name = name
        self.config = config
        self.child = child
        self.generation = generation
        self._locate = locate
        self._address: Address | None = None

    def await_ready(
        self, client: httpx.Client, *, cancelled: threading.Event | None = None
    ) -> None:
        """Wait until it listens and `/readyz` answers 200; `PartStartError` otherwise."""
        self._address = self._locate(cancelled)
        url = f"{self._address.us}/readyz"
        await_http(client, self.child, url, f"{self.name} to be ready", cancelled=cancelled)

    @property
    def address(self) -> Address:
        """Where it is; known once it was awaited."""
        if self._address is None:
            raise PartStartError(f"{self.name} does not listen yet")
        return self._address

    @property
    def url(self) -> str:
        """Its base URL, as the gateway knows it."""
        return self.address.gateway

    @property
    def metrics_url(self) -> str:
        """Where we find its metrics."""
        return f"{self.address.us}/metrics"

    def stop(self, within_s: float = DRAIN_S + 0.5) -> None:
        """End the process; it finishes what is in flight for `DRAIN_S`."""
        self.child.stop(within_s)


class ReplicaHome(Protocol):
    """Where replicas run."""

    def launch(self, name: str, config: ServiceConfig, dsn: str, generation: int) -> Replica:
        """Start a process and return at once; `Replica.await_ready` waits for it."""
        ...


class Processes:
    """Replicas as processes of this machine, on loopback ports of their own choice."""

    def __init__(self, logs: Path, folder: Path) -> None:
        self._logs = logs
        self._folder = folder

    def launch(self, name: str, config: ServiceConfig, dsn: str, generation: int) -> Replica:
        """Start the process and return at once; `Replica.await_ready` waits for it."""
        announce = self._folder / f"{name}.{generation}.json"
        settings = service_environment(config, name=name, dsn=dsn) | {
            "AUTH_HOST": LOOPBACK,
            "AUTH_PORT": "0",
            "AUTH_ANNOUNCE": str(announce),
            "AUTH_EXIT_WITH_STDIN": "1",
        }
        child = Child(
            name,
            python_module(SERVICE_MODULE),
            log=self._logs / f"{name}.log",
            env=clean_environment(settings),
            hold_stdin=True,
        )

        def locate(cancelled: threading.Event | None) -> Address:
            announced = await_announcement(child, announce, cancelled=cancelled)
            url = f"http://{LOOPBACK}:{announced.port}"
            return Address(url, url)

        return Replica(name, config, child, generation, locate)


def service_environment(config: ServiceConfig, *, name: str, dsn: str) -> dict[str, str]:
    """A service configuration as the ``AUTH_…`` variables of one replica."""
    pool = config.pool
    settings = {
        "AUTH_DATABASE_URL": dsn,
        "AUTH_REPLICA": name,
        "AUTH_RELEASE": str(config.release),
        "AUTH_DRAIN_S": f"{DRAIN_S:g}",
        "AUTH_POOL__IMPLEMENTATION": pool.implementation,
        "AUTH_POOL__NAME": pool.name,
        "AUTH_POOL__SIZE": str(pool.size),
        "AUTH_POOL__MAX_OVERFLOW": str(pool.max_overflow),
        "AUTH_POOL__TIMEOUT_S": _number(pool.timeout_s),
        "AUTH_POOL__RECYCLE_S": "-1" if pool.recycle_s is None else _number(pool.recycle_s),
        "AUTH_POOL__PRE_PING": str(pool.pre_ping).lower(),
        "AUTH_POOL__USE_LIFO": str(pool.use_lifo).lower(),
        "AUTH_WORK_MS": _number(config.work_s * 1000),
        "AUTH_SESSION_TTL_S": _number(config.session_ttl_s),
        "AUTH_CONNECT_TIMEOUT_S": _number(config.connect_timeout_s),
        "AUTH_STATEMENT_TIMEOUT_MS": _number(config.statement_timeout_s * 1000),
        "AUTH_RETRY_AFTER_S": _number(config.retry_after_s),
        "AUTH_DEFECTS": ",".join(config.defects),
    }
    # The service refuses settings that would have no effect, so only those with a meaning go.
    if pool.min_size is not None:
        settings["AUTH_POOL__MIN_SIZE"] = str(pool.min_size)
    if pool.max_waiting:
        settings["AUTH_POOL__MAX_WAITING"] = str(pool.max_waiting)
    if pool.implementation == "sqlalchemy-sync":
        settings["AUTH_POOL__THREADS"] = str(pool.threads)
    if "session-over-teardown" in config.defects:
        settings["AUTH_TEARDOWN_MS"] = _number(config.teardown_s * 1000)
    if config.hash.latency_s > 0:
        settings["AUTH_HASH__LATENCY_MS"] = _number(config.hash.latency_s * 1000)
    return settings | _hash_environment(config.hash)


def seed_accounts(dsn: str, users: int, config: HashConfig, *, log: Path) -> None:
    """Create the service's tables and its users; `PartStartError` when that fails."""
    child = Child(
        "accounts",
        python_module(ACCOUNTS_MODULE, "--users", str(users)),
        log=log,
        env=clean_environment({"AUTH_DATABASE_URL": dsn} | _hash_environment(config)),
    )
    child.finish(SEED_TIMEOUT_S)


def _hash_environment(config: HashConfig) -> dict[str, str]:
    return {
        "AUTH_HASH__TIME_COST": str(config.time_cost),
        "AUTH_HASH__MEMORY_KIB": str(config.memory_kib),
        "AUTH_HASH__PARALLELISM": str(config.parallelism),
        "AUTH_HASH__WORKERS": str(config.workers),
    }


def _number(value: float) -> str:
    """Decimal text without an exponent and without the noise of binary fractions."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
