"""The guard's own process: ends what a vanished harness left running.

A plain script that imports next to nothing, so that it stands within milliseconds and costs a few
megabytes. It reads lines from the pipe on its standard input, of which the harness holds the other
end:

``add PGID SIGNAL``
    guard the process group and, when the time comes, ask it to end with that signal;
``drop PGID``
    the harness has ended the group itself;
``command JSON``, ``forget JSON``
    run, or no longer run, this command (a list of words) after the groups are gone;
``folder PATH``, ``keep PATH``
    remove, or no longer remove, this temporary folder after the commands are done.

End of file on that pipe means that the harness is gone, however it went: the kernel closes the pipe
of a process that was killed. A forked copy of the harness can hold the pipe open, so the parent's
id is looked at as well.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

POLITE_S = 2.0  # from the polite signal to SIGKILL; the whole promise is five seconds
AFTER_KILL_S = 1.0
LOOK_AT_PARENT_S = 0.5
COMMANDS_S = 20.0  # for all commands together, which run side by side


def read_orders(groups: dict[int, int], folders: list[str], commands: list[str]) -> None:
    """Keep the books until the harness is gone."""
    parent = os.getppid()
    pending = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], LOOK_AT_PARENT_S)[0]:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            return
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            order, _, rest = line.decode(errors="surrogateescape").partition(" ")
            if order == "add":
                group, number = rest.split()
                groups[int(group)] = int(number)
            elif order == "drop":
                groups.pop(int(rest), None)
            elif order == "folder":
                folders.append(rest)
            elif order == "keep" and rest in folders:
                folders.remove(rest)
            elif order == "command":
                commands.append(rest)
            elif order == "forget" and rest in commands:
                commands.remove(rest)


def send(group: int, number: int) -> bool:
    """Send the signal to the group; False when nobody is left in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def wait_for_end(groups: dict[int, int], within_s: float) -> dict[int, int]:
    """The groups that are still there after ``within_s`` seconds at most."""
    deadline = time.monotonic() + within_s
    while groups and time.monotonic() < deadline:
        groups = {group: number for group, number in groups.items() if send(group, 0)}
        time.sleep(0.02)
    return groups


def run_commands(commands: list[str]) -> None:
    """Run them side by side; one that cannot be started or takes too long is given up."""
    import json  # only now, as `shutil` below
    import subprocess

    running = []
    for command in commands:
        try:
            running.append(
                subprocess.Popen(
                    json.loads(command),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        except OSError:
            continue
    deadline = time.monotonic() + COMMANDS_S
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


def main() -> None:
    """Guard until the harness is gone, then clear up behind it."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: dict[int, int] = {}
    folders: list[str] = []
    commands: list[str] = []
    read_orders(groups, folders, commands)
    for group, number in groups.items():
        send(group, number)
    left = wait_for_end(groups, POLITE_S)
    for group in left:
        send(group, signal.SIGKILL)
    wait_for_end(left, AFTER_KILL_S)
    if commands:
        run_commands(commands)
    if folders:
        import shutil  # only now: it would be half of the start-up time

        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:] != ["--guard"]:
        sys.exit("This is a part of Pooldrill's stack and is started by it.")
    main()
