"""Whole runs whose load comes from several workers, of this machine and of another."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pytest

from harness.recording import read_recording
from harness.stack.ports import free_port
from tests.harness.run.namespaces import machine
from tests.harness.run.small import Command, running, wait_gone
from tests.harness.run.test_run import not_passed

pytestmark = pytest.mark.slow


def checks(verdict: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["id"]: check for check in verdict["checks"]}


def modules(command: Command, module: str) -> list[psutil.Process]:
    """The processes of the command's family that run ``module``."""
    return [p for p in command.family() if p.cmdline()[-2:] == ["-m", f"scenarios.{module}"]]


def test_two_workers_measure_what_one_process_does(tmp_path: Path) -> None:
    """All checks pass, every arrival is played, percentiles are those of the pooled attempts."""
    with running(tmp_path / "runs", "--json", "--load-workers", "2") as command:
        command.wait_for("the surge", lambda: command.event_seen('"surge"'))
        family = command.family()
        assert len(modules(command, "login_worker")) == 2
        assert len(modules(command, "login_master")) == 1
        code, stdout, stderr = command.judged()
    verdict = json.loads(stdout)
    assert (code, not_passed(verdict)) == (0, []), stderr
    assert wait_gone(family, within_s=1.0) == []
    assert checks(verdict)["load.workers"]["measured"] == 2
    assert 0 < checks(verdict)["load.clocks"]["measured"] < 0.1

    directory = command.directory
    assert directory is not None
    recording = read_recording(directory)
    assert recording.requests["arrival"].to_list() == recording.arrivals["arrival"].to_list()
    # The raw lines of both workers, pooled: what the verdict says must be theirs.
    lines = pl.concat(
        pl.read_csv(path) for path in sorted((directory / "logs" / "load").glob("attempts-*.csv"))
    )
    sent = lines.filter(pl.col("event") == "sent").sort("arrival")
    lag_s = sent["at_s"].to_numpy() - recording.arrivals["intended_s"].to_numpy()
    exact_s = float(np.quantile(lag_s, 0.99, method="nearest"))
    assert verdict["latency_s"]["start_lag"]["p99"] == pytest.approx(exact_s, abs=2e-6)


def test_a_killed_worker_makes_the_run_invalid_and_its_arrivals_are_named(tmp_path: Path) -> None:
    """The run goes on to its end; judging it again from its directory says the same."""
    with running(tmp_path / "runs", "--json", "--load-workers", "2") as command:
        command.wait_for("the surge", lambda: command.event_seen('"surge"'))
        family = command.family()
        modules(command, "login_worker")[0].kill()
        command.wait_for("the loss", lambda: command.event_seen('"load-worker-lost"'))
        code, stdout, _ = command.end()
        assert wait_gone(family, within_s=1.0) == []
    verdict = json.loads(stdout)
    assert (code, verdict["outcome"]) == (3, "invalid")
    assert verdict["arrivals"]["scheduled"] == sum(
        count for bucket, count in verdict["arrivals"].items() if bucket != "scheduled"
    )
    directory = command.directory
    assert directory is not None
    recording = read_recording(directory)
    assert recording.info.status == "complete"
    (lost,) = [e for e in recording.events if e.name == "load-worker-lost"]
    shard = recording.arrivals.filter(pl.col("arrival") % 2 == lost.detail["shard"])
    ended = recording.requests.filter(pl.col("outcome") != "in_flight_at_end")
    gone = shard.join(ended, on="arrival", how="anti")["arrival"].to_list()
    why = checks(verdict)["load.workers"]["why"]
    assert f"worker {lost.detail['worker']} (shard {lost.detail['shard']} of 2) was lost" in why
    assert f"{len(gone)} arrivals went with it, {gone[0]} to {gone[-1]} " in why
    assert len(gone) > 50
    before = (directory / "verdict.json").read_bytes()
    judged = subprocess.run(
        [sys.executable, "-m", "harness", "judge", str(directory)],
        capture_output=True,
        check=False,
    )
    assert judged.returncode == 3
    assert (directory / "verdict.json").read_bytes() == before


def test_a_killed_harness_takes_master_and_workers_with_it(tmp_path: Path) -> None:
    with running(tmp_path / "runs", "--load-workers", "2") as command:
        command.wait_for("the baseline", lambda: command.event_seen('"baseline"'))
        family = command.family()
        os.kill(command.process.pid, signal.SIGKILL)
        command.end()
        assert wait_gone(family, within_s=5.0) == []


def test_an_interrupted_run_leaves_no_worker(tmp_path: Path) -> None:
    with running(tmp_path / "runs", "--load-workers", "2") as command:
        command.wait_for("the surge", lambda: command.event_seen('"surge"'))
        family = command.family()
        os.kill(command.process.pid, signal.SIGINT)
        code, _, stderr = command.end()
        assert wait_gone(family, within_s=1.0) == []
    assert code == 3
    assert "PD020" in stderr
    assert command.directory is not None
    assert read_recording(command.directory).requests.height > 0


def test_workers_of_another_machine(tmp_path: Path) -> None:
    """Two of them, across a network; the run passes, and they end with it."""
    port = free_port()
    with machine() as other:
        where = f"{other.our_address}:{port}"
        vouched = ("--i-own-this-target", other.our_address)
        workers = [other.start("load-worker", where, "--name", name) for name in ("x", "y")]
        with running(
            tmp_path / "runs", "--json", "--load-master", where, "--load-workers", "2", *vouched
        ) as command:
            code, stdout, stderr = command.judged()
        said = [worker.communicate(timeout=15) for worker in workers]
    verdict = json.loads(stdout)
    assert (code, not_passed(verdict)) == (0, []), stderr
    assert f"pooldrill load-worker {where}" in stderr
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert "the run is over" in said[0][0]
    assert checks(verdict)["load.workers"]["measured"] == 2


def test_a_machine_that_is_cut_off_is_lost_and_ends_by_itself(tmp_path: Path) -> None:
    """No process has died, nobody has said anything: only heartbeats can tell."""
    port = free_port()
    with machine() as other:
        where = f"{other.our_address}:{port}"
        vouched = ("--i-own-this-target", other.our_address)
        cut_off = other.start("load-worker", where, "--name", "far")
        with running(
            tmp_path / "runs", "--json", "--load-master", where, "--load-workers", "1", *vouched
        ) as command:
            command.wait_for("the surge", lambda: command.event_seen('"surge"'))
            family = command.family()
            other.cut_off()
            code, stdout, stderr = command.end()
            assert wait_gone(family, within_s=1.0) == []
        _, said = cut_off.communicate(timeout=20)
    assert code == 3, stdout
    assert "every load worker was lost: far: its heartbeats ceased" in stderr
    assert cut_off.returncode == 4
    assert "PD018" in said
    assert command.directory is not None
    verdict = json.loads((command.directory / "verdict.json").read_text("utf-8"))
    assert "worker far (shard 0 of 1) was lost" in checks(verdict)["load.workers"]["why"]


def test_a_taken_port_is_refused_before_there_is_a_run(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with running(tmp_path / "runs", "--load-master", where) as command:
            code, _, stderr = command.end()
    assert code == 4
    assert "PD012" in stderr
    assert command.directory is None
