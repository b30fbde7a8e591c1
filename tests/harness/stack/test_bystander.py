"""A signal becomes a process that gives it, and that ends with the harness."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from harness.errors import PartStartError, UsageError
from harness.incident import ChattyClient, DatabaseNoise, NoisyLog, PacketLoss, Signal
from harness.stack.bystander import BYSTANDER_MODULE, Bystander, signal_environment

GATEWAY = "http://127.0.0.1:9"
DSN = "postgresql://auth:secret@127.0.0.1:9/auth"

PACKET_LOSS = PacketLoss(do="packet-loss", at_s=0, for_s=60, share=0.25)
NOISY_LOG = NoisyLog(do="noisy-log", at_s=0, for_s=60, rate_per_s=50)
DATABASE_NOISE = DatabaseNoise(do="database-noise", at_s=0, for_s=60, share=0.4)
CHATTY_CLIENT = ChattyClient(do="chatty-client", at_s=0, for_s=60, rate_per_s=12.5)

Start = Callable[..., Bystander]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(signal)``: as the harness starts it; it ends with the test."""
    started: list[Bystander] = []
    with httpx.Client(trust_env=False) as client:

        def begin(signal: Signal, **changed: Any) -> Bystander:
            arguments = {
                "number": 3,
                "gateway_url": GATEWAY,
                "database_dsn": DSN,
                "client": client,
                "logs": tmp_path / "logs",
                "folder": tmp_path,
                "cancelled": threading.Event(),
            }
            started.append(Bystander.start(signal, **(arguments | changed)))
            return started[-1]

        yield begin
    for bystander in started:
        bystander.stop()


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        (PACKET_LOSS, {"SHARE": "0.25"}),
        (NOISY_LOG, {"RATE_PER_S": "50.0"}),
        (DATABASE_NOISE, {"SHARE": "0.4", "DATABASE_URL": DSN}),
        (CHATTY_CLIENT, {"RATE_PER_S": "12.5", "TARGET": GATEWAY}),
    ],
    ids=lambda value: getattr(value, "do", ""),
)
def test_a_kind_is_told_what_it_needs_and_no_more(signal: Any, expected: dict[str, str]) -> None:
    """The database's password goes to the one kind that connects to it."""
    told = signal_environment(signal, gateway_url=GATEWAY, database_dsn=DSN)
    assert told == {"KIND": signal.do, **expected}


def test_a_signal_of_no_kind_is_refused() -> None:
    signal = Signal(do="sunspots", at_s=0, for_s=1)
    with pytest.raises(UsageError, match="sunspots is no signal that a bystander gives"):
        signal_environment(signal, gateway_url=GATEWAY, database_dsn=DSN)


@pytest.mark.parametrize(
    "signal",
    [PACKET_LOSS, NOISY_LOG, DATABASE_NOISE, CHATTY_CLIENT],
    ids=lambda signal: str(signal.do),
)
def test_it_shows_its_metrics_until_it_is_stopped(
    signal: Any, start: Start, tmp_path: Path
) -> None:
    """The process accepts what the harness tells it, whichever the signal."""
    bystander = start(signal)
    assert bystander.name == "bystander-3"
    assert httpx.get(bystander.metrics_url, trust_env=False).text.count("bystander_") > 1
    assert (tmp_path / "logs" / f"bystander-3-{signal.do}.log").exists()
    bystander.stop()
    assert bystander.child.returncode == 0
    assert not bystander.child.died_unexpectedly()
    bystander.stop()


def test_one_that_cannot_start_shows_its_log(start: Start) -> None:
    """What an incident refuses, the process refuses too: copying does not validate."""
    bad = PACKET_LOSS.model_copy(update={"share": 2.0})
    with pytest.raises(PartStartError, match=r"(?s)bystander-3 ended with exit code 2.*SHARE"):
        start(bad)


def test_a_start_that_is_called_off_leaves_nothing(start: Start) -> None:
    """When the run ends while a bystander starts."""
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(PartStartError, match="the wait for bystander-3 to listen was called off"):
        start(NOISY_LOG, cancelled=cancelled)
    left = [child.cmdline() for child in psutil.Process().children()]
    assert not [command for command in left if BYSTANDER_MODULE in command]
