"""Passwords: argon2id, off the event loop, in a bounded number of threads."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from auth_service.settings import HashSettings


def password_hasher(settings: HashSettings) -> PasswordHasher:
    """argon2id with the configured costs."""
    return PasswordHasher(
        time_cost=settings.time_cost,
        memory_cost=settings.memory_kib,
        parallelism=settings.parallelism,
    )


class Passwords:
    """Verifies passwords; ``pending`` of them wait or are being hashed right now.

    argon2 releases the interpreter lock, so ``workers`` threads really hash side by side, on as
    many cores. Whoever comes when all are busy waits in the executor's queue, which has no limit.

    A verification that is done before ``latency_ms`` holds its thread for the rest, whatever its
    result; the wait in the queue does not count.
    """

    def __init__(self, settings: HashSettings) -> None:
        self._latency_s = settings.latency_ms / 1000
        self._closed = Event()
        self._hasher = password_hasher(settings)
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="hash")
        # Off the start-up's path. It is the first in the threads' queue, so nobody waits for it
        # but who comes before it is done.
        self._nobodys_hash = self._threads.submit(self._hasher.hash, secrets.token_urlsafe())
        self.pending = 0

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether ``password`` belongs to ``password_hash``; None stands for an unknown user.

        An unknown user takes as long as a known one: nobody can tell from the time an answer
        takes whether a username exists.
        """
        loop = asyncio.get_running_loop()
        self.pending += 1
        try:
            return await loop.run_in_executor(self._threads, self._matches, password_hash, password)
        finally:
            self.pending -= 1

    def _matches(self, password_hash: str | None, password: str) -> bool:
        began_s = monotonic()
        try:
            return self._hasher.verify(password_hash or self._nobodys_hash.result(), password)
        except VerifyMismatchError:
            return False
        finally:
            rest_s = self._latency_s - (monotonic() - began_s)
            if rest_s > 0:
                # Not time.sleep: the interpreter joins these threads before it ends.
                self._closed.wait(rest_s)

    def close(self) -> None:
        """Let the threads end, latency or not; what still waits in their queue is dropped."""
        self._closed.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
