"""Weighted rendezvous hashing: each user has a place, and none else moves when it goes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from hashlib import blake2b


def score(key: bytes, name: str, weight: float) -> float:
    """What the place ``name`` bids for ``key``; the highest bid wins.

    score = -weight / ln(h), h = hash(name, key) uniform in (0, 1)

    -ln(h) / weight is exponentially distributed with rate ``weight``, and the smallest of
    independent exponentials is the i-th one with probability weight_i / sum(weights): shares follow
    weights. A score depends on its own place only, so a place that goes or comes moves only its own
    users, and a changed weight moves users only from or to the place whose weight changed.

    Source: Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", SPAA 2005 (the
    logarithmic method); in this form: Resch, "New Hashing Algorithms for Data Storage", SNIA SDC
    2015.

    The hash is BLAKE2b, the same in every process, unlike Python's ``hash()``. ``weight`` must be
    above 0, and ``name`` must be free of NUL, which separates it from the key.
    """
    digest = blake2b(name.encode() + b"\0" + key, digest_size=8).digest()
    # 52 of the 64 bits, centred: exact in a double, and never 0 or 1, which have no use here.
    h = ((int.from_bytes(digest, "big") >> 12) + 0.5) * 2.0**-52
    return -weight / math.log(h)


def place(key: bytes, weights: Iterable[tuple[str, float]]) -> str | None:
    """Which name wins ``key`` among ``(name, weight)`` pairs; ``None`` if no weight is above 0."""
    bids = [(score(key, name, weight), name) for name, weight in weights if weight > 0]
    return max(bids)[1] if bids else None
