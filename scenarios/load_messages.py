"""What the load's master and its workers say to each other, over Locust's own connection."""

from __future__ import annotations

from typing import Any

LEFT_WITHIN_S = 3.0
"""For the last messages, and for closing the connection behind them."""

PREFIX = "pooldrill-"
"""Before every name, so that none of them is one of Locust's own."""

# To the master.
HELLO = f"{PREFIX}hello"  # name: a worker can be given a shard
LOADED = f"{PREFIX}loaded"  # it has read its shard, and awaits Locust's user
UNABLE = f"{PREFIX}unable"  # why: it cannot or will not play it
READY = f"{PREFIX}ready"  # it only waits for t0
PONG = f"{PREFIX}pong"  # sent_s, monotonic_s, wall_s
LINES = f"{PREFIX}lines"  # batch (counted from 0), lines: a piece of the attempts' CSV
STATUS = f"{PREFIX}status"  # as the load process's status file
ENDED = f"{PREFIX}ended"  # batches (how many), at_s, crashed: nothing follows

# To a worker.
REFUSED = f"{PREFIX}refused"  # why: it is not needed
PING = f"{PREFIX}ping"  # sent_s
SHARD = f"{PREFIX}shard"  # settings (as `SurgeSettings`), arrivals (CSV)
PLAY = f"{PREFIX}play"  # t0_monotonic, by the worker's own clock
FLAGS = f"{PREFIX}flags"  # retries: whether clients may try again
FINISH = f"{PREFIX}finish"  # the end, before its time
DISMISSED = f"{PREFIX}dismissed"  # everything has arrived; nothing more is asked


def send_what_is_left(runner: Any) -> None:
    """Close the connection of a Locust runner once its last messages are out, in at most 1 s."""
    channel = (runner.server if hasattr(runner, "server") else runner.client).socket
    runner.greenlet.kill(block=True)
    channel.close(linger=1000)
    channel.context.term()
