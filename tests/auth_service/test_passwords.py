"""Verifying takes as long as it should, and holds its thread for it."""

from __future__ import annotations

import asyncio
from threading import Event
from time import monotonic

import pytest

from auth_service.passwords import Passwords, password_hasher
from auth_service.settings import HashSettings
from tests.auth_service.fake_pool import CHEAP_HASH

pytestmark = pytest.mark.anyio

HOUR_MS = 3_600_000


def slow(latency_ms: float) -> HashSettings:
    return CHEAP_HASH.model_copy(update={"latency_ms": latency_ms})


@pytest.fixture(scope="module")
def known_hash() -> str:
    return password_hasher(CHEAP_HASH).hash("secret")


@pytest.mark.parametrize("password", ["secret", "wrong"])
@pytest.mark.parametrize("known", [True, False])
async def test_no_result_comes_before_the_latency(
    known_hash: str, known: bool, password: str
) -> None:
    """Neither a match nor a mismatch, nor the answer to who has no account."""
    passwords = Passwords(slow(40))
    began_s = monotonic()
    matches = await passwords.verify(known_hash if known else None, password)
    assert monotonic() - began_s >= 0.04
    assert matches == (known and password == "secret")
    passwords.close()


async def test_the_latency_holds_the_thread(known_hash: str) -> None:
    """Three verifications on one thread take three latencies: they queue, as real hashes do."""
    passwords = Passwords(slow(30))
    began_s = monotonic()
    await asyncio.gather(*(passwords.verify(known_hash, "secret") for _ in range(3)))
    assert monotonic() - began_s >= 3 * 0.03
    passwords.close()


@pytest.mark.parametrize(("hashing_s", "rest_s"), [(0.125, [0.375]), (0.5, []), (0.75, [])])
def test_only_the_rest_of_the_latency_is_waited_for(
    known_hash: str, monkeypatch: pytest.MonkeyPatch, hashing_s: float, rest_s: list[object]
) -> None:
    """It is a minimum, not a surcharge."""
    waited: list[float | None] = []

    class Closed(Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout)
            return False

    monkeypatch.setattr("auth_service.passwords.Event", Closed)
    passwords = Passwords(slow(500))
    passwords._nobodys_hash.result()
    clock = iter([100.0, 100.0 + hashing_s])
    monkeypatch.setattr("auth_service.passwords.monotonic", lambda: next(clock))
    assert passwords._matches(known_hash, "secret")
    assert waited == rest_s
    passwords.close()


async def test_closing_ends_a_latency(known_hash: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that is told to end must not outlive its drain by a latency."""
    waiting = Event()

    class Closed(Event):
        def wait(self, timeout: float | None = None) -> bool:
            waiting.set()
            return super().wait(timeout)

    monkeypatch.setattr("auth_service.passwords.Event", Closed)
    passwords = Passwords(slow(HOUR_MS))
    verifying = asyncio.create_task(passwords.verify(known_hash, "secret"))
    try:
        assert await asyncio.to_thread(waiting.wait, 10), "the verification is at its latency"
        assert not verifying.done()
    finally:
        passwords.close()
    async with asyncio.timeout(10):
        assert await verifying
