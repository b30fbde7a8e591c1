"""The gateway's process and a typed client of its control interface."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict

from harness.errors import InfrastructureError
from harness.incident import GatewayConfig
from harness.stack.announced import (
    await_announcement,
    await_http,
    clean_environment,
    python_module,
)
from harness.stack.ports import LOOPBACK
from harness.stack.process import Child, Supervised

NAME = "gateway"
GATEWAY_MODULE = "auth_service.gateway"
DRAIN_S = 1.0
CONTROL_TIMEOUT_S = 3.0
# The gateway is started before the replicas have their ports, so that its import takes place while
# PostgreSQL initialises itself. It is given the right names with the discard port until then.
NOWHERE = f"http://{LOOPBACK}:9"


class _Answer(BaseModel):
    """A part of the gateway's state. Unknown fields are let through: it may say more one day."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Upstream(_Answer):
    """A replica as the gateway sees it."""

    name: str
    url: str
    weight: float = 1.0
    backup: bool = False


class Shedding(_Answer):
    """Load that is turned away; None: no limit."""

    max_in_flight: int | None = None
    rate_per_s: float | None = None


class Redirect(_Answer):
    """Whether everybody is sent to the backup."""

    to_backup: bool = False


class Blocked(_Answer):
    """Networks whose clients are turned away."""

    addresses: tuple[str, ...] = ()


class GatewayState(_Answer):
    """The gateway's whole state."""

    upstreams: tuple[Upstream, ...]
    timeout_s: float
    shedding: Shedding = Shedding()
    redirect: Redirect = Redirect()
    blocked: Blocked = Blocked()
    in_flight: dict[str, int] = {}
    """Requests that an upstream works on, by its URL, former URLs included; absent: none."""


class GatewayControl:
    """Changes the running gateway.

    Each method raises `InfrastructureError` when the gateway refuses or does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=CONTROL_TIMEOUT_S, trust_env=False)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def state(self) -> GatewayState:
        """All that can be changed, as it is now."""
        return GatewayState.model_validate(self._call("GET", "/control"))

    def upstreams(self, upstreams: Iterable[Upstream]) -> None:
        """Replace the list of replicas."""
        self._call("PUT", "/control/upstreams", [upstream.model_dump() for upstream in upstreams])

    def set_url(self, name: str, url: str) -> None:
        """A replica has moved; its users stay its users."""
        self._patch(name, {"url": url})

    def set_weight(self, name: str, weight: float) -> None:
        """Give a replica more or fewer users; 0: none."""
        self._patch(name, {"weight": weight})

    def set_backup(self, name: str, backup: bool) -> None:
        """Make a replica the backup, or an ordinary one."""
        self._patch(name, {"backup": backup})

    def timeout(self, timeout_s: float) -> None:
        """How long a replica may take for a whole exchange."""
        self._call("PUT", "/control/timeout", {"timeout_s": timeout_s})

    def shedding(
        self, *, max_in_flight: int | None = None, rate_per_s: float | None = None
    ) -> None:
        """Turn away what exceeds these; without arguments: nothing."""
        body = {"max_in_flight": max_in_flight, "rate_per_s": rate_per_s}
        self._call("PUT", "/control/shedding", body)

    def redirect(self, to_backup: bool) -> None:
        """Send everybody to the backup, or to the ordinary replicas again."""
        self._call("PUT", "/control/redirect", {"to_backup": to_backup})

    def block(self, addresses: Iterable[str]) -> None:
        """Turn away clients from these networks and no others."""
        self._call("PUT", "/control/blocked", {"addresses": list(addresses)})

    def reconnect(self) -> None:
        """Drop the idle connections to the replicas."""
        self._call("PUT", "/control/reconnect")

    def restore(self, state: GatewayState) -> None:
        """Make everything that can be changed as it was."""
        self.upstreams(state.upstreams)
        self.timeout(state.timeout_s)
        self.shedding(
            max_in_flight=state.shedding.max_in_flight, rate_per_s=state.shedding.rate_per_s
        )
        self.redirect(state.redirect.to_backup)
        self.block(state.blocked.addresses)

    def _patch(self, name: str, body: dict[str, Any]) -> None:
        self._call("PATCH", f"/control/upstreams/{quote(name, safe='')}", body)

    def _call(self, method: Literal["GET", "PUT", "PATCH"], path: str, body: Any = None) -> Any:
        try:
            response = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise InfrastructureError(
                f"the gateway did not answer {method} {path}: {error or type(error).__name__}"
            ) from error
        if not response.is_success:
            raise InfrastructureError(
                f"the gateway refused {method} {path}: {response.status_code} {response.text[:500]}"
            )
        return response.json() if response.content else None


class Gateway:
    """The gateway's process, with its addresses and its control."""

    def __init__(
        self, child: Supervised, port: int, control_port: int, *, host: str = LOOPBACK
    ) -> None:
        self.child = child
        self.url = f"http://{host}:{port}"
        self.control = GatewayControl(f"http://{LOOPBACK}:{control_port}")

    @classmethod
    def start(
        cls,
        config: GatewayConfig,
        replicas: Iterable[str],
        *,
        client: httpx.Client,
        logs: Path,
        folder: Path,
        host: str = LOOPBACK,
        cancelled: threading.Event | None = None,
    ) -> Gateway:
        """Start the gateway for replicas of these names and wait until it is healthy.

        It listens at ``host``, an IPv4 address; its control stays on loopback.
        The replicas' addresses follow through `GatewayControl.upstreams`.
        """
        announce = folder / f"{NAME}.json"
        upstreams = [Upstream(name=name, url=NOWHERE).model_dump() for name in replicas]
        settings = {
            "GATEWAY_UPSTREAMS": json.dumps(upstreams),
            "GATEWAY_TIMEOUT_S": f"{config.timeout_s:g}",
            "GATEWAY_CONNECT_TIMEOUT_S": f"{config.connect_timeout_s:g}",
            "GATEWAY_HOST": host,
            "GATEWAY_ANNOUNCE": str(announce),
            "GATEWAY_EXIT_WITH_STDIN": "1",
            "GATEWAY_DRAIN_S": f"{DRAIN_S:g}",
        }
        child = Child(
            NAME,
            python_module(GATEWAY_MODULE),
            log=logs / f"{NAME}.log",
            env=clean_environment(settings),
            hold_stdin=True,
        )
        try:
            announced = await_announcement(child, announce, cancelled=cancelled)
            if announced.control_port is None:
                raise InfrastructureError("the gateway announced no control port")
            gateway = cls(child, announced.port, announced.control_port, host=host)
            health = f"{gateway.control.url}/healthz"
            await_http(client, child, health, "the gateway to be healthy", cancelled=cancelled)
        except BaseException:
            child.stop(1.0)
            raise
        return gateway

    @property
    def metrics_url(self) -> str:
        """Where its metrics are: on the control port."""
        return f"{self.control.url}/metrics"

    def stop(self, within_s: float = DRAIN_S + 0.5) -> None:
        """End the process."""
        self.control.close()
        self.child.stop(within_s)
