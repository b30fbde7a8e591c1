"""Nothing outlives the harness: the guard ends what a killed harness left behind.

``kill -9`` leaves the harness no moment to clear up, so a small process of its own does it
(`guard_process`). Two other mechanisms were weighed. ``PR_SET_PDEATHSIG`` fires when the *thread*
that forked ends, and the stack starts its parts from short-lived threads; it also exists on Linux
only. End of file on a child's standard input works for our own service and gateway, and is used
there on top, but PostgreSQL and Prometheus know nothing of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

SCRIPT = Path(__file__).with_name("guard_process.py")


class Guard:
    """Tells the guard process which process groups, commands and folders are the harness's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: dict[int, int] = {}
        self._folders: list[str] = []
        self._commands: list[str] = []

    @property
    def pid(self) -> int | None:
        """The guard process's id, once something is guarded."""
        return None if self._process is None else self._process.pid

    def add(self, group: int, stop_signal: int) -> None:
        """Guard a process group, to be asked to end with ``stop_signal``."""
        with self._lock:
            self._groups[group] = int(stop_signal)
            self._tell(f"add {group} {int(stop_signal)}")

    def drop(self, group: int) -> None:
        """The group has ended; its number may soon be somebody else's."""
        with self._lock:
            if self._groups.pop(group, None) is not None:
                self._tell(f"drop {group}")

    def add_folder(self, folder: Path) -> None:
        """Remove this temporary folder if the harness cannot do it any more."""
        with self._lock:
            self._folders.append(str(folder))
            self._tell(f"folder {folder}")

    def drop_folder(self, folder: Path) -> None:
        """The folder was removed."""
        with self._lock:
            if str(folder) in self._folders:
                self._folders.remove(str(folder))
                self._tell(f"keep {folder}")

    def add_command(self, argv: Sequence[str]) -> None:
        """Run this command, in `/`, if the harness cannot clear up any more.

        For what is no process of ours: containers, what we made in somebody's database. It runs
        with the environment of now, when all groups are gone and before the folders go, beside the
        other commands, for twenty seconds at most. Secrets do not belong into it: any user of the
        machine can read the words of a command. A guarded file may hold them.
        """
        with self._lock:
            self._commands.append(json.dumps(list(argv)))
            self._tell(f"command {self._commands[-1]}")

    def drop_command(self, argv: Sequence[str]) -> None:
        """There is nothing left for this command to do."""
        command = json.dumps(list(argv))
        with self._lock:
            if command in self._commands:
                self._commands.remove(command)
                self._tell(f"forget {command}")

    def close(self) -> None:
        """Let go of the guard process, which then ends all that is still guarded, and itself."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def _tell(self, order: str) -> None:
        if self._process is None or self._process.poll() is not None:
            self._start()  # knows the whole state already, this order included
            return
        try:
            self._write(order + "\n")
        except OSError:
            self._start()

    def _start(self) -> None:
        # Its own session: a Ctrl-C or a kill of the harness's whole group must not take it along.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SCRIPT), "--guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        orders = [f"add {group} {number}" for group, number in self._groups.items()]
        orders += [f"command {command}" for command in self._commands]
        orders += [f"folder {folder}" for folder in self._folders]
        self._write("".join(f"{order}\n" for order in orders))

    def _write(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode(errors="surrogateescape"))
        self._process.stdin.flush()


_guards: dict[int, Guard] = {}
_guards_lock = threading.Lock()


def guard() -> Guard:
    """The guard of this process; a forked copy of the harness gets one of its own."""
    with _guards_lock:
        return _guards.setdefault(os.getpid(), Guard())
