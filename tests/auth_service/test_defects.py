"""Each defect really holds its connections the way its mistake does."""

from __future__ import annotations

import psycopg
import pytest

from auth_service.defects import DEFECTS, describe, units_of_work
from auth_service.passwords import Passwords
from tests.auth_service.deployed_service import Deploy
from tests.auth_service.fake_pool import FakePool

pytestmark = pytest.mark.anyio


@pytest.fixture
def during_hash(pool: FakePool, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """For each verified password: connections out, and whether one was in a transaction."""
    seen: list[tuple[int, bool]] = []
    verify = Passwords.verify

    async def watched(self: Passwords, password_hash: str | None, password: str) -> bool:
        seen.append((len(pool.out), any(each.in_transaction for each in pool.out)))
        return await verify(self, password_hash, password)

    monkeypatch.setattr(Passwords, "verify", watched)
    return seen


async def test_without_defects_nothing_is_held_while_hashing(
    pool: FakePool, deploy: Deploy, during_hash: list[tuple[int, bool]]
) -> None:
    """A correct login takes one connection at a time, twice, and hashes with none."""
    async with deploy() as service:
        before = pool.checkouts
        assert (await service.login()).status_code == 200
        assert during_hash == [(0, False)]
        assert (pool.checkouts - before, pool.most_out, len(pool.out)) == (2, 1, 0)


async def test_hash_while_holding(
    pool: FakePool, deploy: Deploy, during_hash: list[tuple[int, bool]]
) -> None:
    """One connection serves the login from the first read to the commit."""
    async with deploy(defects=("hash-while-holding",)) as service:
        before = pool.checkouts
        assert (await service.login()).status_code == 200
        assert during_hash == [(1, False)]
        assert (pool.checkouts - before, len(pool.out)) == (1, 0)
        assert (await service.login(password="wrong")).status_code == 401
        assert len(pool.out) == 0


async def test_idle_in_transaction(
    pool: FakePool, deploy: Deploy, during_hash: list[tuple[int, bool]]
) -> None:
    """The transaction is open during the hash, and over when the login is."""
    async with deploy(defects=("idle-in-transaction",)) as service:
        assert (await service.login()).status_code == 200
        assert (await service.login(password="wrong")).status_code == 401
        assert during_hash == [(1, True), (1, True)]
        assert len(pool.out) == 0


async def test_leak_on_failed_login(pool: FakePool, deploy: Deploy) -> None:
    """A wrong password costs a connection for good; a right one costs none."""
    async with deploy(defects=("leak-on-failed-login",)) as service:
        assert (await service.login()).status_code == 200
        assert len(pool.out) == 0
        for leaked in range(1, 6):
            assert (await service.login(password="wrong")).status_code == 401
            assert len(pool.out) == leaked
            assert await service.metric("auth_connections_not_returned_total") == leaked
        exhausted = await service.login()
        assert exhausted.status_code == 503
        assert exhausted.json()["code"] == "pool_exhausted"


async def test_nested_checkout(pool: FakePool, deploy: Deploy) -> None:
    """A login has two connections out at once, and gives back both."""
    async with deploy(defects=("nested-checkout",)) as service:
        assert (await service.login()).status_code == 200
        assert (pool.most_out, len(pool.out)) == (2, 0)


async def test_nested_checkout_locks_a_pool_of_one(
    deploy: Deploy, pool: FakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many first connections out as there are, nobody gets a second one."""
    monkeypatch.setattr(pool, "_limit", 1)
    async with deploy(defects=("nested-checkout",)) as service:
        assert (await service.login()).json()["code"] == "pool_exhausted"
        assert len(pool.out) == 0


@pytest.mark.parametrize("password", ["correct horse 3", "wrong"])
async def test_session_over_teardown(
    pool: FakePool,
    deploy: Deploy,
    during_hash: list[tuple[int, bool]],
    monkeypatch: pytest.MonkeyPatch,
    password: str,
) -> None:
    """The request's connection is out while its response is sent and its teardown runs."""
    during_teardown: list[int] = []

    async def teardown(seconds: float) -> None:
        assert seconds == pytest.approx(0.2)
        during_teardown.append(len(pool.out))

    monkeypatch.setattr("auth_service.defects.sleep", teardown)
    async with deploy(defects=("session-over-teardown",), teardown_ms=200) as service:
        before = pool.checkouts
        await service.login(password=password)
        assert (during_hash, during_teardown) == ([(1, False)], [1])
        assert (pool.checkouts - before, pool.most_out, len(pool.out)) == (1, 1, 0)


async def test_a_teardown_comes_after_the_response(pool: FakePool, deploy: Deploy) -> None:
    """The last byte of the answer is sent with the connection still out."""
    out_when_sent: list[int] = []

    async def receive() -> dict[str, object]:
        return {
            "type": "http.request",
            "body": b'{"username": "user000003", "password": "correct horse 3"}',
        }

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            out_when_sent.append(len(pool.out))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/login",
        "headers": [],
        "query_string": b"",
    }
    async with deploy(defects=("session-over-teardown",), teardown_ms=0) as service:
        await service.app(scope, receive, send)  # type: ignore[arg-type]
        assert (out_when_sent, len(pool.out)) == ([1], 0)


async def test_all_defects_together(
    pool: FakePool, deploy: Deploy, during_hash: list[tuple[int, bool]]
) -> None:
    """Defects combine: each still does its own, and the login still works."""
    async with deploy(defects=tuple(DEFECTS), teardown_ms=0) as service:
        assert (await service.login()).status_code == 200
        assert (during_hash, pool.most_out, len(pool.out)) == ([(1, True)], 2, 0)
        assert (await service.login(password="wrong")).status_code == 401
        assert len(pool.out) == 1


@pytest.mark.parametrize("name", DEFECTS)
async def test_each_defect_logs_in_on_a_real_pool(deploy_on_postgres: Deploy, name: str) -> None:
    """A defect is a way of holding connections, not a broken login."""
    async with deploy_on_postgres(defects=(name,)) as service:
        answer = await service.login()
        assert answer.status_code == 200, answer.text
        headers = {"authorization": f"Bearer {answer.json()['token']}"}
        session = await service.client.get("/session", headers=headers)
        assert session.json()["username"] == "user000003"
        assert (await service.login(password="wrong")).status_code == 401
        leaked = 1 if name == "leak-on-failed-login" else 0
        used = await service.metric("db_client_connection_count", state="used")
        assert (used, await service.metric("auth_connections_not_returned_total")) == (
            leaked,
            leaked,
        )


async def test_the_server_sees_the_open_transaction(
    deploy_on_postgres: Deploy, seeded_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During the hash, PostgreSQL reports the session as idle in transaction."""
    states: list[object] = []
    verify = Passwords.verify
    with psycopg.connect(seeded_dsn, autocommit=True) as observer:

        async def watched(self: Passwords, password_hash: str | None, password: str) -> bool:
            states.extend(
                observer.execute(
                    "SELECT state FROM pg_stat_activity WHERE application_name = 'idler'"
                ).fetchall()
            )
            return await verify(self, password_hash, password)

        monkeypatch.setattr(Passwords, "verify", watched)
        async with deploy_on_postgres(defects=("idle-in-transaction",), replica="idler") as service:
            assert (await service.login()).status_code == 200
    assert ("idle in transaction",) in states


@pytest.mark.parametrize("name", DEFECTS)
def test_every_defect_says_what_it_does_and_where_it_was_seen(name: str) -> None:
    """The catalogue is documentation as well."""
    assert "Seen in:" in describe(name)


def test_an_unknown_defect_is_refused() -> None:
    """A defect that does not exist cannot be deployed by accident."""
    with pytest.raises(KeyError):
        units_of_work(["no-such-defect"])
