"""A real master and real workers: what they play, what becomes of it when one of them fails."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from harness.errors import (
    LoadWorkersError,
    PartDiedError,
    PooldrillError,
    PortTakenError,
    TargetRefusedError,
    UsageError,
)
from harness.incident import ClientPolicy
from harness.load import RateSegment, Workers, WorkersRun, compile_arrivals, workers_wanted
from harness.load.serving import serve_master
from harness.stack.ports import free_port
from harness.stack.process import wait_until
from tests import load_targets
from tests.load_targets import Target

LENGTH_S = 1.5
END_S = 2.5
AHEAD_S = 0.5
ROOT = Path(__file__).parents[2]
ONCE = ClientPolicy(timeout_s=2)
THRICE = ClientPolicy(
    timeout_s=2, attempts=3, backoff_initial_s=0.05, backoff_max_s=0.1, patience_s=5
)


@dataclass
class Heard:
    """What a run said of its workers."""

    events: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def __call__(self, name: str, state: str, detail: Mapping[str, Any]) -> None:
        self.events.append((name, state, detail))

    def of(self, name: str, state: str) -> list[Mapping[str, Any]]:
        return [detail for n, s, detail in self.events if (n, s) == (name, state)]


def schedule(length_s: float = LENGTH_S) -> pl.DataFrame:
    return compile_arrivals(
        [RateSegment("constant", 0.0, length_s, 60.0, 60.0)], seed=7, users=400, arrivals="uniform"
    )


def workers_run(
    target: Target,
    folder: Path,
    workers: Workers,
    heard: Heard,
    *,
    client: ClientPolicy = ONCE,
    length_s: float = LENGTH_S,
    end_s: float = END_S,
) -> WorkersRun:
    return WorkersRun(
        schedule(length_s),
        target=target.url,
        client=client,
        seed=7,
        end_s=end_s,
        directory=folder,
        workers=workers,
        on_event=heard,
    )


def play(load: WorkersRun) -> None:
    load.wait_ready()
    load.start(time.time() + AHEAD_S)
    load.wait(timeout_s=30)


@contextlib.contextmanager
def worker_elsewhere(
    port: int, *arguments: str, module: str = "scenarios.login_worker", **settings: str
) -> Iterator[subprocess.Popen[str]]:
    """A worker that somebody else has started; its address is the loopback's."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "POOLDRILL_MASTER": f"127.0.0.1:{port}", **settings},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class Stamps(list[Any]):
    """The wall-clock seconds at which something was appended, instead of what it was."""

    def append(self, item: object) -> None:
        del item
        super().append(time.time())


@pytest.fixture
def target() -> Iterator[Target]:
    with load_targets.answering() as target:
        yield target


def test_two_workers_play_every_arrival_once(tmp_path: Path, target: Target) -> None:
    """All of the schedule, at its instants, and the figures are those of the pooled attempts."""
    heard = Heard()
    with workers_run(target, tmp_path, Workers(2), heard) as load:
        play(load)
        attempts, status = load.requests(), load.status()
    assert [child.returncode for child in load.children] == [0, 0, 0]
    assert attempts["arrival"].to_list() == schedule()["arrival"].to_list()
    assert attempts["outcome"].unique().to_list() == ["ok"]
    assert (status.offered, status.sent, status.ok, status.in_flight) == (90, 90, 90, 0)
    lag_s = attempts["sent_s"].to_numpy() - schedule()["intended_s"].to_numpy()
    assert lag_s.min() >= 0
    exact_s = float(np.quantile(lag_s, 0.99, method="inverted_cdf"))
    assert status.start_lag_p99_s == pytest.approx(exact_s, abs=1.1e-4)
    joined, left = heard.of("load-worker", "begin"), heard.of("load-worker", "end")
    assert [(d["worker"], d["shard"], d["arrivals"]) for d in joined] == [
        ("worker-00", 0, 45),
        ("worker-01", 1, 45),
    ]
    assert len(left) == 2
    # They share this machine's clock: what was measured must allow for that.
    for began, ended in zip(joined, left, strict=True):
        assert abs(began["clock_offset_s"]) <= began["clock_uncertainty_s"] + 1e-6
        bound_s = began["clock_uncertainty_s"] + ended["clock_uncertainty_s"]
        assert abs(ended["clock_drift_s"]) <= bound_s + 1e-6


