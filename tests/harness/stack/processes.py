"""What the stack's tests ask of the operating system."""

from __future__ import annotations

import psutil


def is_gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody has reaped yet has ended as well."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def family(pid: int) -> tuple[int, ...]:
    """The process ids of all that the process started, directly or not."""
    return tuple(child.pid for child in psutil.Process(pid).children(recursive=True))
