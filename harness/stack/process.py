"""Supervised child processes, and waiting for named conditions."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from harness.errors import InfrastructureError, PartStartError
from harness.stack.guard import guard

T = TypeVar("T")

LOG_TAIL_LINES = 15
POLL_S = 0.02


class Supervised(Protocol):
    """What runs for the stack and may die: a process (`Child`), or a container.

    ``log`` is the file that holds what it printed.
    """

    name: str
    log: Path

    def alive(self) -> bool:
        """Whether it is running."""
        ...

    def died_unexpectedly(self) -> bool:
        """Whether it has ended although nobody asked it to."""
        ...

    def describe_death(self) -> str:
        """How it ended and the end of its log; for errors and events."""
        ...

    def log_tail(self) -> str:
        """The last lines of its log, indented, beginning with a line break; empty for no log."""
        ...

    def expect_end(self) -> None:
        """From now on its end is not a failure."""
        ...

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its first process; nothing happens when it has ended."""
        ...

    def ask_to_stop(self) -> None:
        """Send the stop signal, once, and return; `stop` does the waiting."""
        ...

    def stop(self, within_s: float) -> bool:
        """End it, politely for ``within_s`` seconds; whether it ended by itself."""
        ...


class Child:
    """A process of the stack: its own session, its output in a log file, and a certain end.

    ``name`` is what errors and events call it. ``stop_signal`` asks it to end; with
    ``hold_stdin`` its standard input is a pipe that reaches end of file when the harness goes.
    ``user`` and ``group`` are numeric ids to run as (the harness must be root for that).

    Raises `PartStartError` when the program cannot be started at all.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        hold_stdin: bool = False,
        user: int | None = None,
        group: int | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.stop_signal = stop_signal
        self._stop_lock = threading.Lock()
        self._expected_to_end = False
        self._asked = False
        self._gone = False
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            try:
                self._process = subprocess.Popen(
                    list(argv),
                    stdin=subprocess.PIPE if hold_stdin else subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=None if env is None else dict(env),
                    cwd=cwd,
                    start_new_session=True,
                    user=user,
                    group=group,
                    extra_groups=None if user is None else [],
                )
            except OSError as error:
                raise PartStartError(
                    f"{name} could not be started: {argv[0]}: {error.strerror or error}",
                    remedy="`pooldrill doctor` names the programs that are needed.",
                ) from error
        # A session leader's group has its own id, so no look-up (and no race with its death).
        guard().add(self.pid, stop_signal)

    @property
    def pid(self) -> int:
        """The process's id, which is its process group's as well."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, minus the signal's number when a signal ended it, None while it runs."""
        return self._process.poll()

    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def died_unexpectedly(self) -> bool:
        """Whether it has ended although nobody asked it to."""
        return not self._expected_to_end and not self.alive()

    def describe_death(self) -> str:
        """How it ended and the end of its log; for errors and events."""
        return f"{self.name} {how_it_ended(self.returncode)}{self.log_tail()}"

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines of its log, indented, beginning with a line break; empty for no log."""
        return log_tail(self.log, lines)

    def expect_end(self) -> None:
        """From now on its end is not a failure."""
        self._expected_to_end = True

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone; nothing happens when it has ended."""
        self._process.send_signal(number)

    def kill_group(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process and all of its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def ask_to_stop(self) -> None:
        """Send the stop signal, once, and return; `stop` does the waiting."""
        self.expect_end()
        with self._stop_lock:
            if not self._asked:
                self._asked = True
                self.send(self.stop_signal)

    def stop(self, within_s: float = 3.0) -> bool:
        """Ask it to end, wait for at most ``within_s`` seconds, then kill its whole group.

        Returns whether it ended by itself. May be called again, and from several threads.
        """
        self.ask_to_stop()
        polite = True
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            polite = False
        with self._stop_lock:
            if not self._gone:
                self.kill_group()
                self._process.wait()
                guard().drop(self.pid)
                if self._process.stdin is not None:
                    with contextlib.suppress(OSError):
                        self._process.stdin.close()
                self._gone = True
        return polite

    def finish(self, timeout_s: float) -> None:
        """Wait for a process that is meant to end by itself with exit code 0.

        Raises `PartStartError` with the end of its log when it fails or takes longer.
        """
        self.expect_end()
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise PartStartError(
                f"{self.name} was still running after {timeout_s:g} s{self.log_tail()}"
            ) from None
        finally:
            self.stop(within_s=1.0)
        if code != 0:
            raise PartStartError(self.describe_death())


def how_it_ended(code: int | None) -> str:
    """An exit code in words: minus a signal's number after a signal, None while it runs."""
    if code is None:
        return "is still running"
    return f"ended with exit code {code}" if code >= 0 else f"was ended by {_signal_name(-code)}"


def log_tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log, indented, beginning with a line break; empty for no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    kept = text.strip().splitlines()[-lines:]
    return "".join(f"\n    {line}" for line in kept)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def wait_until(
    what: str,
    condition: Callable[[], T | None],
    *,
    timeout_s: float,
    watching: Iterable[Supervised] = (),
    cancelled: threading.Event | None = None,
    poll_s: float = POLL_S,
    error: type[InfrastructureError] = PartStartError,
) -> T:
    """Wait until ``condition()`` is true, and return what it returned.

    ``what`` completes the sentence "waited 5 s for …". ``watching`` are the parts without
    which the wait is pointless: when one of them has died, the wait ends at once. So it does
    when somebody sets ``cancelled``.

    Raises ``error`` with ``what`` in it, and with the end of the log of each watched child.
    """
    watched = tuple(watching)
    pause = cancelled or threading.Event()
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        for child in watched:
            if not child.alive():
                raise error(f"waited for {what}, but {child.describe_death()}")
        if time.monotonic() >= deadline:
            logs = "".join(f"\n  {child.name}:{child.log_tail()}" for child in watched)
            raise error(f"waited {timeout_s:g} s for {what}{logs}")
        if pause.wait(poll_s):
            raise error(f"the wait for {what} was called off")
