"""The control API: reads and replaces the gateway's state while it serves.

It listens on a port of its own. Each change answers with the whole state, as ``GET /control`` does.
"""

from __future__ import annotations

from typing import Annotated

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from auth_service.gateway.answers import Refusal
from auth_service.gateway.app import Gateway
from auth_service.gateway.metrics import NO_REPLICA, GatewayMetrics
from auth_service.gateway.state import (
    BaseUrl,
    Blocked,
    Frozen,
    Redirect,
    Seconds,
    Shedding,
    State,
    Upstreams,
    Weight,
)
from auth_service.gateway.targets import target_group


class Timeout(Frozen):
    """How long a whole exchange with a replica may take."""

    timeout_s: Seconds


class UpstreamPatch(Frozen):
    """What changes about one upstream: the fields that are set; the defaults are never used."""

    url: BaseUrl = ""
    weight: Weight = 0.0
    backup: bool = False


class UpstreamView(Frozen):
    """An upstream with the requests in flight at each of its URLs, former ones included."""

    name: str
    url: str
    weight: float
    backup: bool
    in_flight: Annotated[dict[str, int], Field(description="requests by URL; absent: none")]


class StateView(Frozen):
    """What ``GET /control`` shows: the state, and who is in flight.

    A replica is drained once its URL is missing from ``in_flight``.
    """

    upstreams: tuple[UpstreamView, ...]
    timeout_s: float
    connect_timeout_s: float
    shedding: Shedding
    redirect: Redirect
    blocked: Blocked
    in_flight: dict[str, int]


def view(gateway: Gateway) -> StateView:
    """The gateway as it stands."""
    state, client = gateway.state, gateway.client
    return StateView(
        upstreams=tuple(
            UpstreamView(**dict(each), in_flight=client.in_flight_by_url(each.name))
            for each in state.upstreams
        ),
        timeout_s=state.timeout_s,
        connect_timeout_s=gateway.connect_timeout_s,
        shedding=state.shedding,
        redirect=state.redirect,
        blocked=state.blocked,
        in_flight=client.in_flight_by_url(),
    )


_UPSTREAMS: TypeAdapter[Upstreams] = TypeAdapter(Upstreams)


class _Control:
    """The handlers; none awaits between reading the state and replacing it: no change is lost."""

    def __init__(self, gateway: Gateway, metrics: GatewayMetrics) -> None:
        self._gateway = gateway
        self._metrics = metrics

    async def show(self, request: Request) -> Response:
        return self._state()

    async def put_upstreams(self, request: Request) -> Response:
        upstreams = _UPSTREAMS.validate_json(await request.body())
        return self._change("upstreams", self._gateway.state.replaced(upstreams=upstreams))

    async def patch_upstream(self, request: Request) -> Response:
        name = request.path_params["name"]
        body = await request.body()
        known = self._gateway.state.by_name
        if name not in known:
            raise Refusal(
                "not_found", f"no upstream is called {name}; there are: {', '.join(known)}"
            )
        patch = UpstreamPatch.model_validate_json(body)
        fields = patch.model_dump(exclude_unset=True)
        if not fields:
            raise Refusal("invalid_request", "give at least one of url, weight, backup")
        return self._change(f"upstreams/{name}", self._gateway.state.patched(name, fields))

    async def put_timeout(self, request: Request) -> Response:
        timeout = Timeout.model_validate_json(await request.body())
        return self._change("timeout", self._gateway.state.replaced(**dict(timeout)))

    async def put_shedding(self, request: Request) -> Response:
        shedding = Shedding.model_validate_json(await request.body())
        return self._change("shedding", self._gateway.state.replaced(shedding=shedding))

    async def put_redirect(self, request: Request) -> Response:
        redirect = Redirect.model_validate_json(await request.body())
        return self._change("redirect", self._gateway.state.replaced(redirect=redirect))

    async def put_blocked(self, request: Request) -> Response:
        blocked = Blocked.model_validate_json(await request.body())
        return self._change("blocked", self._gateway.state.replaced(blocked=blocked))

    async def put_reconnect(self, request: Request) -> Response:
        self._gateway.reconnect()
        return self._state()

    async def targets(self, request: Request) -> Response:
        gateway = self._gateway
        groups = [
            target_group(upstream.name, url, gateway.generations.of(upstream.name, url))
            for upstream in gateway.state.upstreams
            # A replica that was replaced is scraped for as long as it works off what it has.
            for url in dict.fromkeys(
                [upstream.url, *gateway.client.in_flight_by_url(upstream.name)]
            )
        ]
        return JSONResponse([group.model_dump(mode="json") for group in groups])

    async def metrics(self, request: Request) -> Response:
        text = generate_latest(self._metrics.registry)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    async def healthz(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def _change(self, what: str, state: State) -> Response:
        self._gateway.change(what, state)
        return self._state()

    def _state(self) -> Response:
        return JSONResponse(view(self._gateway).model_dump(mode="json"))


def control_app(gateway: Gateway, metrics: GatewayMetrics) -> Starlette:
    """The control API of ``gateway``, with its ``/metrics`` and ``/healthz``."""
    control = _Control(gateway, metrics)
    return Starlette(
        routes=[
            Route("/control", control.show, methods=["GET"]),
            Route("/control/targets", control.targets, methods=["GET"]),
            Route("/control/upstreams", control.put_upstreams, methods=["PUT"]),
            Route("/control/upstreams/{name}", control.patch_upstream, methods=["PATCH"]),
            Route("/control/timeout", control.put_timeout, methods=["PUT"]),
            Route("/control/shedding", control.put_shedding, methods=["PUT"]),
            Route("/control/redirect", control.put_redirect, methods=["PUT"]),
            Route("/control/blocked", control.put_blocked, methods=["PUT"]),
            Route("/control/reconnect", control.put_reconnect, methods=["PUT"]),
            Route("/metrics", control.metrics, methods=["GET"]),
            Route("/healthz", control.healthz, methods=["GET"]),
        ],
        exception_handlers={
            ValidationError: _refused,
            Refusal: _refused,
            HTTPException: _unknown_address,
        },
    )


def _refused(request: Request, error: Exception) -> Response:
    refusal = Refusal.of(error) if isinstance(error, ValidationError) else error
    assert isinstance(refusal, Refusal)
    return Response(refusal.body(), refusal.status, refusal.fields(NO_REPLICA))


def _unknown_address(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    response = _refused(request, Refusal(code, f"{request.method} {request.url.path}"))
    response.headers.update(error.headers or {})
    return response
