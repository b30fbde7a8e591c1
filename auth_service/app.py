"""The service under test: logins, sessions, and what operators ask it.

``create_app(settings)`` is the whole application; nothing in it is global, so that a process may
hold several. Starlette's part is the routing. ``Edge`` is the one place around every request that
counts it, settles its connections and turns errors into problem documents.

A handler goes on working after its client has left, as ASGI applications do: what a login has
begun it finishes, useful or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from time import monotonic, perf_counter

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auth_service import accounts
from auth_service.database_errors import reason_of
from auth_service.defects import units_of_work
from auth_service.login import (
    Credentials,
    InvalidRequest,
    Login,
    Refused,
    SessionUnknown,
    code_of,
)
from auth_service.passwords import Passwords
from auth_service.pool import DatabaseUnavailable, Pool, PoolExhausted, build_pool
from auth_service.problems import problem_response
from auth_service.readiness import Readiness
from auth_service.service_metrics import ServiceMetrics
from auth_service.settings import Settings
from auth_service.unit_of_work import Checkouts, UnitOfWork

MAX_BODY_BYTES = 4096
CHECKOUTS = "auth_service.checkouts"
"""The key of a request's ``Checkouts`` in its ASGI scope."""

PoolFactory = Callable[[Settings, CollectorRegistry], Pool]

logger = logging.getLogger(__name__)


def pool_from_settings(settings: Settings, registry: CollectorRegistry) -> Pool:
    """The pool that the settings ask for, measured in ``registry``."""
    return build_pool(
        settings.pool,
        settings.database_url.get_secret_value(),
        registry=registry,
        connect_timeout_s=settings.connect_timeout_s,
        statement_timeout_ms=settings.statement_timeout_ms,
        application_name=settings.replica,
    )


def create_app(settings: Settings, *, pool_factory: PoolFactory = pool_from_settings) -> Starlette:
    """The service as an ASGI application; its lifespan opens and closes the pool."""
    registry = CollectorRegistry()
    pool = pool_factory(settings, registry)
    passwords = Passwords(settings.hash)
    service = Service(
        settings=settings,
        pool=pool,
        readiness=Readiness(pool),
        login=Login(passwords, settings.session_ttl_s, settings.work_ms),
        unit_of_work=units_of_work(settings.defects, teardown_s=settings.teardown_ms / 1000),
        metrics=ServiceMetrics(
            registry,
            release=settings.release,
            pool_timeout_s=settings.pool.timeout_s,
            hashes_pending=lambda: passwords.pending,
        ),
    )
    app = Starlette(
        routes=service.routes(),
        middleware=[Middleware(Edge, service=service)],
        exception_handlers={HTTPException: _not_routed},
        lifespan=service.lifespan,
    )
    app.router.redirect_slashes = False
    return app


@dataclass(frozen=True)
class Service:
    """The parts of one application, and its endpoints."""

    settings: Settings
    pool: Pool
    readiness: Readiness
    login: Login
    unit_of_work: Callable[[Checkouts], UnitOfWork]
    metrics: ServiceMetrics

    def routes(self) -> list[Route]:
        """Every address of the service."""
        return [
            Route("/login", self.post_login, methods=["POST"]),
            Route("/logout", self.post_logout, methods=["POST"]),
            Route("/session", self.get_session, methods=["GET"]),
            Route("/healthz", self.get_healthz, methods=["GET"]),
            Route("/readyz", self.get_readyz, methods=["GET"]),
            Route("/metrics", self.get_metrics, methods=["GET"]),
        ]

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """The pool is open inside. A database that is away does not keep the service from starting:

        it answers, says that it is not ready, and asks until the database is there.
        """
        await self.pool.open()
        probe = asyncio.create_task(self.readiness.keep_probing())
        try:
            yield
        finally:
            probe.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probe
            await self.pool.close()
            self.login.passwords.close()

    async def post_login(self, request: Request) -> Response:
        """Open a session."""
        began = perf_counter()
        reason = "internal"
        try:
            credentials = Credentials.parse(await _body(request))
            token = await self.login(credentials, self.unit_of_work(_checkouts(request)))
            reason = "ok"
        except BaseException as error:
            reason = code_of(error)
            raise
        finally:
            self.metrics.login_ended(reason, perf_counter() - began)
        return JSONResponse({"token": token, "expires_in": int(self.settings.session_ttl_s)})

    async def post_logout(self, request: Request) -> Response:
        """End a session."""
        token = _token(request)
        async with _checkouts(request).connection() as connection:
            ended = await accounts.close_session(connection, token)
        if not ended:
            raise SessionUnknown("The token opens no session, or one that has expired.")
        return Response(status_code=204)

    async def get_session(self, request: Request) -> Response:
        """Whose session it is, and how long it lasts."""
        token = _token(request)
        async with _checkouts(request).connection() as connection:
            session = await accounts.find_session(connection, token)
        if session is None:
            raise SessionUnknown("The token opens no session, or one that has expired.")
        return JSONResponse({"username": session.username, "expires_in": int(session.expires_in_s)})

    async def get_healthz(self, request: Request) -> Response:
        """The process lives, and its event loop turns."""
        return JSONResponse({"status": "alive"})

    async def get_readyz(self, request: Request) -> Response:
        """Whether to send traffic here; asked of the books, so that it needs no connection."""
        state = self.pool.metrics.state()
        reason = self.readiness.why_not(state)
        body: dict[str, object] = {"status": "ready"}
        if reason is not None:
            body = {"status": "unready", "reason": reason}
        if state is not None:
            limit = state.limits.open_max
            body["pool"] = {
                "name": self.settings.pool.name,
                "used": state.used,
                "idle": state.idle,
                "pending": state.pending,
                "limit": int(limit) if math.isfinite(limit) else None,
            }
        return JSONResponse(body, status_code=200 if reason is None else 503)

    async def get_metrics(self, request: Request) -> Response:
        """The process's metrics."""
        text = generate_latest(self.metrics.registry)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    def problem(self, error: Exception) -> Response:
        """The answer to a request that ended in ``error``."""
        code = code_of(error)
        detail = "The server met an error it did not expect; its log has more."
        headers: dict[str, str] = {}
        if isinstance(error, Refused | PoolExhausted):
            detail = str(error)
        elif isinstance(error, DatabaseUnavailable):
            detail = "The database cannot be used; the service's log says why."
        if code in ("pool_exhausted", "database_unavailable"):
            headers["retry-after"] = str(self.settings.retry_after_s)
        if code in ("invalid_credentials", "session_unknown"):
            headers["www-authenticate"] = "Bearer"  # RFC 9110, 15.5.2: a 401 must name one
        return problem_response(code, detail, headers=headers)


