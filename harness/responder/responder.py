"""Carries the steps of a timeline out, in a thread of its own, and records each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from harness.faults import befalling
from harness.incident import Action, Lasting, Note, Phase, TimelineEntry
from harness.recording import EventKind, EventState, TimelineEvent
from harness.responder.actions import Clients, Surroundings, change
from harness.responder.plan import Step
from harness.stack import Stack

Emit = Callable[[TimelineEvent], None]


class Responder:
    """Carries steps out, one after the other; those of one change at one instant together.

    A step may take seconds (a replica has to start and another to drain); whoever calls goes on
    watching meanwhile. ``clock`` gives the replay second; ``emit`` records what is done. On leaving
    the context every fault that still holds is healed.
    """

    def __init__(
        self,
        steps: tuple[Step, ...],
        stack: Stack,
        clients: Clients,
        *,
        clock: Callable[[], float],
        emit: Emit,
    ) -> None:
        self._waiting = list(steps)
        self._around = Surroundings(stack, clients)
        self._clock = clock
        self._emit = emit
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="responder")
        self._begun: list[Future[None]] = []
        self._holding: dict[int, ExitStack] = {}
        self.phase = ""

    def __enter__(self) -> Responder:
        return self

    def __exit__(self, *_: object) -> None:
        # A step under way is not awaited: it may take seconds, and the stack calls it off.
        self._worker.shutdown(wait=False, cancel_futures=True)
        while self._holding:
            self._holding.popitem()[1].close()

    def next_s(self) -> float | None:
        """Replay second of the next step; None when all were begun."""
        return self._waiting[0].replay_s if self._waiting else None

    def play_due(self) -> None:
        """Begin every step whose instant has come; raises what went wrong in an earlier one."""
        while self._waiting and self._waiting[0].replay_s <= self._clock():
            together = [self._waiting.pop(0)]
            while self._waiting and _belong_together(together[0], self._waiting[0]):
                together.append(self._waiting.pop(0))
            self._begun.append(self._worker.submit(self._play_all, together))
        self._raise_failures()

    def finish(self, timeout_s: float) -> None:
        """Wait for what was begun; raises what went wrong in it, TimeoutError after that long."""
        for future in self._begun:
            future.result(timeout_s)

    def _raise_failures(self) -> None:
        for future in self._begun:
            if future.done():
                future.result()

    def _play_all(self, steps: list[Step]) -> None:
        """The steps of one rolling change that are due at one instant, side by side."""
        if len(steps) == 1:
            self._play(steps[0])
            return
        with ThreadPoolExecutor(len(steps), thread_name_prefix="responder-step") as workers:
            list(workers.map(self._play, steps))

    def _play(self, step: Step) -> None:
        match step.what:
            case Phase() as phase:
                self.phase = phase.name
                self._say("phase", phase.name, "at", {"rate_per_s": phase.rate_per_s})
            case Note() as note:
                self._say("note", note.by or "note", "at", _words(note))
            case Lasting() as event:
                self._befall(event, step)
            case Action() as action:
                self._act(action, step)

    def _act(self, action: Action, step: Step) -> None:
        made = change(action, step.target, self._around)
        detail = _words(action) | {
            "fix": action.fix,
            "settle_s": step.settle_s,
            "step": step.part,
            "steps": step.parts,
            **({"replica": step.target} if step.target else {}),
            **made.words,
        }
        self._say(action.kind, action.do, "begin", detail)
        found = made.do()
        self._say(action.kind, action.do, "end", {**detail, **(found or {})})

    def _befall(self, event: Lasting, step: Step) -> None:
        detail = _words(event) | {"for_s": event.for_s, "settle_s": step.settle_s}
        if step.part == 1:
            self._say(event.kind, event.do, "begin", detail)
            held = ExitStack()
            self._holding[id(event)] = held
            held.callback(self._say, event.kind, event.do, "end", detail)
            held.enter_context(befalling(event, self._around.stack))
        else:
            self._holding.pop(id(event)).close()

    def _say(
        self, kind: EventKind, name: str, state: EventState, detail: Mapping[str, Any]
    ) -> None:
        self._emit(TimelineEvent(self._clock(), kind, name, state, detail))


def _belong_together(one: Step, other: Step) -> bool:
    return one.what is other.what and one.replay_s == other.replay_s


def _words(event: TimelineEntry) -> dict[str, Any]:
    """What a reader of the recording is told about ``event``."""
    told = {"says": event.says, "by": event.by, "at_s": event.at_s, "clock": event.clock}
    return {key: value for key, value in told.items() if value not in ("", None)}
