"""The safe fixes of an audit: shown as a diff, asked about, written."""

from __future__ import annotations

import sys

import typer
from rich.text import Text

from harness.audit import Audit
from harness.audit.reviewing.fixing import Fixes, fixed, unified, write
from harness.audit.reviewing.review import Review
from harness.cli.application import err, out
from harness.cli.audit_job import Job
from harness.report.audit.text import printable

STYLES = {"+": "green", "-": "red", "@": "cyan"}


def fix_them(review: Review, job: Job, *, yes: bool) -> Audit | None:
    """The audit of what was written; None where nothing was.

    Without a terminal to ask at, and without ``yes``, the diff is all.
    """
    fixes = fixed(review.audit, review.findings, job.declared, job.running)
    for line in unified(fixes):
        style = "bold" if line.startswith(("+++", "---")) else STYLES.get(line[:1], "")
        out.print(printable(Text(line, style)), soft_wrap=True, highlight=False)
    _say_dropped(fixes)
    if not fixes.changed:
        err.print("nothing that --fix may do: the other fixes are for people to decide")
        return None
    if not yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            err.print("nothing was written: --fix --yes writes it", highlight=False)
            return None
        if not typer.confirm("Write?", default=False):
            return None
    for name in write(fixes):
        err.print(printable(Text(f"{name}: written")), soft_wrap=True, highlight=False)
    return fixes.audit


def _say_dropped(fixes: Fixes) -> None:
    for dropped in fixes.dropped:
        said = f"{dropped.finding.place}: {dropped.finding.id} is not fixed: {dropped.why}"
        err.print(printable(Text(said)), soft_wrap=True, highlight=False)