class Edge:
    """Around every request: ``X-Replica``, the in-flight gauge, its connections, its errors."""

    UNCOUNTED = frozenset({"/metrics", "/healthz", "/readyz"})

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._failures = SeldomLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        checkouts = Checkouts(self._service.pool)
        scope[CHECKOUTS] = checkouts
        counted = scope["path"] not in self.UNCOUNTED
        if counted:
            self._service.metrics.in_flight.inc()
        try:
            await self._answer(scope, receive, send)
        finally:
            try:
                await checkouts.close()
            finally:
                self._service.metrics.not_returned.inc(checkouts.out)
                if counted:
                    self._service.metrics.in_flight.dec()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["x-replica"] = self._service.settings.replica
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except ClientDisconnect:
            return  # it left before it had said what it wants
        except Exception as error:
            self._learn_from(error)
            if started:
                raise
            await self._service.problem(error)(scope, receive, send_named)
        else:
            if scope[CHECKOUTS].answered:
                self._service.readiness.works()

    def _learn_from(self, error: Exception) -> None:
        if isinstance(error, DatabaseUnavailable):
            self._service.metrics.database_failed(reason_of(error))
            self._service.readiness.fails(error)
            self._failures.warning("database_unavailable", str(error))
        elif isinstance(error, PoolExhausted):
            self._failures.warning("pool_exhausted", str(error))
        elif not isinstance(error, Refused):
            logger.error("a request failed", exc_info=error)


class SeldomLog:
    """Warnings at most once a second and code: an outage must not be one of logging as well."""

    EVERY_S = 1.0

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since: dict[str, tuple[float, int]] = {}

    def warning(self, code: str, message: str) -> None:
        """Log now, or be counted in the ``count`` of the next line with this code."""
        now = self._clock()
        last_s, withheld = self._since.get(code, (-math.inf, 0))
        if now - last_s < self.EVERY_S:
            self._since[code] = (last_s, withheld + 1)
            return
        self._since[code] = (now, 0)
        logger.warning("%s", message, extra={"code": code, "count": withheld + 1})


async def _not_routed(request: Request, error: Exception) -> Response:
    """404 and 405, which the router says before any endpoint has a say."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 405:
        detail = f"{path} does not take {request.method}."
        return problem_response("method_not_allowed", detail, headers=error.headers)
    return problem_response("not_found", f"There is nothing at {path}.", headers=error.headers)


def _checkouts(request: Request) -> Checkouts:
    checkouts: Checkouts = request.scope[CHECKOUTS]
    return checkouts


async def _body(request: Request) -> bytes:
    """The whole body.

    Raises:
        InvalidRequest: it is longer than ``MAX_BODY_BYTES``; the rest is not read.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise InvalidRequest(f"The body is longer than {MAX_BODY_BYTES} bytes.")
    return bytes(body)


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise SessionUnknown("The request carries no `Authorization: Bearer TOKEN`.")
    return token.strip()
