"""The bystanders that are there now."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from harness.errors import InfrastructureError
from harness.incident import Signal
from harness.stack.bystander import Bystander

STOP_S = 0.2


class Bystanders:
    """Starts and ends bystanders; ``moved`` is called whenever one has come or gone."""

    def __init__(
        self,
        *,
        client: httpx.Client,
        logs: Path,
        folder: Path,
        cancelled: threading.Event,
        moved: Callable[[], None],
    ) -> None:
        self._client = client
        self._logs = logs
        self._folder = folder
        self._cancelled = cancelled
        self._moved = moved
        self._numbers = itertools.count(1)
        self._present: list[Bystander] = []

    @property
    def present(self) -> tuple[Bystander, ...]:
        """Those that are there now."""
        return tuple(self._present)

    @contextmanager
    def attending(
        self, signal: Signal, *, gateway_url: str, database_dsn: str
    ) -> Iterator[Bystander]:
        """A bystander that is there inside. Raises `PartStartError` when it does not come."""
        bystander = Bystander.start(
            signal,
            number=next(self._numbers),
            gateway_url=gateway_url,
            database_dsn=database_dsn,
            client=self._client,
            logs=self._logs,
            folder=self._folder,
            cancelled=self._cancelled,
        )
        self._present.append(bystander)
        try:
            if self._cancelled.is_set():  # `stop` may have looked at the list already
                raise InfrastructureError(f"{bystander.name} was sent off: the stack is stopping")
            self._moved()
            yield bystander
        finally:
            bystander.child.expect_end()
            self._present.remove(bystander)
            bystander.stop()
            self._moved()

    def ask_to_stop(self) -> None:
        """Send all of them the signal; `stop` does the waiting."""
        for bystander in self.present:
            bystander.child.ask_to_stop()

    def stop(self) -> None:
        """End all of them; they were asked before."""
        self.ask_to_stop()
        deadline = time.monotonic() + STOP_S
        for bystander in self.present:
            bystander.stop(max(0.0, deadline - time.monotonic()))
