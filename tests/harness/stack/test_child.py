"""Supervised processes: they start or say why not, die with a description, and end for certain."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.errors import InfrastructureError, PartStartError, PortTakenError
from harness.stack.ports import free_port, require_free
from harness.stack.process import Child, wait_until
from tests.harness.stack.processes import is_gone

ENDLESS = "import signal; print('here', flush=True); signal.pause()"
STUBBORN = (
    "import signal, subprocess, sys\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "inner = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
    "print(inner.pid, flush=True)\n"
    "signal.pause()\n"
)


def python(code: str, tmp_path: Path, *, hold_stdin: bool = False) -> Child:
    return Child(
        "part", [sys.executable, "-c", code], log=tmp_path / "part.log", hold_stdin=hold_stdin
    )


def printed(child: Child) -> str:
    return wait_until("its first line", child.log_tail, timeout_s=10, watching=[child])


def test_a_child_runs_until_it_is_stopped(tmp_path: Path) -> None:
    child = python(ENDLESS, tmp_path)
    printed(child)
    assert child.alive()
    assert child.stop()
    assert not child.alive()
    assert not child.died_unexpectedly()
    assert child.stop(), "a second stop changes nothing"


def test_a_child_that_ignores_the_signal_is_killed_with_its_group(tmp_path: Path) -> None:
    child = python(STUBBORN, tmp_path)
    inner = int(printed(child))
    began = time.monotonic()
    assert not child.stop(within_s=0.2)
    assert time.monotonic() - began < 2
    wait_until("the inner process to be gone", lambda: is_gone(inner), timeout_s=5)
    assert child.returncode == -signal.SIGKILL


def test_death_is_described_with_signal_and_log(tmp_path: Path) -> None:
    child = python("import os; print('last words', flush=True); os.abort()", tmp_path)
    wait_until("its death", child.died_unexpectedly, timeout_s=10)
    assert "part was ended by SIGABRT" in child.describe_death()
    assert "last words" in child.describe_death()
    child.stop()


def test_a_program_that_is_not_there_is_a_start_error(tmp_path: Path) -> None:
    with pytest.raises(PartStartError, match="part could not be started: /no/such/program"):
        Child("part", ["/no/such/program"], log=tmp_path / "part.log")


def test_a_one_shot_process_that_fails_shows_its_log(tmp_path: Path) -> None:
    child = python("print('table is locked'); raise SystemExit(3)", tmp_path)
    with pytest.raises(PartStartError, match=r"(?s)exit code 3.*table is locked"):
        child.finish(10)


def test_a_one_shot_process_that_hangs_is_ended(tmp_path: Path) -> None:
    child = python(ENDLESS, tmp_path)
    with pytest.raises(PartStartError, match="still running"):
        child.finish(0.2)
    assert not child.alive()


def test_a_missed_condition_is_named() -> None:
    with pytest.raises(PartStartError, match=r"waited 0\.05 s for the moon to turn green"):
        wait_until("the moon to turn green", lambda: False, timeout_s=0.05)


def test_waiting_ends_at_once_when_a_watched_child_dies(tmp_path: Path) -> None:
    child = python("print('no such option'); raise SystemExit(2)", tmp_path)
    began = time.monotonic()
    with pytest.raises(InfrastructureError, match=r"(?s)a sign.*exit code 2.*no such option"):
        wait_until("a sign", lambda: False, timeout_s=60, watching=[child])
    assert time.monotonic() - began < 10
    child.stop()


def test_a_taken_port_is_refused() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)):
            require_free(port, "the test")
    assert require_free(free_port(), "the test")


HARNESS = """
import signal, sys, threading
from pathlib import Path
from harness.stack.guard import guard
from harness.stack.process import Child, wait_until

folder = Path(sys.argv[1])
(folder / "temporary").mkdir()
guard().add_folder(folder / "temporary")
def start(name, code):
    child = Child(name, [sys.executable, "-c", code], log=folder / f"{name}.log")
    wait_until("a line", child.log_tail, timeout_s=20, watching=[child])
    print(child.pid, flush=True)
# From a thread that ends: what is tied to the thread must not matter.
for name, code in (("polite", sys.argv[2]), ("stubborn", sys.argv[3])):
    thread = threading.Thread(target=start, args=(name, code))
    thread.start()
    thread.join()
print(guard().pid, flush=True)
signal.pause()
"""


def test_nothing_survives_a_killed_harness(tmp_path: Path) -> None:
    """kill -9 leaves the harness no moment: the guard ends the children and clears up."""
    with subprocess.Popen(
        [sys.executable, "-c", HARNESS, str(tmp_path), ENDLESS, STUBBORN],
        stdout=subprocess.PIPE,
        text=True,
    ) as harness:
        assert harness.stdout is not None
        pids = [int(harness.stdout.readline()) for _ in range(3)]
        pids.append(int((tmp_path / "stubborn.log").read_text()))
        assert not any(is_gone(pid) for pid in pids)
        harness.kill()
    wait_until(
        "children, grandchild and guard to be gone",
        lambda: all(is_gone(pid) for pid in pids),
        timeout_s=5,
    )
    assert not (tmp_path / "temporary").exists()


KILLED = """
import os, sys
from pathlib import Path
from harness.stack.guard import guard

folder = Path(sys.argv[1])
(folder / "temporary").mkdir()
guard().add_folder(folder / "temporary")
write = "import sys; from pathlib import Path; Path(sys.argv[1]).write_text(str({}))"
there = f"Path({str(folder / 'temporary')!r}).exists()"
guard().add_command([sys.executable, "-c", write.format(there), str(folder / "two words\\n")])
dropped = [sys.executable, "-c", write.format("''"), str(folder / "dropped")]
guard().add_command(dropped)
guard().add_command(["/nonexistent"])
guard().drop_command(dropped)
print(guard().pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_commands_are_run_behind_a_killed_harness(tmp_path: Path) -> None:
    """Those that were not dropped, before the folders go; one that cannot be run hinders none."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    guard = int(done.stdout)
    wait_until("the guard to end", lambda: is_gone(guard), timeout_s=10)
    assert (tmp_path / "two words\n").read_text() == "True"
    assert [path.name for path in tmp_path.iterdir()] == ["two words\n"]


def test_a_killed_guard_is_replaced_with_all_it_knew(tmp_path: Path) -> None:
    from harness.stack.guard import Guard

    guard = Guard()
    child = python(ENDLESS, tmp_path)
    printed(child)
    guard.add(child.pid, signal.SIGTERM)
    first = guard.pid
    assert first is not None
    psutil.Process(first).kill()
    wait_until("the guard to be gone", lambda: is_gone(first), timeout_s=5)
    guard.add_folder(tmp_path / "none")
    assert guard.pid != first
    guard.close()
    second = guard.pid
    assert second is not None
    wait_until("the child to be ended", lambda: not child.alive(), timeout_s=5)
    wait_until("the guard to end", lambda: is_gone(second), timeout_s=5)
    child.stop()