def test_shards_go_by_name_and_wrong_clocks_move_no_arrival(tmp_path: Path, target: Target) -> None:
    """Workers from elsewhere, one with a wall clock an hour ahead and another boot time.

    One more than was asked for is turned away.
    """
    port, heard, came_at = free_port(), Heard(), Stamps()
    target.requests = came_at
    with (
        worker_elsewhere(port, POOLDRILL_WORKER="b"),
        worker_elsewhere(
            port, "3600", "500", "1", module="tests.skewed_worker", POOLDRILL_WORKER="a"
        ),
        workers_run(target, tmp_path, Workers(2, port=port), heard) as load,
    ):
        assert f"127.0.0.1:{port}" in load.awaits
        load.wait_ready()
        with worker_elsewhere(port, POOLDRILL_WORKER="c") as late:
            _, said = late.communicate(timeout=20)
        assert late.returncode == 4
        assert "refused" in said
        t0_epoch = time.time() + AHEAD_S
        load.start(t0_epoch)
        load.wait(timeout_s=30)
        attempts = load.requests()
    first, second = heard.of("load-worker", "begin")
    assert (first["worker"], second["worker"]) == ("a", "b")
    assert first["clock_offset_s"] == pytest.approx(500, abs=1)
    assert first["wall_skew_s"] == pytest.approx(3600, abs=1)
    assert attempts["outcome"].to_list() == ["ok"] * 90
    # By the target's clock, not by the workers' word. The k-th to come was the k-th to be due.
    assert len(came_at) == 90
    late_s = np.sort(came_at) - t0_epoch - schedule()["intended_s"].to_numpy()
    known_to_s = max(first["clock_uncertainty_s"], second["clock_uncertainty_s"])
    assert late_s.min() >= -known_to_s
    assert np.median(late_s) < 0.1
    assert heard.of("load-worker-lost", "at") == []


def test_a_clock_that_runs_too_fast_is_measured(tmp_path: Path, target: Target) -> None:
    """2 % over two and a half seconds and a little more."""
    port, heard = free_port(), Heard()
    with (
        worker_elsewhere(port, "0", "0", "1.02", module="tests.skewed_worker"),
        workers_run(target, tmp_path, Workers(1, port=port), heard) as load,
    ):
        play(load)
    (ended,) = heard.of("load-worker", "end")
    assert 0.02 * END_S < ended["clock_drift_s"] < 0.2


def test_retries_are_paused_on_every_worker(tmp_path: Path) -> None:
    """What the flags file says reaches them before t0."""
    with (
        load_targets.answering(503, b"{}") as target,
        workers_run(target, tmp_path, Workers(2), Heard(), client=THRICE) as load,
    ):
        load.pause_retries()
        load.wait_ready()
        load.start(time.time() + 2 * AHEAD_S)
        load.wait(timeout_s=30)
        attempts = load.requests()
    assert attempts.height == 90
    assert attempts["attempt"].max() == 1


@pytest.fixture
def long_load(tmp_path: Path, target: Target) -> Iterator[tuple[WorkersRun, Heard]]:
    """A load in its midst, on two workers; it would last for half a minute."""
    heard = Heard()
    load = workers_run(target, tmp_path, Workers(2), heard, length_s=20.0, end_s=30.0)
    with load:
        load.wait_ready()
        load.start(time.time() + AHEAD_S)
        wait_until("logins", lambda: load.status().ok >= 10, timeout_s=10)
        yield load, heard


def polled(load: WorkersRun, heard: Heard, lost: int) -> bool:
    load.poll()
    return len(heard.of("load-worker-lost", "at")) >= lost


def test_a_killed_worker_is_lost_and_the_other_goes_on(
    long_load: tuple[WorkersRun, Heard],
) -> None:
    """It is named with its shard and instant; what the other plays is still recorded."""
    load, heard = long_load
    _, kept, killed = load.children
    os.kill(killed.pid, signal.SIGKILL)
    wait_until("the loss", lambda: polled(load, heard, 1), timeout_s=10)
    (lost,) = heard.of("load-worker-lost", "at")
    assert (lost["worker"], lost["shard"], lost["shards"]) == ("worker-01", 1, 2)
    assert 0 < lost["at_s"] < 12
    sent = load.status().sent
    wait_until("the other to go on", lambda: load.status().sent >= sent + 30, timeout_s=10)
    load.stop()
    assert kept.returncode == 0
    attempts = load.requests()
    last = attempts.group_by(pl.col("arrival") % 2).agg(pl.col("sent_s").max())
    ends = dict(last.iter_rows())
    assert ends[0] > ends[1] + 1


def test_a_worker_that_somebody_ends_is_lost_with_all_that_it_sent(
    long_load: tuple[WorkersRun, Heard],
) -> None:
    """SIGTERM lets it say so at once: no heartbeat has to be missed, no line is lost."""
    load, heard = long_load
    ended = load.children[2]
    ended.send(signal.SIGTERM)
    wait_until("the loss", lambda: polled(load, heard, 1), timeout_s=5)
    (lost,) = heard.of("load-worker-lost", "at")
    assert lost["why"] == "it was ended"


