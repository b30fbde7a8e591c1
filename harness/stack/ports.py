"""Loopback TCP ports: finding a free one, refusing a taken one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from harness.errors import PortTakenError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port that was free a moment ago.

    For programs that cannot bind port 0 and say what they got. Somebody else may take the port
    before the program does: whoever calls this tries again with another one then.
    """
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, what: str, *, host: str = LOOPBACK) -> int:
    """The port itself; `PortTakenError` when something listens on it already at ``host``."""
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT is free for them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTakenError(
                f"{what} cannot listen on {host}:{port}: {error.strerror}",
                remedy="Stop what listens there, or leave the port out to have a free one chosen.",
            ) from error
    return port


@contextmanager
def held(port: int) -> Iterator[None]:
    """Nobody is given the port inside, and nobody listens on it: connections are refused.

    Where it cannot be held it is left to its luck.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            holder.bind((LOOPBACK, port))
        yield
