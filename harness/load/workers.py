"""Load by workers of a Locust master: more processes of this machine, or other machines."""

from __future__ import annotations

import json
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import LoadWorkersError, PartDiedError, TargetRefusedError, UsageError
from harness.load.load import END_SLACK_S, Load
from harness.load.serving import GUIDE
from harness.load.status import read_status
from harness.load.target import REMEDY
from harness.loopback import is_loopback_host
from harness.recording import EventState
from harness.stack.announced import await_announcement
from harness.stack.ports import LOOPBACK, require_free
from harness.stack.process import Child, wait_until

OnEvent = Callable[[str, EventState, Mapping[str, Any]], None]
"""Called with what happens to a worker: name, state, detail."""

MAX_WORKERS = 64
LOCAL_WITHIN_S = 45.0
JOIN_WITHIN_S = 300.0
"""Time for people to start the workers of other machines."""

MASTER_STOPS_WITHIN_S = 3.5
WORKERS_STOP_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Workers:
    """How many workers play, and where their master listens.

    ``address`` is an IPv4 address of this machine. With port 0 the master takes a free one, and
    the workers are processes that are started beside it; else they are awaited.
    """

    count: int
    address: str = LOOPBACK
    port: int = 0

    @property
    def started_here(self) -> bool:
        """Whether the workers are ours to start."""
        return self.port == 0

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


def workers_wanted(count: int | None, master: str | None, owned_host: str | None) -> Workers | None:
    """What ``--load-workers`` and ``--load-master HOST:PORT`` ask for; None for nothing.

    Raises UsageError for what is no address of this machine, TargetRefusedError for one beyond
    loopback that nobody vouches for, PortTakenError.
    """
    if count is not None and not 1 <= count <= MAX_WORKERS:
        raise UsageError(f"{count} load workers: 1 to {MAX_WORKERS} are possible")
    if master is None:
        return None if count is None else Workers(count)
    host, colon, port = master.rpartition(":")
    if not host or not colon or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise UsageError(
            f"--load-master {master}: not HOST:PORT", remedy="Write --load-master 192.0.2.7:5557."
        )
    address = _own_address(host)
    if owned_host != host and not is_loopback_host(address):
        raise TargetRefusedError(
            f"with --load-master {master} the gateway listens on {host}, beyond this machine",
            remedy=REMEDY.replace("HOST", host),
        )
    return Workers(count or 1, address, require_free(int(port), "the load's master", host=address))


def _own_address(host: str) -> str:
    """The IPv4 address of ``host``; UsageError unless it is one of this machine's."""
    try:
        address = str(socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
        with socket.socket() as probe:
            probe.bind((address, 0))
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--load-master: {host} is no IPv4 address of this machine: {error}",
            remedy="Name the address by which the other machines reach this one.",
        ) from error
    if address == "0.0.0.0":  # noqa: S104 - refused
        raise UsageError(
            f"--load-master: {host} is every address, and workers need one",
            remedy="Name the address by which the other machines reach this one.",
        )
    return address


