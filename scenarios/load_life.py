"""The life of a load process: its signals, its file limit, its memory, its certain end."""

from __future__ import annotations

# Before everything else: importing Locust patches sockets, ssl and signals for gevent.
import locust  # noqa: F401

# isort: split
import gc
import os
import resource
import signal
import sys
from typing import NoReturn

import gevent
import gevent.os
from gevent import monkey
from gevent.event import Event

MAX_IN_PROGRESS = 20_000
"""Arrivals that one process keeps going; further ones are shed, and counted as such."""

FILES_KEPT_FREE = 128
COLLECT_EVERY_OBJECTS = 1_000_000


def raise_file_limit() -> int:
    """Allow as many open files as the system lets us; returns how many sockets that leaves."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_IN_PROGRESS + FILES_KEPT_FREE
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - FILES_KEPT_FREE


def finish_when_told(finished: Event, *, with_stdin: bool) -> None:
    """Set ``finished`` on SIGTERM and SIGINT, and when the pipe on standard input ends."""
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, finished.set)
    if with_stdin:
        gevent.spawn(_finish_with_stdin, finished)


def settle_memory() -> None:
    """Keep the garbage collector from stopping the walk.

    A full collection over 7,000 open attempts takes 0.14 s. The schedule and Locust live to the
    end and attempts make no cycles, so there is next to nothing to collect.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY_OBJECTS)


def exit_at_once(code: int) -> NoReturn:
    """End the process; an orderly exit would first unwind thousands of waiting greenlets."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def exit_within(seconds: float, code: int) -> None:
    """Exit so much later, whatever hangs by then; for a process that has nothing more to keep.

    In a real thread: closing a connection of ZeroMQ's may wait in C, where no greenlet runs.
    """
    start_thread = monkey.get_original("_thread", "start_new_thread")
    sleep = monkey.get_original("time", "sleep")

    def exit_later() -> None:
        sleep(seconds)
        os._exit(code)

    start_thread(exit_later, ())


def _finish_with_stdin(finished: Event) -> None:
    """Finish when the pipe on standard input ends: whoever started us is gone."""
    gevent.os.make_nonblocking(sys.stdin.fileno())
    while gevent.os.nb_read(sys.stdin.fileno(), 4096):
        pass
    finished.set()
