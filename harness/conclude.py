"""From a recording on disk to its verdict and reports on disk, with nothing but the directory."""

from __future__ import annotations

from pathlib import Path

from harness.recording import Recording, read_recording
from harness.report import render_html, render_junit, render_postmortem
from harness.verdicts import Verdict, judge
from harness.writing import unwritable, write_text


def judge_directory(directory: Path) -> tuple[Recording, Verdict]:
    """Judge the recording in ``directory`` and write ``verdict.json`` beside it."""
    recording = read_recording(directory)
    verdict = judge(recording)
    _write(directory / "verdict.json", verdict.to_json())
    return recording, verdict


def write_reports(recording: Recording, verdict: Verdict) -> tuple[Path, ...]:
    """Write ``report.html``, ``postmortem.md`` and ``junit.xml``; their paths."""
    texts = {
        "report.html": render_html(recording, verdict),
        "postmortem.md": render_postmortem(recording, verdict),
        "junit.xml": render_junit(verdict),
    }
    for name, text in texts.items():
        _write(recording.directory / name, text)
    return tuple(recording.directory / name for name in texts)


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise unwritable(path.parent, error) from error
