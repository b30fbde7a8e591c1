"""A process beside the service whose signals are true and beside the point."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx

from harness.errors import UsageError
from harness.incident import ChattyClient, DatabaseNoise, NoisyLog, PacketLoss, Signal
from harness.stack.announced import (
    await_announcement,
    await_http,
    clean_environment,
    python_module,
)
from harness.stack.ports import LOOPBACK
from harness.stack.process import Child

BYSTANDER_MODULE = "scenarios.bystander"
PREFIX = "POOLDRILL_BYSTANDER_"
STOP_S = 1.5


class Bystander:
    """One process that does what a `Signal` says, from its start to its stop."""

    def __init__(self, name: str, child: Child, port: int) -> None:
        self.name = name
        self.child = child
        self.metrics_url = f"http://{LOOPBACK}:{port}/metrics"

    @classmethod
    def start(
        cls,
        signal: Signal,
        *,
        number: int,
        gateway_url: str,
        database_dsn: str,
        client: httpx.Client,
        logs: Path,
        folder: Path,
        cancelled: threading.Event,
    ) -> Bystander:
        """Start the process and wait until its metrics answer; what it does has begun by then.

        ``number`` makes name, log and seed of one bystander those of no other in the run.

        Raises `PartStartError` with the end of the log when it does not come up, and `UsageError`
        for a signal that is none of a bystander's.
        """
        name = f"bystander-{number}"
        settings = signal_environment(signal, gateway_url=gateway_url, database_dsn=database_dsn)
        announce = folder / f"{name}.json"
        own = {"ANNOUNCE": str(announce), "EXIT_WITH_STDIN": "1", "SEED": str(number)}
        child = Child(
            name,
            python_module(BYSTANDER_MODULE),
            log=logs / f"{name}-{settings['KIND']}.log",
            env=clean_environment({PREFIX + key: text for key, text in (settings | own).items()}),
            hold_stdin=True,
        )
        try:
            announced = await_announcement(child, announce, cancelled=cancelled)
            bystander = cls(name, child, announced.port)
            await_http(
                client,
                child,
                bystander.metrics_url,
                f"{name} to show its metrics",
                cancelled=cancelled,
            )
        except BaseException:
            child.stop(STOP_S)
            raise
        return bystander

    def stop(self, within_s: float = STOP_S) -> None:
        """End the process, and what it did with it. May be called again."""
        self.child.stop(within_s)


def signal_environment(signal: Signal, *, gateway_url: str, database_dsn: str) -> dict[str, str]:
    """A signal as the variables of a bystander, without their prefix: those it has a use for."""
    match signal:
        case PacketLoss():
            return {"KIND": signal.do, "SHARE": str(signal.share)}
        case NoisyLog():
            return {"KIND": signal.do, "RATE_PER_S": str(signal.rate_per_s)}
        case DatabaseNoise():
            share = str(signal.share)
            return {"KIND": signal.do, "SHARE": share, "DATABASE_URL": database_dsn}
        case ChattyClient():
            rate = str(signal.rate_per_s)
            return {"KIND": signal.do, "RATE_PER_S": rate, "TARGET": gateway_url}
    raise UsageError(f"{signal.do} is no signal that a bystander gives")
