"""The service's HTTP interface, on a fake pool and on a real database."""

from __future__ import annotations

import asyncio
import logging

import pytest

from auth_service.app import MAX_BODY_BYTES, SeldomLog
from auth_service.database_errors import REASONS
from auth_service.login import Credentials, InvalidRequest
from auth_service.passwords import Passwords
from auth_service.problems import KINDS
from auth_service.service_metrics import FAILURES
from tests.auth_service.deployed_service import SOMEWHERE, Deploy, eventually
from tests.auth_service.fake_pool import FakeDatabase, FakePool

pytestmark = pytest.mark.anyio


async def test_a_login_opens_a_session_that_a_logout_ends(
    deploy: Deploy, database: FakeDatabase
) -> None:
    """Login, session, logout, and the session is gone; the token is stored hashed."""
    async with deploy(session_ttl_s=120) as service:
        answer = await service.login()
        assert answer.status_code == 200
        token = answer.json()["token"]
        assert answer.json() == {"token": token, "expires_in": 120}
        assert token.encode() not in database.sessions
        headers = {"authorization": f"Bearer {token}"}
        session = await service.client.get("/session", headers=headers)
        assert (session.status_code, session.json()) == (
            200,
            {"username": "user000003", "expires_in": 120},
        )
        logout = await service.client.post("/logout", headers=headers)
        assert (logout.status_code, logout.content) == (204, b"")
        for method, path in (("GET", "/session"), ("POST", "/logout")):
            gone = await service.client.request(method, path, headers=headers)
            assert (gone.status_code, gone.json()["code"]) == (401, "session_unknown")


@pytest.mark.parametrize("implementation", ["sqlalchemy-async", "psycopg-pool", "none"])
async def test_the_same_on_a_real_database(deploy_on_postgres: Deploy, implementation: str) -> None:
    """The SQL is right on every kind of pool."""
    pool = {"implementation": implementation}
    async with deploy_on_postgres(pool=pool, session_ttl_s=120, work_ms=1) as service:
        answer = await service.login()
        assert answer.status_code == 200, answer.text
        headers = {"authorization": f"Bearer {answer.json()['token']}"}
        session = await service.client.get("/session", headers=headers)
        assert session.json()["username"] == "user000003"
        assert session.json()["expires_in"] in (119, 120)
        assert (await service.client.post("/logout", headers=headers)).status_code == 204
        assert (await service.client.get("/session", headers=headers)).status_code == 401
        assert (await service.login(password="wrong")).json()["code"] == "invalid_credentials"
        assert (await service.login(username="nobody")).json()["code"] == "invalid_credentials"


