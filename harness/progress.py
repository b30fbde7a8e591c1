"""What is going on, for whoever watches: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """A moment of a run. Times are replay seconds; None where it is not known."""

    stage: str
    elapsed_s: float = 0.0
    end_s: float = 0.0
    phase: str = ""
    offered: int = 0
    sent: int = 0
    ok: int = 0
    in_flight: int = 0
    waiters: int | None = None
    used: int | None = None
    limit: int | None = None


Watch = Callable[[LiveStatus], None]


@contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """A function to be told each `LiveStatus`; it shows them on ``console`` as that allows."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield lambda status: live.update(_picture(status))
    else:
        yield _PlainLines(console)


class _PlainLines:
    """One line at each change of stage or phase, and one every ten seconds between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: tuple[str, str] | None = None
        self._said_at = 0.0

    def __call__(self, status: LiveStatus) -> None:
        here, now = (status.stage, status.phase), time.monotonic()
        if here == self._last and now - self._said_at < PLAIN_EVERY_S:
            return
        self._last, self._said_at = here, now
        self._console.print(plain_line(status), highlight=False, markup=False, soft_wrap=True)


def plain_line(status: LiveStatus) -> str:
    """``status`` as one line of text."""
    if status.stage != "replaying":
        return status.stage
    waiters = "?" if status.waiters is None else status.waiters
    return (
        f"{max(0.0, status.elapsed_s):5.0f}/{status.end_s:.0f} s  {status.phase:<12} "
        f"offered {status.offered}  sent {status.sent}  ok {status.ok}  "
        f"in flight {status.in_flight}  pool {_pool(status)}  waiting {waiters}"
    )


def _pool(status: LiveStatus) -> str:
    if status.used is None:
        return "?"
    return f"{status.used}/{'unlimited' if status.limit is None else status.limit}"


def _picture(status: LiveStatus) -> Table | Text:
    if status.stage != "replaying":
        return Text(f"{status.stage} …", style="dim")
    grid = Table.grid(padding=(0, 2))
    waiting = Text("?" if status.waiters is None else str(status.waiters))
    if status.waiters:
        waiting.stylize("bold red")
    grid.add_row(
        ProgressBar(total=status.end_s, completed=max(0.0, status.elapsed_s), width=24),
        f"{max(0.0, status.elapsed_s):.0f}/{status.end_s:.0f} s",
        Text(status.phase, style="bold"),
        f"offered {status.offered}",
        f"ok {status.ok}",
        f"in flight {status.in_flight}",
        f"pool {_pool(status)}",
        Text("waiting ").append_text(waiting),
    )
    return grid
