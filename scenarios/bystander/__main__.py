"""Starts a bystander: ``python -m scenarios.bystander``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Coroutine
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector

from scenarios.bystander.process import (
    EXIT_OK,
    announce,
    cancel_when_asked_to_end,
    log_as_json,
    serve_metrics,
)
from scenarios.bystander.settings import (
    ChattyClientSettings,
    DatabaseNoiseSettings,
    NoisyLogSettings,
    PacketLossSettings,
    Settings,
    settings_or_exit,
)

EXIT_FAILED = 1

logger = logging.getLogger("scenarios.bystander")


def main() -> int:
    """Do what the environment asks for until asked to end; the exit code."""
    settings = settings_or_exit()
    log_as_json("bystander")
    try:
        asyncio.run(_run(settings))
    except Exception:  # whatever it was: the log is the only place to say it
        logger.exception("%s failed", settings.kind)
        return EXIT_FAILED
    logger.info("ended")
    return EXIT_OK


async def _run(settings: Settings) -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    task = asyncio.create_task(_work(settings, registry))
    cancel_when_asked_to_end(task, exit_with_stdin=settings.exit_with_stdin)
    port = serve_metrics(registry)
    if settings.announce is not None:
        announce(settings.announce, port)
    logger.info("listening", extra={"pid": os.getpid(), "port": port, "kind": settings.kind})
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _work(settings: Settings, registry: CollectorRegistry) -> Coroutine[Any, Any, None]:
    """What the kind does. Imported here: an HTTP client or a driver costs 0.3 s of processor."""
    match settings:
        case PacketLossSettings():
            from scenarios.bystander.packet_loss import PacketLoss

            return PacketLoss(settings.share, seed=settings.seed, registry=registry).run()
        case NoisyLogSettings():
            from scenarios.bystander.noisy_log import NoisyLog

            return NoisyLog(settings.rate_per_s, seed=settings.seed, registry=registry).run()
        case DatabaseNoiseSettings():
            from scenarios.bystander.database_noise import DatabaseNoise

            url = settings.database_url.get_secret_value()
            return DatabaseNoise(url, settings.share, registry=registry).run()
        case ChattyClientSettings():
            from scenarios.bystander.chatty_client import ChattyClient

            return ChattyClient(
                settings.target, settings.rate_per_s, seed=settings.seed, registry=registry
            ).run()
    raise AssertionError(f"no work for {settings.kind}")


if __name__ == "__main__":
    sys.exit(main())
