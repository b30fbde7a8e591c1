"""The load's master: shares a schedule out to workers (``python -m scenarios.login_master``).

Its life: it binds and announces its port; waits for as many workers as were asked for; gives each
a shard, in the order of the workers' names; measures how far each worker's clock is from its own;
says ``ready`` when all of them are; names t0 to each by that worker's clock; keeps what they send
in the files that the load process would have written; and measures the clocks again at the end.

A worker that is lost stays lost. Its shard is not played by another: those arrivals had their
instants, and the instants are over.
"""

from __future__ import annotations

# Before everything else: it imports Locust, which patches sockets, ssl and signals for gevent.
from scenarios import load_life, surge

# isort: split
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import gevent
from gevent.event import Event
from locust.env import Environment
from pydantic import DirectoryPath, Field, FilePath

from scenarios import load_messages as say
from scenarios.output import AppendedFile, write_status
from scenarios.schedule import ReplayClock, shard_out
from scenarios.settings import (
    EXIT_BAD_SETTINGS,
    HostPort,
    SurgeSettings,
    model_or_exit,
    read_retries_allowed,
)
from scenarios.worker_peer import Peer
from scenarios.worker_peers import LOOK_EVERY_S, Peers

FLAGS_EVERY_S = 0.25
LAST_WORDS_WITHIN_S = 6.0
"""After the end: long enough for the heartbeats to tell that a worker has gone."""

CALLED_OFF_WITHIN_S = 1.5


class MasterSettings(SurgeSettings):
    """What `ARCHITECTURE.md` lists under "Master and workers" for the master."""

    arrivals: FilePath
    t0_file: Path
    flags: Path | None = None
    directory: DirectoryPath
    bind: HostPort
    announce: Path
    workers: Annotated[int, Field(ge=1)]
    exit_with_stdin: bool = False


class LoadFailedError(Exception):
    """The load cannot begin; the message says why."""