async def test_an_expired_session_is_unknown(deploy_on_postgres: Deploy) -> None:
    """The database's clock decides."""
    async with deploy_on_postgres(session_ttl_s=1e-6) as service:
        token = (await service.login()).json()["token"]
        headers = {"authorization": f"Bearer {token}"}
        assert (await service.client.get("/session", headers=headers)).status_code == 401
        assert (await service.client.post("/logout", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("username", "password"), [("user000003", "correct horse 4"), ("nobody", "correct horse 3")]
)
async def test_wrong_credentials_look_alike(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, username: str, password: str
) -> None:
    """Unknown user and wrong password get the same answer, after the same verification."""
    verified: list[str] = []
    matches = Passwords._matches

    def watched(self: Passwords, password_hash: str | None, password: str) -> bool:
        verified.append(password)
        return matches(self, password_hash, password)

    monkeypatch.setattr(Passwords, "_matches", watched)
    async with deploy() as service:
        answer = await service.login(username, password)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {
            "type": "urn:pooldrill:problem:invalid_credentials",
            "title": KINDS["invalid_credentials"].title,
            "status": 401,
            "detail": "Wrong username or password.",
            "code": "invalid_credentials",
        }
        assert verified == [password]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"username": "user000003"}',
        b'{"username": 3, "password": "canary"}',
        b'{"username": "", "password": "canary"}',
        b'{"username": "user\\u0000", "password": "canary"}',
        b'{"username": "\\ud800", "password": "canary"}',
        b'{"username": "user000003", "password": ["canary"]}',
        b"\xff\xfe",
        b'{"username": "user000003", "password": "' + b"canary" * 400 + b'"}',
        b" " * (MAX_BODY_BYTES + 1),
    ],
)
async def test_a_body_that_cannot_be_understood_is_refused(deploy: Deploy, body: bytes) -> None:
    """422 with the reason, which does not repeat what was sent, and no connection taken."""
    async with deploy() as service:
        answer = await service.client.post("/login", content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["detail"]
        assert "canary" not in answer.text
        counted = await service.metric("auth_logins_total", reason="invalid_request")
        assert counted == 1


def test_all_problems_of_a_body_are_named() -> None:
    """Whoever sent it can mend it in one go."""
    with pytest.raises(InvalidRequest, match=r"username: .*; password: "):
        Credentials.parse(b'{"username": 1, "password": 2}')


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/login/", 404, "not_found"),
        ("GET", "/login", 405, "method_not_allowed"),
        ("DELETE", "/session", 405, "method_not_allowed"),
        ("GET", "/session", 401, "session_unknown"),
    ],
)
async def test_errors_are_problem_documents(
    deploy: Deploy, method: str, path: str, status: int, code: str
) -> None:
    """Also those that the router finds."""
    async with deploy() as service:
        answer = await service.client.request(method, path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.json()["code"] == code
        assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic abc", "abc"])
async def test_no_token_is_no_session(deploy: Deploy, pool: FakePool, authorization: str) -> None:
    """A request without a token is answered without the database."""
    async with deploy() as service:
        before = pool.checkouts
        headers = {"authorization": authorization}
        assert (await service.client.get("/session", headers=headers)).status_code == 401
        assert pool.checkouts == before


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/session", "/nowhere"])
async def test_every_response_names_its_replica(deploy: Deploy, path: str) -> None:
    """Errors as well as answers."""
    async with deploy(replica="replica-7") as service:
        assert (await service.client.get(path)).headers["x-replica"] == "replica-7"


async def test_the_work_is_done_in_the_database(deploy: Deploy, database: FakeDatabase) -> None:
    """``work_ms`` becomes seconds of pg_sleep; 0 becomes no statement."""
    async with deploy(work_ms=25) as service:
        await service.login()
    async with deploy() as service:
        await service.login()
    assert database.worked_s == [0.025]


async def test_an_exhausted_pool(deploy: Deploy, pool: FakePool) -> None:
    """503 with Retry-After and the pool's state; the service is alive, and ready again after."""
    async with deploy(retry_after_s=7) as service:
        taken = [await pool.acquire() for _ in range(5)]
        waiting = asyncio.create_task(service.login())

        async def one_waits() -> bool:
            return pool.state().pending == 1

        await eventually("a login waits for a connection", one_waits)
        unready = await service.client.get("/readyz")
        assert unready.status_code == 503
        assert unready.json()["reason"] == "pool_exhausted"
        assert unready.json()["pool"] == {
            "name": "primary",
            "used": 5,
            "idle": 0,
            "pending": 1,
            "limit": 5,
        }
        assert (await service.client.get("/healthz")).status_code == 200
        assert await service.metric("auth_http_requests_in_flight") == 1
        answer = await waiting
        assert (answer.status_code, answer.json()["code"]) == (503, "pool_exhausted")
        assert answer.headers["retry-after"] == "7"
        assert "used=5" in answer.json()["detail"]
        assert await service.metric("auth_logins_total", reason="pool_exhausted") == 1
        assert await service.metric("auth_http_requests_in_flight") == 0
        for connection in taken:
            await pool.release(connection)
        assert (await service.client.get("/readyz")).json()["status"] == "ready"
        assert (await service.login()).status_code == 200


async def test_a_database_that_breaks_and_comes_back(
    deploy: Deploy, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 while it is away; the service asks by itself until it is back, without any traffic."""
    monkeypatch.setattr("auth_service.readiness.RETRY_S", 0.01)
    async with deploy() as service:
        assert (await service.client.get("/readyz")).status_code == 200
        database.broken = True
        answer = await service.login()
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert "fake" not in answer.text
        unready = await service.client.get("/readyz")
        assert (unready.status_code, unready.json()["reason"]) == (503, "database_unavailable")
        database.broken = False

        async def ready() -> bool:
            return (await service.client.get("/readyz")).status_code == 200

        await eventually("the service is ready again", ready)
        assert await service.metric("auth_logins_total", reason="database_unavailable") == 1
        assert await service.metric("auth_database_errors_total", reason="other") == 1


async def test_a_service_starts_without_its_database(deploy_on_postgres: Deploy) -> None:
    """It is alive, not ready, and says so to whoever logs in."""
    nowhere = SOMEWHERE.replace("localhost:5432", "127.0.0.1:1")
    async with deploy_on_postgres(database_url=nowhere) as service:
        assert (await service.client.get("/healthz")).status_code == 200
        unready = await service.client.get("/readyz")
        assert (unready.status_code, unready.json()["reason"]) == (503, "database_unavailable")
        assert (await service.login()).json()["code"] == "database_unavailable"


async def test_an_unexpected_error_is_a_problem_too(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500 without a word about the cause, which is in the log."""

    async def broken(*_: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr("auth_service.accounts.find_user", broken)
    async with deploy() as service:
        answer = await service.login()
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "canary" not in answer.text
        assert "canary" in caplog.text
        assert await service.metric("auth_logins_total", reason="internal") == 1


async def test_a_cancelled_login_is_counted_and_gives_its_connection_back(
    deploy: Deploy, pool: FakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the end of a drain cuts off leaves no connection behind."""
    reached = asyncio.Event()

    async def stuck(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("auth_service.accounts.find_user", stuck)
    async with deploy() as service:
        login = asyncio.create_task(service.login())
        await reached.wait()
        assert len(pool.out) == 1
        login.cancel()
        with pytest.raises(asyncio.CancelledError):
            await login
        assert len(pool.out) == 0
        assert await service.metric("auth_logins_total", reason="cancelled") == 1
        assert await service.metric("auth_http_requests_in_flight") == 0


async def test_a_client_that_leaves_before_its_body_is_no_error(
    deploy: Deploy, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted as cancelled and gets no answer."""
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/login",
        "headers": [],
        "query_string": b"",
    }
    async with deploy() as service:
        await service.app(scope, receive, send)  # type: ignore[arg-type]
        assert sent == []
        assert await service.metric("auth_logins_total", reason="cancelled") == 1
    assert "failed" not in caplog.text


async def test_every_series_exists_before_its_first_event(deploy: Deploy) -> None:
    """A counter that appears with its first event has no increase to show for it."""
    async with deploy() as service:
        assert await service.metric("auth_logins_total", outcome="success", reason="ok") == 0
        for reason in FAILURES:
            value = await service.metric("auth_logins_total", outcome="failure", reason=reason)
            assert value == 0
        for reason in REASONS:
            assert await service.metric("auth_database_errors_total", reason=reason) == 0
        assert await service.metric("auth_http_requests_in_flight") == 0
        assert await service.metric("auth_connections_not_returned_total") == 0
        assert await service.metric("auth_login_duration_seconds_count") == 0
        assert await service.metric("process_cpu_seconds_total") > 0


@pytest.mark.parametrize("timeout_s", [0.5, 30, 90])
async def test_the_duration_histogram_reaches_past_two_waits(
    deploy: Deploy, timeout_s: float
) -> None:
    """A login may wait for a connection twice, and its quantiles must still be told."""
    async with deploy(pool={"timeout_s": timeout_s}) as service:
        text = (await service.client.get("/metrics")).text
        bounds = [
            float(line.split('le="')[1].split('"')[0])
            for line in text.splitlines()
            if line.startswith("auth_login_duration_seconds_bucket")
        ]
        assert sorted(bounds)[-2] > 2 * timeout_s


async def test_the_release_is_told(deploy: Deploy) -> None:
    """A deploy shows where everything else is measured."""
    async with deploy() as service:
        assert await service.metric("auth_build_info", release="1") == 1
    async with deploy(release=12) as service:
        assert await service.metric("auth_build_info", release="12") == 1


async def test_applications_share_nothing(deploy: Deploy, database: FakeDatabase) -> None:
    """Two in one process count for themselves."""
    async with deploy() as one, deploy(on=FakePool(database)) as other:
        await one.login()
        assert await one.metric("auth_logins_total", reason="ok") == 1
        assert await other.metric("auth_logins_total", reason="ok") == 0


async def test_the_lifespan_opens_and_closes_the_pool(deploy: Deploy, pool: FakePool) -> None:
    """The pool is open exactly while the service runs."""
    assert not pool.opened
    async with deploy():
        assert pool.opened
    assert not pool.opened


def test_a_storm_of_failures_is_one_line_a_second(caplog: pytest.LogCaptureFixture) -> None:
    """The line says how many it stands for."""
    now = [100.0]
    log = SeldomLog(clock=lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            log.warning("pool_exhausted", "no connection")
        now[0] += 1.0
        log.warning("pool_exhausted", "no connection")
    assert [record.count for record in caplog.records] == [1, 50]  # type: ignore[attr-defined]


def test_problem_kinds_have_a_code_each() -> None:
    """The code is the key by which everybody tells problems apart."""
    assert all(code == kind.code for code, kind in KINDS.items())