class WorkersRun(Load):
    """A `Load` that a master shares out to its workers; ``on_event`` hears of each of them.

    A worker that is lost does not end it: the run goes on without those arrivals, and its verdict
    says which they were. Raises as `Load` does.
    """

    def __init__(
        self, *arguments: Any, workers: Workers, on_event: OnEvent, **keywords: Any
    ) -> None:
        super().__init__(*arguments, shards=workers.count, **keywords)
        self._workers = workers
        self._on_event = on_event
        self._master: Child | None = None
        self._started: tuple[Child, ...] = ()
        self._events_file = self.directory / "workers.jsonl"
        self._events_read = 0
        self._lost: dict[int, str] = {}
        self._listens_at = str(workers)

    @property
    def children(self) -> tuple[Child, ...]:
        """The master, then the workers that were started here."""
        return (() if self._master is None else (self._master,)) + self._started

    @property
    def awaits(self) -> str:
        """What to run on the other machines."""
        if self._workers.started_here:
            return ""
        count = self._workers.count
        machines = "one more machine" if count == 1 else f"{count} machines"
        return f"waiting for {machines}: pooldrill load-worker {self._workers}"

    def describe(self) -> Mapping[str, Any]:
        """How many workers play it, and where their master is."""
        return {"workers": self.shards, "master": self._listens_at}

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Return when every worker has joined, has its shard, and waits for t0.

        Raises LoadWorkersError when they do not within ``timeout_s`` seconds (without: 45 for
        workers that are started here, 300 for others), or when one cannot play its shard.
        """
        usual_s = LOCAL_WITHIN_S if self._workers.started_here else JOIN_WITHIN_S
        try:
            wait_until(
                f"{self.shards} load workers to join {self._listens_at}",
                lambda: self._master_status().get("state") == "ready",
                timeout_s=timeout_s or usual_s,
                watching=self.children,
                error=LoadWorkersError,
            )
        except LoadWorkersError as error:
            joined = self._master_status().get("workers", 0)
            remedy = f"Run `pooldrill load-worker {self._listens_at}` on each machine; see {GUIDE}."
            if self._workers.started_here:
                remedy = f"Read the workers' logs in {self.directory}."
            raise LoadWorkersError(
                f"{error.message}\n  {joined} of {self.shards} load workers had joined",
                remedy=remedy,
            ) from error
        self._hear_events()

    def poll(self) -> None:
        """Pass on what happened to the workers.

        Raises PartDiedError when the master has died, or when no worker is left.
        """
        self._hear_events()
        if len(self._lost) == self.shards:
            raise PartDiedError(f"every load worker was lost: {'; '.join(self._lost.values())}")
        end_epoch = math.inf if self.t0_epoch is None else self.t0_epoch + self.end_s
        early = time.time() < end_epoch - END_SLACK_S
        master = self._master
        died = master is not None and master.died_unexpectedly()
        if master is not None and died and (master.returncode != 0 or early):
            raise PartDiedError(f"the load's master died: {master.describe_death()}")

    def stop(self, within_s: float = MASTER_STOPS_WITHIN_S) -> None:
        """End the master, which ends its workers and keeps their last lines; then who is left."""
        for child in self.children:
            child.expect_end()
        if self._master is not None:
            self._master.stop(within_s)
        for child in self._started:
            child.ask_to_stop()
        for child in self._started:
            child.stop(WORKERS_STOP_WITHIN_S)
        self._hear_events()

    def _master_status(self) -> Mapping[str, Any]:
        return read_status(self.directory / "master.json")

    def _hear_events(self) -> None:
        """Pass on the lines that the master has added to its file since the last time."""
        try:
            with self._events_file.open("rb") as file:
                file.seek(self._events_read)
                new = file.read()
        except FileNotFoundError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        self._events_read += len(whole)
        for line in whole.splitlines():
            event = json.loads(line)
            if event["name"] == "load-worker-lost":
                detail = event["detail"]
                self._lost[detail["shard"]] = f"{detail['worker']}: {detail['why']}"
            self._on_event(event["name"], event["state"], event["detail"])

    def _launch(self) -> None:
        self._events_file.unlink(missing_ok=True)
        (self.directory / "master.json").unlink(missing_ok=True)
        announce = self.directory / "master-port.json"
        announce.unlink(missing_ok=True)
        self._master = Child(
            "load-master",
            [sys.executable, "-m", "scenarios.login_master"],
            log=self.directory / "load-master.log",
            env={
                **self._environment,
                "POOLDRILL_DIRECTORY": str(self.directory),
                "POOLDRILL_BIND": str(self._workers),
                "POOLDRILL_WORKERS": str(self.shards),
                "POOLDRILL_ANNOUNCE": str(announce),
            },
            hold_stdin=True,
        )
        port = await_announcement(self._master, announce).port
        self._listens_at = f"{self._workers.address}:{port}"
        if not self._workers.started_here:
            return
        for number in range(self.shards):
            name = f"worker-{number:02d}"
            self._started += (
                Child(
                    f"load-{name}",
                    [sys.executable, "-m", "scenarios.login_worker"],
                    log=self.directory / f"load-{name}.log",
                    env={
                        **os.environ,
                        "POOLDRILL_MASTER": self._listens_at,
                        "POOLDRILL_WORKER": name,
                        "POOLDRILL_EXIT_WITH_STDIN": "1",
                    },
                    hold_stdin=True,
                ),
            )
