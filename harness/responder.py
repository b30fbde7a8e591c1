"""Plays the timeline: what the responders did, when they did it, on the running stack.

`plan` is pure: the timeline as steps in replay time. `Responder` carries the due ones out and says
so in the recording, each with its beginning and its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from harness.incident import Event, Incident, Note, Phase, ReconnectNetwork, SetPool
from harness.recording import EventKind, EventState, TimelineEvent
from harness.stack import Stack
from harness.timemap import TimeMap

Emit = Callable[[TimelineEvent], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do at ``replay_s``; ``part`` of ``parts`` where an event has several."""

    replay_s: float
    what: Phase | Event
    part: int = 1
    parts: int = 1


def plan(incident: Incident, timemap: TimeMap) -> tuple[Step, ...]:
    """Phases and events as steps in replay time, in order; at one instant phases come first."""
    steps = [Step(timemap.to_replay_s(phase.at_s), phase) for phase in incident.load.phases]
    for event in incident.timeline:
        instants_s = event.instants_s(incident.service.replicas)
        steps += [
            Step(timemap.to_replay_s(at_s), event, number, len(instants_s))
            for number, at_s in enumerate(instants_s, start=1)
        ]
    return tuple(sorted(steps, key=lambda step: step.replay_s))


class Responder:
    """Carries steps out, one after the other, in a thread of its own.

    A step may take seconds (a replica has to start and another to drain); whoever calls goes on
    watching meanwhile. ``clock`` gives the replay second; ``emit`` records what is done.
    """

    def __init__(
        self, steps: tuple[Step, ...], stack: Stack, *, clock: Callable[[], float], emit: Emit
    ) -> None:
        self._waiting = list(steps)
        self._stack = stack
        self._clock = clock
        self._emit = emit
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="responder")
        self._begun: list[Future[None]] = []
        self.phase = ""

    def __enter__(self) -> Responder:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)

    def next_s(self) -> float | None:
        """Replay second of the next step; None when all were begun."""
        return self._waiting[0].replay_s if self._waiting else None

    def play_due(self) -> None:
        """Begin every step whose instant has come; raises what went wrong in an earlier one."""
        while self._waiting and self._waiting[0].replay_s <= self._clock():
            self._begun.append(self._worker.submit(self._play, self._waiting.pop(0)))
        self._raise_failures()

    def finish(self, timeout_s: float) -> None:
        """Wait for what was begun; raises what went wrong in it, TimeoutError after that long."""
        for future in self._begun:
            future.result(timeout_s)

    def _raise_failures(self) -> None:
        for future in self._begun:
            if future.done():
                future.result()

    def _play(self, step: Step) -> None:
        match step.what:
            case Phase() as phase:
                self.phase = phase.name
                self._say("phase", phase.name, "at", {"rate_per_s": phase.rate_per_s})
            case Note() as note:
                self._say("note", note.by or "note", "at", _words(note))
            case ReconnectNetwork() as event:
                kind: EventKind = "decoy" if event.decoy else "action"
                self._say(kind, event.do, "begin", _words(event))
                self._stack.gateway.control.reconnect()
                self._say(kind, event.do, "end", _words(event))
            case SetPool() as event:
                self._set_pool(event, step)

    def _set_pool(self, event: SetPool, step: Step) -> None:
        name = self._stack.replica_names[step.part - 1]
        before = self._stack.replicas[name].config
        after = before.model_copy(update={"pool": event.applied_to(before.pool)})
        detail = _words(event) | {
            "fix": event.fix,
            "replica": name,
            "step": step.part,
            "steps": step.parts,
            "before": _pool_words(before.pool),
            "after": _pool_words(after.pool),
        }
        self._say("action", event.do, "begin", detail)
        self._stack.reconfigure(name, after)
        self._say("action", event.do, "end", detail)

    def _say(
        self, kind: EventKind, name: str, state: EventState, detail: Mapping[str, Any]
    ) -> None:
        self._emit(TimelineEvent(self._clock(), kind, name, state, detail))


def _words(event: Event) -> dict[str, Any]:
    """What a reader of the recording is told about ``event``."""
    told = {"says": event.says, "by": event.by, "at_s": event.at_s, "clock": event.clock}
    return {key: value for key, value in told.items() if value not in ("", None)}


def _pool_words(pool: Any) -> str:
    return f"{pool.size}+{pool.max_overflow}, timeout {pool.timeout_s:g} s"
