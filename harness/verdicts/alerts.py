"""What the alerts did, against what users felt. Pure: the rules were evaluated before."""

from __future__ import annotations

from harness.measurements.model import Clocks
from harness.recording import AlertTimeline, Recording
from harness.verdicts.model import Alert


def alerts(recording: Recording, clocks: Clocks) -> tuple[Alert, ...]:
    """Each rule's first firing, and its lead before the first harm. Incident seconds."""
    return tuple(_alert(timeline, first_harm_s(clocks)) for timeline in recording.alerts or ())


def first_harm_s(clocks: Clocks) -> float | None:
    """The first pool timeout or the breach of the SLO, whichever came first."""
    harms = [at for at in (clocks.first_pool_timeout, clocks.slo_breach) if at is not None]
    return min(harms, default=None)


def _alert(timeline: AlertTimeline, harm_s: float | None) -> Alert:
    if not timeline.firings:
        return Alert(
            name=timeline.alert, state=timeline.state, fired_s=None, lead_s=None, resolved_s=None
        )
    fired_s = min(firing.fired_s for firing in timeline.firings)
    ends = [firing.resolved_s for firing in timeline.firings]
    resolved = None if None in ends else max(end for end in ends if end is not None)
    return Alert(
        name=timeline.alert,
        state="fired",
        fired_s=fired_s,
        lead_s=None if harm_s is None else round(harm_s - fired_s, 3),
        resolved_s=resolved,
    )
