"""What the alerts would have done, in every format."""

from __future__ import annotations

from dataclasses import replace

from harness.recording import AlertFiring, AlertTimeline, Recording
from harness.report import render_html, render_postmortem
from harness.report.alert_story import alert_story
from harness.report.story import tell
from harness.verdicts import Verdict, judge

Run = tuple[Recording, Verdict]


def timeline(
    alert: str, *fired_s: float, severity: str = "page", layer: str = "pool"
) -> AlertTimeline:
    labels = {"severity": severity, "layer": layer}
    return AlertTimeline(
        alert=alert,
        severity=severity,
        state="fired" if fired_s else "silent",
        expr="x > 1",
        for_s=0,
        scrape_s=15,
        interval_s=15,
        group_wait_s=30,
        firings=tuple(AlertFiring(labels, at, at, at + 60) for at in fired_s),
    )


def judged(recording: Recording, *timelines: AlertTimeline) -> Run:
    recording = replace(recording, alerts=timelines)
    return recording, judge(recording)


def test_a_run_without_evaluated_rules_says_so(passed: Run) -> None:
    told = alert_story(tell(*passed))
    assert not told.evaluated
    assert "pooldrill alerts evaluate" in told.why
    assert "No rules were evaluated" in render_html(*passed)
    assert passed[1].alerts == ()


def test_minutes_of_lead_and_minutes_saved(passed: Run) -> None:
    """The surge comes at 600 s, the fix begins at 7800 s."""
    harm_s = passed[1].clocks_s.first_pool_timeout
    assert harm_s is not None
    run = judged(
        passed[0],
        timeline("Symptom", 300, layer="login"),
        timeline("Queue", 450),
        timeline("Ticket", 10, severity="warning"),
        timeline("Quiet"),
    )
    told = alert_story(tell(*run))
    assert told.sentences[0].startswith("The first page, Symptom, would have gone out at 08:55:30,")
    assert "before the first user was harmed" in told.sentences[0]
    assert told.sentences[1].startswith("Queue says where to look.")
    assert "2 h 2 min" in told.sentences[1]
    assert [row.alert for row in told.rows] == ["Ticket", "Symptom", "Queue"]
    assert told.silent == 1
    alerts = {alert.name: alert for alert in run[1].alerts}
    assert alerts["Queue"].state == "fired"
    assert alerts["Queue"].lead_s is not None
    assert alerts["Queue"].lead_s > 0
    assert (alerts["Quiet"].state, alerts["Quiet"].lead_s) == ("silent", None)
    for text in (render_html(*run), render_postmortem(*run)):
        assert "What the alerts would have done" in text
        assert "2 h 2 min" in text


def test_what_fired_before_the_recording_has_no_clock(passed: Run) -> None:
    told = alert_story(tell(*judged(passed[0], timeline("Budget", -3000, layer="configuration"))))
    assert "from the beginning" in told.sentences[0]
    assert told.rows[0].fired == "before the recording"


def test_tickets_wake_nobody(passed: Run) -> None:
    told = alert_story(tell(*judged(passed[0], timeline("Ticket", 10, severity="warning"))))
    assert told.sentences == ("Nobody would have been paged.",)
