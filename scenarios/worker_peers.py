"""The master's side of the conversation with its workers: who they are, and what became of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import gevent
from locust.runners import STATE_MISSING, MasterRunner

from scenarios import load_messages as say
from scenarios.output import write_status
from scenarios.schedule import ReplayClock
from scenarios.worker_peer import Peer

PINGS = 20
PING_EVERY_S = 0.01
PONGS_WITHIN_S = 1.0
LOOK_EVERY_S = 0.01


class Peers:
    """The workers of a master, of which ``wanted`` are to play until replay second ``end_s``.

    ``directory`` gets their status files, and ``workers.jsonl``: a line whenever one begins to
    play, is lost, or has ended. ``clock`` is None until t0 is known; ``sharded`` and ``called_off``
    are the master's to set.
    """

    def __init__(self, runner: MasterRunner, directory: Path, *, wanted: int, end_s: float) -> None:
        self._runner = runner
        self._directory = directory
        self._wanted = wanted
        self._end_s = end_s
        self._peers: dict[str, Peer] = {}
        self._events = (directory / "workers.jsonl").open("w", encoding="utf-8")
        self.clock: ReplayClock | None = None
        self.sharded = False
        self.called_off: Callable[[], bool] = lambda: False
        for name, listener in (
            (say.HELLO, self._on_hello),
            (say.LOADED, self._on_loaded),
            (say.UNABLE, self._on_unable),
            (say.READY, self._on_ready),
            (say.PONG, self._on_pong),
            (say.LINES, self._on_lines),
            (say.STATUS, self._on_status),
            (say.ENDED, self._on_ended),
        ):
            runner.register_message(name, listener)

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[Peer]:
        return iter(tuple(self._peers.values()))

    def in_order(self) -> list[Peer]:
        """By name, whoever came first; two of one name by the id that Locust gave them."""
        return sorted(self, key=lambda peer: (peer.name, peer.client_id))

    def tell(self, peer: Peer, name: str, data: dict[str, Any] | None = None) -> None:
        """Send one of them a message."""
        self._runner.send_message(name, data or {}, peer.client_id)

    def tell_all(self, name: str, data: dict[str, Any] | None = None) -> None:
        """Send each of them the message, the lost ones as well: they may hear it."""
        for peer in self:
            self.tell(peer, name, data)

    def measure_clocks(self, asked: Iterable[Peer]) -> None:
        """Ping each of them `PINGS` times; what a lost one does not answer is not awaited."""
        asked = tuple(asked)
        for peer in asked:
            peer.exchanges.clear()
        for _ in range(PINGS):
            for peer in asked:
                self.tell(peer, say.PING, {"sent_s": time.monotonic()})
            gevent.sleep(PING_EVERY_S)
        deadline = time.monotonic() + PONGS_WITHIN_S
        while time.monotonic() < deadline and any(
            len(peer.exchanges) < PINGS for peer in asked if not peer.lost
        ):
            gevent.sleep(LOOK_EVERY_S)

    # -- lost workers -----------------------------------------------------------------------

    def is_gone(self, peer: Peer) -> bool:
        """Whether Locust misses its heartbeats, or it has said goodbye to Locust."""
        client = self._runner.clients.get(peer.client_id)
        return client is None or client.state == STATE_MISSING

    def forget_gone(self) -> None:
        """Drop those that went away while others were awaited: they have no shard to lose."""
        self._peers = {peer.client_id: peer for peer in self if not self.is_gone(peer)}

    def look_for_lost(self) -> None:
        """Record those that went away since the last look."""
        for peer in self:
            if peer.present and self.is_gone(peer):
                self.lose(peer, "its heartbeats ceased")

    def lose(self, peer: Peer, why: str) -> None:
        """Record that its arrivals can no longer be counted on; the first reason stands."""
        if not peer.lost:
            peer.lost = why
            at_s = None if self.clock is None else round(self.clock.now_s(), 3)
            self.happened("load-worker-lost", "at", peer, at_s=at_s, why=why)

    def happened(self, name: str, state: str, peer: Peer, **detail: object) -> None:
        """A line of ``workers.jsonl``; the harness makes an event of it."""
        who = {"worker": peer.name, "shard": peer.number, "shards": len(self)}
        self._events.write(json.dumps({"name": name, "state": state, "detail": who | detail}))
        self._events.write("\n")
        self._events.flush()

    # -- what they say ----------------------------------------------------------------------

    def _on_hello(self, msg: Any, **_: object) -> None:
        peer = Peer(msg.node_id, str(msg.data["name"]))
        if self.sharded or len(self) >= self._wanted:
            self.tell(peer, say.REFUSED, {"why": f"it has the {self._wanted} that it wants"})
            return
        self._peers[peer.client_id] = peer

    def _on_loaded(self, msg: Any, **_: object) -> None:
        for peer in self._known(msg):
            peer.loaded, peer.arrivals = True, msg.data["arrivals"]

    def _on_unable(self, msg: Any, **_: object) -> None:
        for peer in self._known(msg):
            peer.unable = msg.data["why"]

    def _on_ready(self, msg: Any, **_: object) -> None:
        for peer in self._known(msg):
            peer.ready = True

    def _on_pong(self, msg: Any, **_: object) -> None:
        received_s = time.monotonic()
        for peer in self._known(msg):
            peer.answered(msg.data, received_s)

    def _on_lines(self, msg: Any, **_: object) -> None:
        for peer in self._known(msg):
            if problem := peer.take(msg.data["batch"], msg.data["lines"]):
                self.lose(peer, problem)

    def _on_status(self, msg: Any, **_: object) -> None:
        for peer in self._known(msg):
            write_status(self._directory / f"status-{peer.number}.json", msg.data)

    def _on_ended(self, msg: Any, **_: object) -> None:
        for peer in self._known(msg):
            at_s = msg.data["at_s"]
            if msg.data["crashed"]:
                self.lose(peer, "it crashed")
            elif msg.data["batches"] != peer.batches:
                self.lose(peer, "not all of its lines arrived")
            elif not self.called_off() and (at_s is None or at_s < self._end_s):
                self.lose(peer, "it was ended")
            peer.ended = True

    def _known(self, msg: Any) -> Iterator[Peer]:
        """The worker that says it, when it is one of ours."""
        if (peer := self._peers.get(msg.node_id)) is not None:
            yield peer
