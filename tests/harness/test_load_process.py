"""The real load process against small servers that each fail in one way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.cheap_target import cheap_target
from benchmarks.load_driver import httperf, play
from harness.errors import InfrastructureError, PartStartError, TargetRefusedError, UsageError
from harness.incident import ClientPolicy
from harness.load import LoadRun, LoadStatus, RateSegment, compile_arrivals, suggested_shards
from harness.recording import BUCKETS, REQUESTS
from harness.stack.process import wait_until
from scenarios import login_client
from tests import load_targets
from tests.load_targets import Stall, Target

LENGTH_S = 1.0
END_S = 2.5
AHEAD_S = 0.5
SEEN_WITHIN_S = 0.75
"""By then a load process has seen its flags: it looks four times a second."""

ONCE = ClientPolicy(timeout_s=2.2)
THRICE = ClientPolicy(
    timeout_s=2, attempts=3, backoff_initial_s=0.05, backoff_max_s=0.1, patience_s=5
)
BUDGETED = THRICE.model_copy(update={"retry_budget": 0.2})
STUBBORN = ClientPolicy(
    timeout_s=2, attempts=20, backoff_initial_s=2, backoff_max_s=2, patience_s=60
)
PROBLEM = b'{"code": "pool_exhausted"}'
NETWORKS = ("10.20.0.0/16", "2001:db8::/112")


@dataclass(frozen=True)
class Played:
    """What was scheduled, what came of it, and what the target saw."""

    arrivals: pl.DataFrame
    attempts: pl.DataFrame
    status: LoadStatus
    seen: list[bytes]

    @property
    def buckets(self) -> dict[str, int]:
        """Arrivals by the outcome of their last attempt; without any: shed by the generator."""
        last = self.attempts.sort("attempt").group_by("arrival").last()
        ended = self.arrivals.join(last, on="arrival", how="left")
        counts = ended["outcome"].fill_null("shed_by_generator").value_counts()
        return dict(counts.iter_rows())


def schedule(rate_per_s: float = 60.0, length_s: float = LENGTH_S) -> pl.DataFrame:
    return compile_arrivals(
        [RateSegment("constant", 0.0, length_s, rate_per_s, rate_per_s, 0.25, NETWORKS)],
        seed=7,
        users=40,
        arrivals="uniform",
    )


def load_run(
    target: Target,
    folder: Path,
    *,
    client: ClientPolicy = ONCE,
    end_s: float = END_S,
    shards: int = 1,
    arrivals: pl.DataFrame | None = None,
) -> LoadRun:
    return LoadRun(
        schedule() if arrivals is None else arrivals,
        target=target.url,
        client=client,
        seed=7,
        end_s=end_s,
        directory=folder,
        shards=shards,
    )


def start_together(loads: Mapping[str, LoadRun]) -> float:
    for load in loads.values():
        load.wait_ready()
    t0_epoch = time.time() + AHEAD_S
    for load in loads.values():
        load.start(t0_epoch)
    return t0_epoch


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """One short load against each kind of target, all at the same time."""
    targets = {
        "normal": (load_targets.answering(), ONCE, 2),
        "unavailable": (load_targets.answering(503, PROBLEM, "Retry-After: 60\r\n"), THRICE, 1),
        "paused": (load_targets.answering(503, PROBLEM), THRICE, 2),
        "deaf": (load_targets.deaf(), ONCE, 1),
        "closed": (load_targets.closed_port(), BUDGETED, 1),
    }
    with contextlib.ExitStack() as stack:
        opened = {name: stack.enter_context(target) for name, (target, _, _) in targets.items()}
        folders = {name: tmp_path_factory.mktemp("load") for name in targets}
        (folders["unavailable"] / "flags.json").write_text('{"retries": false}')  # of an older run
        loads = {
            name: stack.enter_context(
                load_run(opened[name], folders[name], client=client, shards=shards)
            )
            for name, (_, client, shards) in targets.items()
        }
        loads["paused"].pause_retries()
        start_together(loads)
        for load in loads.values():
            load.wait(timeout_s=30)
        return {
            name: Played(schedule(), load.requests(), load.status(), opened[name].requests)
            for name, load in loads.items()
        }


EXPECTED = {
    "normal": {"ok"},
    "unavailable": {"http_error"},
    "paused": {"http_error"},
    "deaf": {"client_timeout", "in_flight_at_end"},
    "closed": {"refused"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_arrival_ends_in_one_bucket(name: str, played: dict[str, Played]) -> None:
    """scheduled == sum of buckets, and the bucket says what the target did."""
    run = played[name]
    assert run.attempts.schema == REQUESTS
    assert sum(run.buckets.values()) == run.arrivals.height == 60
    assert set(run.buckets) == EXPECTED[name]
    assert set(run.attempts["outcome"]) <= set(BUCKETS)


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_sent_early_or_unseen(name: str, played: dict[str, Played]) -> None:
    """First attempts go out at their instant or after it; the target saw what is recorded."""
    run = played[name]
    sent = run.attempts.join(run.arrivals, on="arrival").filter(pl.col("attempt") == 1)
    assert (sent["sent_s"] >= sent["intended_s"]).all()
    assert run.status.offered == run.status.sent == 60
    if name != "closed":
        assert len(run.seen) == run.attempts.height


def test_a_good_answer_is_recorded_whole(played: dict[str, Played]) -> None:
    """Status, replica, user and instants, over both processes."""
    run = played["normal"]
    assert run.status.ok == 60
    assert run.status.in_flight == 0
    assert run.attempts["replica"].unique().to_list() == ["replica-1"]
    assert run.attempts["status"].unique().to_list() == [200]
    assert run.attempts["user"].to_list() == run.arrivals["user"].to_list()
    assert (run.attempts["done_s"] > run.attempts["sent_s"]).all()


def test_the_target_sees_who_comes_and_from_where(played: dict[str, Played]) -> None:
    """Address and wrong passwords of each arrival, in every one of its attempts."""
    run = played["unavailable"]
    mistyped = {True: login_client.mistyped_password, False: login_client.password}
    expected = [
        (login_client.username(user), address, mistyped[wrong](user))
        for user, address, wrong in run.arrivals.select(
            "user", "address", "wrong_password"
        ).iter_rows()
        for _ in range(THRICE.attempts)
    ]
    assert sorted(map(seen_login, run.seen)) == sorted(expected)
    assert 0 < run.arrivals["wrong_password"].sum() < 60
    assert {":" in address for _, address, _ in expected} == {True, False}


def seen_login(request: bytes) -> tuple[str, str, str]:
    """Name, address and password of a request as the target read it."""
    head, _, body = request.decode("ascii").partition("\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    login = json.loads(body)
    assert fields["X-User"] == login["username"]
    return login["username"], fields["X-Forwarded-For"], login["password"]


def test_retries_that_were_paused_before_the_start_never_begin(played: dict[str, Played]) -> None:
    """The flags hold from the first attempt on, in every process; first attempts all go out."""
    assert played["paused"].attempts["attempt"].to_list() == [1] * 60


def test_unavailable_is_tried_again_with_backoff(played: dict[str, Played]) -> None:
    """Three attempts each; the pause is below its ceiling and deaf to Retry-After."""
    attempts = played["unavailable"].attempts
    assert attempts.group_by("arrival").len()["len"].unique().to_list() == [3]
    assert attempts["code"].unique().to_list() == ["pool_exhausted"]
    pause = attempts.sort("arrival", "attempt").select(
        pause=pl.col("sent_s") - pl.col("done_s").shift(1).over("arrival")
    )["pause"]
    assert pause.min() >= 0  # type: ignore[operator]
    assert pause.median() < 1  # type: ignore[operator]


def test_a_budget_limits_retries(played: dict[str, Played]) -> None:
    """Retries stay within a fifth of the first attempts, and use it."""
    retries = played["closed"].attempts.filter(pl.col("attempt") > 1).height
    assert 6 <= retries <= 12


def test_a_deaf_target_never_looks_well(played: dict[str, Played]) -> None:
    """What was still open has no end; the others gave up after their timeout."""
    attempts = played["deaf"].attempts
    open_at_end = attempts.filter(pl.col("outcome") == "in_flight_at_end")
    gave_up = attempts.filter(pl.col("outcome") == "client_timeout")
    assert open_at_end["done_s"].null_count() == open_at_end.height > 0
    assert gave_up.height > 0
    took_s = gave_up["done_s"] - gave_up["sent_s"]
    assert took_s.min() >= 2.2  # type: ignore[operator]


def test_a_stall_shows_in_the_latency_of_all_who_met_it(tmp_path: Path) -> None:
    """No coordinated omission: during a stall arrivals go on, and each waits for its end."""
    stall = Stall()
    with load_targets.stalling(stall) as target, load_run(target, tmp_path) as load:
        load.wait_ready()
        t0_epoch = time.time() + AHEAD_S
        stall.begin_epoch, stall.end_epoch = t0_epoch + 0.2, t0_epoch + 1.5
        load.start(t0_epoch)
        load.wait(timeout_s=30)
        attempts = load.requests().join(schedule(), on="arrival")
    during = attempts.filter(pl.col("intended_s") > 0.25)
    assert during.height == 44  # 60 a second, all of them, although nobody was answered
    assert (during["sent_s"] < 1.5).all()
    latency_s = (during["done_s"] - during["intended_s"]).to_numpy()
    stalled_s = 1.5 - during["intended_s"].to_numpy()
    assert np.all(latency_s >= stalled_s - 0.02)
    assert np.median(latency_s - stalled_s) < 0.3


def test_paused_retries_stop_and_come_back(tmp_path: Path) -> None:
    """A client that waits for its backoff does not send either, and gives up for good."""
    arrivals = schedule(length_s=20.0)
    with (
        load_targets.answering(503, PROBLEM) as target,
        load_run(target, tmp_path, client=STUBBORN, end_s=21.0, arrivals=arrivals) as load,
    ):
        t0_epoch = start_together({"stubborn": load})

        def sent_after(at_s: float, *, retries: bool) -> int:
            kind = pl.col("attempt") > 1 if retries else pl.col("attempt") == 1
            return load.requests().filter(kind & (pl.col("sent_s") > at_s)).height

        wait_until("retries", lambda: sent_after(0.0, retries=True) >= 10, timeout_s=10)
        load.pause_retries()
        held_s = time.time() - t0_epoch + SEEN_WITHIN_S
        wait_until(
            "a backoff to pass while retries are paused",
            lambda: sent_after(held_s + STUBBORN.backoff_max_s - SEEN_WITHIN_S, retries=False) > 0,
            timeout_s=10,
        )
        resumed_s = time.time() - t0_epoch
        load.resume_retries()
        wait_until("retries again", lambda: sent_after(resumed_s, retries=True) >= 10, timeout_s=10)
        load.stop()
        attempts = load.requests()
    held = attempts.filter(pl.col("sent_s").is_between(held_s, resumed_s))
    assert held["attempt"].unique().to_list() == [1]
    given_up = attempts.filter(pl.col("done_s").is_between(held_s, resumed_s))
    later = attempts.filter(pl.col("arrival").is_in(given_up["arrival"].implode()))
    assert later.height == given_up.height > 50
    assert given_up["outcome"].unique().to_list() == ["http_error"]


@pytest.fixture
def deaf_load(tmp_path: Path) -> Iterator[LoadRun]:
    """A load in its midst, with nobody answering; it would last a minute."""
    patient = ClientPolicy(timeout_s=60)
    with (
        load_targets.deaf() as target,
        load_run(target, tmp_path, client=patient, end_s=60, shards=2) as load,
    ):
        start_together({"deaf": load})
        wait_until("attempts to be open", lambda: load.status().in_flight >= 10, timeout_s=10)
        yield load


def test_a_killed_process_is_named_and_a_stopped_one_writes_all(deaf_load: LoadRun) -> None:
    """kill -9 costs a process its last lines at most; SIGTERM costs nothing, and exits 0."""
    kept, killed = deaf_load.children
    before = deaf_load.requests().height
    os.kill(killed.pid, signal.SIGKILL)
    with pytest.raises(InfrastructureError, match=r"load-1 was ended by SIGKILL"):
        deaf_load.wait(timeout_s=10)
    deaf_load.stop()
    deaf_load.stop()
    deaf_load.poll()  # asked for now, so no failure
    assert kept.returncode == 0
    attempts = deaf_load.requests()
    assert attempts.height >= before
    assert set(attempts["outcome"]) == {"in_flight_at_end"}
    written = (deaf_load.directory / "attempts-0.csv").read_text()
    assert written.count(",in_flight_at_end,") == written.count("sent,") > 0


def test_an_early_end_is_no_success(deaf_load: LoadRun) -> None:
    """What somebody else ends before its time exits 0 and is missed all the same.

    Standard input's end ends a process too: the kernel closes the pipe of a killed harness.
    """
    signalled, orphaned = deaf_load.children
    signalled.send(signal.SIGTERM)
    with pytest.raises(InfrastructureError, match=r"load-0 ended with exit code 0"):
        deaf_load.wait(timeout_s=10)
    assert orphaned._process.stdin is not None
    orphaned._process.stdin.close()
    wait_until("the orphan to end", lambda: not orphaned.alive(), timeout_s=10)
    assert orphaned.returncode == 0


def test_a_generator_without_sockets_blames_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it cannot start is shed by the generator, counted, and no failure of the target."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nulimit -n 140\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with load_targets.deaf() as target:
        load = load_run(target, tmp_path / "load")
        monkeypatch.setattr("harness.load.process.sys.executable", str(python))
        with load:
            monkeypatch.undo()
            start_together({"deaf": load})
            load.wait(timeout_s=30)
        run = Played(schedule(), load.requests(), load.status(), target.requests)
    assert run.status.offered == 60
    assert run.buckets["shed_by_generator"] == 60 - run.status.sent > 0
    assert set(run.buckets) == {"shed_by_generator", "client_timeout"}
    assert sum(run.buckets.values()) == 60


def test_a_process_that_cannot_begin_says_why(tmp_path: Path) -> None:
    """Its own words reach the error."""
    with load_targets.closed_port() as target:
        load = load_run(target, tmp_path)
        load._environment["POOLDRILL_TARGET"] = "nonsense"
        with load, pytest.raises(PartStartError, match="POOLDRILL_TARGET"):
            load.wait_ready()


def test_loads_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """A foreign target, arrivals after the end, a t0 too near to be met by all processes."""
    with load_targets.closed_port() as target:
        with pytest.raises(UsageError, match="after the load's end"):
            load_run(target, tmp_path, end_s=0.5)
        with pytest.raises(UsageError, match="ahead"):
            load_run(target, tmp_path).start(time.time() + 0.1)
    with pytest.raises(TargetRefusedError):
        LoadRun(
            schedule(), target="http://192.0.2.1", client=ONCE, seed=1, end_s=9, directory=tmp_path
        )


def test_processes_are_suggested_by_rate() -> None:
    """One for each thousand attempts a second."""
    assert [suggested_shards(rate) for rate in (0, 1, 1000, 1001, 5000)] == [1, 1, 1, 2, 5]


def test_the_harness_stays_unpatched() -> None:
    """Locust and its monkey patches belong into the load process alone."""
    assert "locust" not in sys.modules
    assert socket.socket.__module__ == "socket"


@pytest.mark.slow
def test_httperf_plays_the_same_schedule() -> None:
    """An open loop of another make sends as many, in the same time."""
    if shutil.which("httperf") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("httperf is not installed; CI must compare with it")
        pytest.skip("httperf is not installed (apt-get install httperf)")
    with cheap_target() as port:
        ours = play(port, rate_per_s=200.0, length_s=5.0, arrivals="uniform")
        theirs = httperf(port, rate_per_s=200.0, count=1000)
    assert ours.scheduled == theirs.connections == 1000
    assert ours.ok == pytest.approx(theirs.replies, rel=0.02)
    assert ours.span_s == pytest.approx(theirs.duration_s, rel=0.02)
