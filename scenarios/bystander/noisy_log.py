"""A neighbour that logs warnings and errors, every one of them harmless."""

from __future__ import annotations

import logging
import random
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter

from scenarios.bystander.pace import ticks


class Complaint(NamedTuple):
    """A kind of line; ``often`` is its weight among the others."""

    level: int
    logger: str
    message: str
    often: int = 1


COMPLAINTS = (
    Complaint(logging.WARNING, "tls", "deprecated cipher {cipher} accepted from {address}", 4),
    Complaint(logging.WARNING, "tls", "certificate of legacy.internal expires in 40 days"),
    Complaint(logging.WARNING, "cache", "cache miss for profile:{number}, read through", 6),
    Complaint(logging.WARNING, "resolver", "DNS answer after {millis} ms, retried, fine", 3),
    Complaint(logging.WARNING, "config", "option legacy_cookies is deprecated, default used", 2),
    Complaint(logging.WARNING, "clock", "clock was {millis} ms off and has been corrected"),
    Complaint(logging.ERROR, "newsletter", "mail {number} bounced, queued for another try", 2),
    Complaint(logging.ERROR, "avatars", "thumbnail {number} is no image, default shown", 2),
    Complaint(logging.ERROR, "tracing", "batch of {number} spans refused, accepted on retry"),
)
WEIGHTS = tuple(complaint.often for complaint in COMPLAINTS)
CIPHERS = ("AES128-SHA", "DES-CBC3-SHA", "ECDHE-RSA-AES128-SHA")


class NoisyLog:
    """Logs ``rate_per_s`` complaints a second."""

    def __init__(self, rate_per_s: float, *, seed: int, registry: CollectorRegistry) -> None:
        self._rate_per_s = rate_per_s
        self._chance = random.Random(seed)  # noqa: S311 - which line comes next is no secret
        lines = Counter(
            "bystander_log_lines", "Lines of noise logged.", ["level"], registry=registry
        )
        self._lines = {
            level: lines.labels(logging.getLevelName(level).lower())
            for level in (logging.WARNING, logging.ERROR)
        }

    async def run(self) -> None:
        """Log until cancelled."""
        async for _ in ticks(self._rate_per_s):
            (complaint,) = self._chance.choices(COMPLAINTS, WEIGHTS)
            logging.getLogger(complaint.logger).log(complaint.level, self._text(complaint))
            self._lines[complaint.level].inc()

    def _text(self, complaint: Complaint) -> str:
        chance = self._chance
        return complaint.message.format(
            cipher=chance.choice(CIPHERS),
            address=f"10.20.{chance.randrange(256)}.{chance.randrange(1, 255)}",
            number=chance.randrange(1000, 10_000),
            millis=chance.randrange(120, 900),
        )
