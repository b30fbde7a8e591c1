"""What befalls the stack for a while: each is a context that always heals when it is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.incident import FailOver, Lasting, LockTable, Signal
from harness.stack import Stack


@contextmanager
def befalling(event: Lasting, stack: Stack) -> Iterator[None]:
    """``event`` holds inside; on leaving it is over, whatever happened meanwhile."""
    match event:
        case Signal():
            with stack.bystander(event):
                yield
        case LockTable():
            with stack.locked_users():
                yield
        case FailOver():
            # The server's absence is the fault, and its return the healing: both are one call.
            stack.restart_database(down_s=event.for_s)
            yield
        case _:
            raise AssertionError(f"no such fault: {event!r}")
