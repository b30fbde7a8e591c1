"""When something that is done so often a second is due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

MADE_UP_FOR_S = 0.25
"""A timer that fires late is made up for; a process that stood still for longer has missed what
was due, because a burst of it would be a signal of its own."""


async def ticks(rate_per_s: float) -> AsyncIterator[None]:
    """Come round ``rate_per_s`` times a second, the first time after ``1 / rate_per_s`` s.

    Open loop: tick k is due at begin + k / rate, however long the ticks before it took.
    """
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + 1 / rate_per_s, loop.time() - MADE_UP_FOR_S)
        await asyncio.sleep(due - loop.time())
        yield
