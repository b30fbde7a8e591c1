"""Edits that rules offer: those that are safe, because they only make a wait shorter or bounded."""

from __future__ import annotations

import math

from harness.audit.finding import Edit
from harness.audit.values import Value

SHARE = 0.8
"""Of what somebody waits for: the rest is for the work behind the queue."""


def shorter_wait(wait: Value[float], patience_s: float) -> Edit | None:
    """A wait in seconds that ends while somebody still listens; whole where that is 1 s or more.

    None where the wait stands nowhere, or no whole second fits and the wait was whole: some
    products take whole seconds only, and 0 is for ever there.
    """
    if wait.known is None or wait.origin != "file" or wait.place is None:
        return None
    target_s = patience_s * SHARE
    if not math.isfinite(target_s) or target_s <= 0:
        return None
    old = 0.0 if math.isinf(wait.known) else wait.known
    if target_s >= 1:
        return Edit(wait.place, f"{old:g}", str(math.floor(target_s)))
    if float(old).is_integer():
        return None
    return Edit(wait.place, f"{old:g}", f"{target_s:.2g}")
