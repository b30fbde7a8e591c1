"""Packet loss on a path that no login takes: a prober, a relay that drops, a peer that echoes."""

from __future__ import annotations

import asyncio
import logging
import random
import struct
from collections import deque
from contextlib import ExitStack, closing
from typing import cast

from prometheus_client import CollectorRegistry, Counter

from scenarios.bystander.pace import ticks

PATH = "office-backbone"
PROBES_PER_S = 20.0
ANSWER_TIMEOUT_S = 1.0
"""Far above an echo on the loopback interface, so that a busy machine does not lose probes too."""

REPORT_EVERY_S = 3.0

Address = tuple[str, int]

_SEQUENCE = struct.Struct("!Q")

logger = logging.getLogger(__name__)


class PacketLoss:
    """Probes the path and counts.

    Packets are dropped on the way out only, so that the share of probes lost is the share of
    packets dropped.
    """

    def __init__(self, share: float, *, seed: int, registry: CollectorRegistry) -> None:
        self._share = share
        self._seed = seed
        self._probes = Counter(
            "bystander_probes",
            "Probes whose time to be answered is over.",
            ["path"],
            registry=registry,
        ).labels(PATH)
        self._probes_lost = Counter(
            "bystander_probes_lost",
            "Of these, the ones that nothing came back for.",
            ["path"],
            registry=registry,
        ).labels(PATH)
        self._settled = self._lost = 0

    async def run(self) -> None:
        """Probe until cancelled."""
        chance = random.Random(self._seed)  # noqa: S311 - which packet is lost is no secret
        with ExitStack() as path:
            peer = path.enter_context(closing(await _open(Echo())))
            relay = path.enter_context(
                closing(await _open(Relay(_address(peer), self._share, chance)))
            )
            prober = Prober(_address(relay))
            path.enter_context(closing(await _open(prober)))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._probe(prober))
                group.create_task(self._report())

    async def _probe(self, prober: Prober) -> None:
        async for _ in ticks(PROBES_PER_S):
            settled, lost = prober.settle()
            self._probes.inc(settled)
            self._probes_lost.inc(lost)
            self._settled += settled
            self._lost += lost
            prober.send()

    async def _report(self) -> None:
        async for _ in ticks(1 / REPORT_EVERY_S):
            lost, settled = self._lost, self._settled
            self._lost = self._settled = 0
            if lost:
                logger.warning(
                    "%s: %d of %d probes lost", PATH, lost, settled,
                    extra={"path": PATH, "loss_ratio": round(lost / settled, 3)},
                )  # fmt: skip


class Datagrams(asyncio.DatagramProtocol):
    """One socket of the path."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because until Python 3.12 asyncio's own transport is no instance of it.
        self.transport = cast(asyncio.DatagramTransport, transport)


class Echo(Datagrams):
    """The far end: sends back what it gets."""

    def datagram_received(self, data: bytes, sender: Address) -> None:
        self.transport.sendto(data, sender)


class Relay(Datagrams):
    """The path: passes on what comes from either end, except a share of what goes out."""

    def __init__(self, peer: Address, share: float, chance: random.Random) -> None:
        self._peer = peer
        self._share = share
        self._chance = chance
        self._near: Address | None = None

    def datagram_received(self, data: bytes, sender: Address) -> None:
        if sender == self._peer:
            if self._near is not None:
                self.transport.sendto(data, self._near)
            return
        self._near = sender
        if self._chance.random() >= self._share:
            self.transport.sendto(data, self._peer)


class Prober(Datagrams):
    """The near end: sends numbered probes and knows which came back."""

    def __init__(self, relay: Address) -> None:
        self._relay = relay
        self._sent = 0
        self._out: deque[tuple[int, float]] = deque()  # number, loop time at which it was sent
        self._answered: set[int] = set()

    def send(self) -> None:
        """Send the next probe."""
        self._out.append((self._sent, asyncio.get_running_loop().time()))
        self.transport.sendto(_SEQUENCE.pack(self._sent), self._relay)
        self._sent += 1

    def datagram_received(self, data: bytes, sender: Address) -> None:
        (number,) = _SEQUENCE.unpack(data)
        if self._out and number >= self._out[0][0]:  # else it comes too late
            self._answered.add(number)

    def settle(self) -> tuple[int, int]:
        """Of how many probes the time is over since the last call, and how many of them are lost.

        An answered probe waits for its time as well. Counted at once, it would be ahead of the
        lost ones of its second, and lost / settled would be too low whenever it is looked at.
        """
        settled = lost = 0
        now = asyncio.get_running_loop().time()
        while self._out and now - self._out[0][1] >= ANSWER_TIMEOUT_S:
            number, _ = self._out.popleft()
            settled += 1
            lost += number not in self._answered
            self._answered.discard(number)
        return settled, lost


async def _open(protocol: Datagrams) -> asyncio.DatagramTransport:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: protocol, local_addr=("127.0.0.1", 0)
    )
    return transport


def _address(transport: asyncio.DatagramTransport) -> Address:
    host, port = transport.get_extra_info("sockname")
    return str(host), int(port)