def test_without_any_worker_the_load_is_over(long_load: tuple[WorkersRun, Heard]) -> None:
    """The run's measurement is invalid then, and nobody waits for its end."""
    load, heard = long_load
    for worker in load.children[1:]:
        os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(PartDiedError, match=r"every load worker was lost: worker-0"):
        wait_until("the end", lambda: polled(load, heard, 3), timeout_s=10)


def test_workers_end_with_their_master(long_load: tuple[WorkersRun, Heard]) -> None:
    """They miss its heartbeats; nobody has to tell them."""
    load, _ = long_load
    master, *workers = load.children
    os.kill(master.pid, signal.SIGKILL)
    with pytest.raises(PartDiedError, match="SIGKILL"):
        load.wait(timeout_s=5)
    wait_until("the workers to end", lambda: not any(w.alive() for w in workers), timeout_s=10)
    assert [worker.returncode for worker in workers] == [4, 4]


def test_everything_ends_with_the_harness(long_load: tuple[WorkersRun, Heard]) -> None:
    """The kernel closes the pipes of a killed harness."""
    load, _ = long_load
    for child in load.children:
        assert child._process.stdin is not None
        child._process.stdin.close()
    wait_until("all to end", lambda: not any(c.alive() for c in load.children), timeout_s=10)


def test_too_few_workers_are_counted_and_the_command_is_named(
    tmp_path: Path, target: Target
) -> None:
    port = free_port()
    workers = Workers(2, port=port)
    with (
        worker_elsewhere(port) as lonely,
        workers_run(target, tmp_path, workers, Heard()) as load,
    ):
        wait_until("the first", lambda: load._master_status().get("workers") == 1, timeout_s=20)
        with pytest.raises(LoadWorkersError, match="1 of 2 load workers had joined") as refused:
            load.wait_ready(timeout_s=0.1)
        assert f"pooldrill load-worker 127.0.0.1:{port}" in refused.value.remedy
        load.stop()
        _, said = lonely.communicate(timeout=10)
    assert lonely.returncode == 4
    assert "called the run off" in said


def test_a_worker_refuses_a_target_that_is_not_its_masters(tmp_path: Path) -> None:
    """Its refusal reaches both ends, and names the option."""
    port = free_port()
    load = WorkersRun(
        schedule(),
        target="http://192.0.2.1:9",
        client=ONCE,
        seed=7,
        end_s=END_S,
        directory=tmp_path,
        allowed_hosts=["192.0.2.1"],
        workers=Workers(1, port=port),
        on_event=Heard(),
    )
    with load:
        with pytest.raises(TargetRefusedError, match=r"192\.0\.2\.1 is neither this machine"):
            serve_master(f"127.0.0.1:{port}", name="w", owned_host=None, within_s=20)
        with pytest.raises(LoadWorkersError, match=r"worker w cannot .*192\.0\.2\.1"):
            load.wait_ready()


def test_a_worker_without_a_master_says_so() -> None:
    port = free_port()
    with pytest.raises(LoadWorkersError, match=f"no master answers at 127.0.0.1:{port}"):
        serve_master(f"127.0.0.1:{port}", name=None, owned_host=None, within_s=1)
    with pytest.raises(UsageError, match="HOST:PORT"):
        serve_master("nowhere", name=None, owned_host=None, within_s=1)


def test_a_port_that_is_taken_is_refused_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"127.0.0.1:{port}"):
            workers_wanted(1, f"127.0.0.1:{port}", None)


WRONG: Sequence[tuple[int | None, str | None, type[PooldrillError]]] = [
    (0, None, UsageError),
    (65, None, UsageError),
    (None, "somewhere", UsageError),
    (None, "127.0.0.1:0", UsageError),
    (None, "127.0.0.1:65536", UsageError),
    (None, "192.0.2.1:5557", UsageError),
    (None, "nobody.invalid:5557", UsageError),
    (None, "0.0.0.0:5557", UsageError),
    (None, "[::1]:5557", UsageError),
]


@pytest.mark.parametrize(("count", "master", "error"), WRONG)
def test_masters_that_cannot_be_are_refused(
    count: int | None, master: str | None, error: type[PooldrillError]
) -> None:
    with pytest.raises(error):
        workers_wanted(count, master, None)


def test_what_was_not_asked_for_is_not_there() -> None:
    assert workers_wanted(None, None, None) is None
    assert workers_wanted(3, None, None) == Workers(3)
    port = free_port()
    assert workers_wanted(None, f"localhost:{port}", None) == Workers(1, "127.0.0.1", port)


def test_an_address_beyond_loopback_needs_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway would listen there."""
    monkeypatch.setattr("harness.load.workers.is_loopback_host", lambda host: False)
    port = free_port()
    with pytest.raises(TargetRefusedError) as refused:
        workers_wanted(1, f"127.0.0.1:{port}", None)
    assert "--i-own-this-target 127.0.0.1" in refused.value.remedy
    assert workers_wanted(1, f"127.0.0.1:{port}", "127.0.0.1") is not None
