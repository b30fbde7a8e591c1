"""The rules' pages, for programs that show them beside a finding."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import harness
from harness.audit.finding import SEVERITIES, Severity

HERE = Path(harness.__file__).parent
FOLDERS = (HERE / "audit" / "rule_pages", HERE.parent / "docs" / "audit")
"""Where they are in what is installed, and in a checkout."""


@dataclass(frozen=True, slots=True)
class Page:
    """A rule's page; its links within the project are gone, as nothing is there elsewhere.

    ``source`` is the first public page that it cites, empty where it cites none.
    """

    markdown: str
    why: str
    severity: Severity
    source: str


@cache
def page_of(rule: str) -> Page | None:
    """The page of a rule; None where it was not installed."""
    for folder in FOLDERS:
        if (folder / f"{rule}.md").is_file():
            return _page((folder / f"{rule}.md").read_text("utf-8"))
    return None


def _page(text: str) -> Page:
    markdown = re.sub(r"\[([^\]]*)\]\((?!https?://)[^)]*\)", r"\1", text)
    why = re.search(r"^## Why\n+(.*?)(?=\n\n|\n## |\Z)", markdown, re.MULTILINE | re.DOTALL)
    said = re.search(r"^Severity: (\w+)", text, re.MULTILINE)
    severities = [each for each in SEVERITIES if said and each == said[1]]
    cited = re.search(r"^Sources?:(.*?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    source = re.search(r"\]\((https?://[^)\s]+)\)", cited[1]) if cited else None
    return Page(
        markdown=markdown,
        why=" ".join(why[1].split()) if why else "",
        severity=severities[0] if severities else "warning",
        source=source[1] if source else "",
    )
