"""An audit's output: in the form that was asked for, on the terminal or into a file."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer
from rich.markdown import Markdown

from harness.audit import Severity
from harness.audit.reviewing.review import Review
from harness.audit.rules import RULES
from harness.cli.application import out
from harness.errors import UsageError
from harness.report.audit.github import as_github
from harness.report.audit.json import as_json
from harness.report.audit.junit import as_junit
from harness.report.audit.pages import page_of
from harness.report.audit.sarif import as_sarif
from harness.report.audit.text import as_text
from harness.writing import write_text

WIDEST = 120
"""Columns that are easily read; a wider terminal is not filled."""


class Format(StrEnum):
    """How findings are shown."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


def show(
    review: Review, form: Format, file: Path | None, fail_on: Severity, *, quiet: bool
) -> None:
    """On standard output; or into ``file``, whole or not at all, and then as text beside it."""
    if file is not None:
        try:
            write_text(file, encodable(_rendered(review, form, fail_on, quiet=quiet)))
        except OSError as error:
            raise UsageError(
                f"--out {file}: {error.strerror}", remedy="Name a file in a folder that is there."
            ) from None
    if file is None and form is not Format.TEXT:
        print(_rendered(review, form, fail_on, quiet=quiet), end="")
        return
    # Folded for people; a pipe gets whole lines, which can be searched.
    width = min(out.width, WIDEST) if out.is_terminal else None
    for line in as_text(review, width, quiet=quiet):
        out.print(line, soft_wrap=True, highlight=False)


def explain_rule(rule: str | None) -> None:
    """Show a rule's page, and end. Raises `UsageError` for a rule that there is not."""
    if rule is None:
        return
    page = page_of(rule.upper()) if rule.isalnum() else None
    if page is None:
        known = ", ".join(each.ID for each in RULES)
        raise UsageError(f"--explain {rule}: there is no such rule", remedy=f"There are {known}.")
    if out.is_terminal:
        out.print(Markdown(page.markdown), width=min(out.width, WIDEST))
    else:
        print(page.markdown, end="")
    raise typer.Exit


def encodable(text: str) -> str:
    """``text`` as UTF-8 can have it; a file's name may have bytes that are none."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _rendered(review: Review, form: Format, fail_on: Severity, *, quiet: bool) -> str:
    if form is Format.JSON:
        return _json(as_json(review))
    if form is Format.SARIF:
        return _json(as_sarif(review))
    if form is Format.JUNIT:
        return as_junit(review, fail_on)
    if form is Format.GITHUB:
        return "".join(f"{line}\n" for line in as_github(review))
    return "".join(f"{line.plain}\n" for line in as_text(review, quiet=quiet))


def _json(value: dict[str, Any]) -> str:
    """Readable where it may be; what is no UTF-8, as a file's name may be, is written as JSON's."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    try:
        text.encode("utf-8")
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=2) + "\n"
    return text
