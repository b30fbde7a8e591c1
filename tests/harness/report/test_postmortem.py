"""postmortem.md: measured values in the documents' own shape."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.recording import Recording, TimelineEvent
from harness.report import render_postmortem
from harness.verdicts import Verdict

Run = tuple[Recording, Verdict]

SECTIONS = [
    "Issue summary",
    "Timeline (UTC)",
    "Root cause and resolution",
    "What the alerts would have done",
    "Corrective and preventative measures",
    "What was measured",
    "Conclusion",
]


def test_it_has_the_shape_of_the_documents(passed: Run) -> None:
    text = render_postmortem(*passed)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert text.startswith("# Postmortem: ")
    assert "**Duration:** 2024-05-07 09:00:" in text
    assert text.count("- [ ] ") >= 5


def test_the_timeline_is_in_order_and_holds_the_measured_clocks(passed: Run) -> None:
    text = render_postmortem(*passed)
    timeline = text.partition("## Timeline")[2].partition("## Root cause")[0]
    clocks = re.findall(r"^- \*\*(\d\d:\d\d:\d\d):\*\*", timeline, re.MULTILINE)
    assert len(clocks) >= 12
    assert clocks == sorted(clocks)
    assert "*Measured:* First pool timeout" in timeline


def test_what_only_a_human_knows_is_marked(passed: Run) -> None:
    assert render_postmortem(*passed).count("[TO WRITE: ") >= 5


def test_numbers_that_cannot_be_trusted_come_with_a_warning(unmeasured: Run, failed: Run) -> None:
    assert "Do not publish these numbers" in render_postmortem(*unmeasured)
    assert "| Pool timeouts | not measured |" in render_postmortem(*unmeasured)
    assert "the SLO was not broken in this run" in render_postmortem(*failed)


def test_a_run_that_did_not_recover_says_so(partial: Run) -> None:
    assert "it had not recovered at the end" in render_postmortem(*partial)


def test_text_of_a_recording_cannot_break_out_of_its_line(passed: Run) -> None:
    recording, verdict = passed
    nasty = {"says": "a | b\n\n# <b>Title</b> `x`", "by": "*me*"}
    events = (*recording.events, TimelineEvent(50.0, "note", "note", "at", nasty))
    text = render_postmortem(replace(recording, events=events), verdict)
    assert "\n# <b>" not in text
    assert r"\*me\*: a \| b \# \<b\>Title\</b\> \`x\`" in text
