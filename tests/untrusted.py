"""A run that cannot be trusted is played again: somebody else's work on the machine made it so.

Only *invalid* runs are, and :data:`TRIES` times at most. A verdict of pass or fail counts at once.
"""

from __future__ import annotations

import pytest

TRIES = 3


class UntrustedError(Exception):
    """A run was *invalid*, although nothing was done to it: it says nothing of the matter."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A hook of pytest's: slow tests begin again, with new folders, once they raise that."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.flaky(reruns=TRIES - 1, only_rerun=[UntrustedError]))