class Master:
    """The master from its port to the last worker's last word."""

    def __init__(self, settings: MasterSettings, shards: list[str], finished: Event) -> None:
        self._settings = settings
        self._shards = shards
        self._finished = finished
        environment = Environment(user_classes=[surge.LoginSurgeUser], host=settings.target)
        # Listens already; nobody is heard before this greenlet waits for the first time.
        self._runner = environment.create_master_runner(*settings.bind)
        self._peers = Peers(
            self._runner, settings.directory, wanted=settings.workers, end_s=settings.end_s
        )
        self._peers.called_off = finished.is_set
        port = self._runner.server.port
        write_status(settings.announce, {"pid": os.getpid(), "port": port})

    def serve(self) -> None:
        """The whole load; raises LoadFailedError when it cannot begin."""
        if self._gather() and self._prepare():
            self._play()
        self._take_leave()

    def leave(self) -> None:
        """Whoever is still there is told that it is over."""
        self._peers.tell_all(say.FINISH)
        say.send_what_is_left(self._runner)

    def _gather(self) -> bool:
        """Wait until enough workers are there; False when called off before."""
        told = -1
        while len(self._peers) < self._settings.workers:
            if self._called_off():
                return False
            self._peers.forget_gone()
            if told != len(self._peers):
                told = len(self._peers)
                self._report("waiting")
        return True

    def _prepare(self) -> bool:
        """Shards, Locust's users and clocks; False when called off before all are ready."""
        self._peers.sharded = True
        ordered = self._peers.in_order()
        for number, peer in enumerate(ordered):
            self._give_shard(peer, number)
        if not self._all(lambda peer: peer.loaded):
            return False
        self._runner.start(user_count=len(ordered), spawn_rate=len(ordered))
        if not self._all(lambda peer: peer.ready):
            return False
        self._peers.measure_clocks(ordered)
        for peer in ordered:
            if not peer.exchanges:
                raise LoadFailedError(f"worker {peer.name} answered no ping")
            peer.began_with = offset = peer.offset()
            self._peers.happened(
                "load-worker",
                "begin",
                peer,
                arrivals=peer.arrivals,
                clock_offset_s=offset.offset_s,
                clock_uncertainty_s=offset.uncertainty_s,
                wall_skew_s=peer.wall_skew_s(time.time() - time.monotonic()),
            )
        self._report("ready")
        return True

    def _give_shard(self, peer: Peer, number: int) -> None:
        """From now on its lines have a file."""
        peer.number = number
        peer.file = AppendedFile(self._settings.directory / f"attempts-{number}.csv")
        played = {"target", "end_s", "client", "seed"}
        settings = self._settings.model_dump(round_trip=True, include=played)
        settings |= {"shards": len(self._shards), "shard": number}
        self._peers.tell(peer, say.SHARD, {"settings": settings, "arrivals": self._shards[number]})

    def _play(self) -> None:
        """From t0 to the load's end, or to a signal."""
        while (t0_epoch := self._read_t0()) is None:
            if self._called_off():
                return
        self._peers.clock = clock = ReplayClock.from_epoch(t0_epoch)
        for peer in self._peers:
            assert peer.began_with is not None, "clocks were measured"
            t0_theirs = clock.t0_monotonic + peer.began_with.offset_s
            self._peers.tell(peer, say.PLAY, {"t0_monotonic": t0_theirs})
        self._report("running")
        allowed = True
        while clock.now_s() < self._settings.end_s:
            now_allowed = read_retries_allowed(self._settings.flags)
            if now_allowed != allowed:
                allowed = now_allowed
                self._peers.tell_all(say.FLAGS, {"retries": allowed})
            self._peers.look_for_lost()
            if self._called_off(FLAGS_EVERY_S):
                return

    def _take_leave(self) -> None:
        """Wait for the workers' last lines, measure their clocks again, let them go."""
        within_s = LAST_WORDS_WITHIN_S
        if self._finished.is_set():
            within_s = CALLED_OFF_WITHIN_S
            self._peers.tell_all(say.FINISH)
        deadline = time.monotonic() + within_s
        while any(peer.loaded and peer.present for peer in self._peers):
            if time.monotonic() > deadline:
                break
            gevent.sleep(LOOK_EVERY_S)
            self._peers.look_for_lost()
        if self._peers.clock is not None:
            for peer in self._peers:
                if peer.present:
                    self._peers.lose(peer, "it did not report its end")
        self._compare_clocks([peer for peer in self._peers if peer.ended and not peer.lost])
        self._peers.tell_all(say.DISMISSED)
        self._report("ended")

    def _compare_clocks(self, ended: list[Peer]) -> None:
        """How far each clock has moved since the beginning; what was not measured is not told."""
        self._peers.measure_clocks(ended)
        for peer in ended:
            if peer.exchanges and peer.began_with is not None:
                offset = peer.offset()
                self._peers.happened(
                    "load-worker",
                    "end",
                    peer,
                    clock_drift_s=offset.offset_s - peer.began_with.offset_s,
                    clock_uncertainty_s=offset.uncertainty_s,
                )

    def _called_off(self, within_s: float = LOOK_EVERY_S) -> bool:
        """Wait a little; whether somebody has asked for the end meanwhile."""
        return bool(self._finished.wait(within_s))

    def _all(self, done: Callable[[Peer], bool]) -> bool:
        """Wait until ``done`` of every worker; False when called off before.

        Raises LoadFailedError for a worker that is lost or cannot play its shard.
        """
        while not all(map(done, self._peers)):
            if self._called_off():
                return False
            for peer in self._peers:
                if peer.unable or self._peers.is_gone(peer):
                    why = peer.unable or "it went away"
                    raise LoadFailedError(f"worker {peer.name} cannot play its shard: {why}")
        return True

    def _read_t0(self) -> float | None:
        try:
            return float(self._settings.t0_file.read_text("ascii"))
        except FileNotFoundError:
            return None

    def _report(self, state: str) -> None:
        status = {"pid": os.getpid(), "state": state, "workers": len(self._peers)}
        write_status(self._settings.directory / "master.json", status)


def main() -> NoReturn:
    """Conduct the load that the environment names; exit 0 at its end or on SIGTERM."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    settings = model_or_exit(MasterSettings)
    finished = Event()
    load_life.finish_when_told(finished, with_stdin=settings.exit_with_stdin)
    try:
        master = Master(settings, shard_out(settings.arrivals, settings.workers), finished)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"the load cannot begin: {error}\n")
        raise SystemExit(EXIT_BAD_SETTINGS) from None
    code = 1
    try:
        master.serve()
        code = 0
    except LoadFailedError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
    finally:
        load_life.exit_within(say.LEFT_WITHIN_S, code)
        master.leave()
    load_life.exit_at_once(code)


if __name__ == "__main__":
    main()
