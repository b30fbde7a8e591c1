"""From a recording to its verdict. The same directory gives the same bytes, always."""

from __future__ import annotations

from harness.recording import Recording
from harness.verdicts import reproduction, validity
from harness.verdicts.alerts import alerts
from harness.verdicts.evidence import measure
from harness.verdicts.model import Verdict, merge


def judge(recording: Recording) -> Verdict:
    """The verdict on ``recording``; pure: no clock, no network, nothing but the recording."""
    evidence = measure(recording)
    checks = (*reproduction.checks(evidence), *validity.checks(evidence))
    return Verdict(
        schema_version=1,
        incident=recording.incident.name,
        seed=recording.info.seed,
        outcome=merge(check.outcome for check in checks),
        source=recording.info.source,
        arrivals=evidence.arrivals,
        users=evidence.users,
        latency_s=evidence.latency,
        clocks_s=evidence.clocks,
        capacity=evidence.capacity,
        alerts=alerts(recording, evidence.clocks),
        checks=checks,
    )
