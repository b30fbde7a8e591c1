"""An audit as SARIF 2.1.0, which GitHub's code scanning and many editors read.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os.html
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.audit.finding import Finding, Unknown, Unread
from harness.audit.reviewing.fingerprints import fingerprints, relative_to
from harness.audit.reviewing.fixing import span
from harness.audit.reviewing.review import Review
from harness.audit.reviewing.suppressions import Suppression
from harness.audit.rules import RULES, Rule
from harness.audit.sources import UNREMARKABLE
from harness.audit.values import Place
from harness.report.audit.naming import from_here
from harness.report.audit.pages import page_of

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
ROOT = "%SRCROOT%"
FINGERPRINT = "pooldrill/v1"

_RULE_INDEX = {rule.ID: index for index, rule in enumerate(RULES)}


def as_sarif(review: Review) -> dict[str, Any]:
    """One run. Findings that do not count are in it as suppressed; nothing of it is the time's."""
    audit = review.audit
    prints = fingerprints(audit.findings, audit.sources, relative_to(Path()))
    results = [_result(each, prints, review) for each in review.findings]
    for each in review.suppressed:
        said = _result(each.finding, prints, review)
        results.append({**said, "suppressions": [_suppression(each.by)]})
    for finding in review.known:
        said = _result(finding, prints, review)
        why = f"It is in {review.known_by}."
        results.append({**said, "suppressions": [{"kind": "external", "justification": why}]})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "pooldrill",
                        "version": importlib.metadata.version("pooldrill"),
                        "rules": [_rule(rule) for rule in RULES],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolConfigurationNotifications": [_unknown(u) for u in audit.unknown],
                        "toolExecutionNotifications": [_unread(u) for u in audit.unread],
                    }
                ],
                "originalUriBaseIds": {
                    ROOT: {"description": {"text": "The folder that pooldrill was started in."}}
                },
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    name = "".join(word[:1].upper() + word[1:] for word in re.findall(r"\w+", rule.TITLE))
    said: dict[str, Any] = {
        "id": rule.ID,
        "name": name,
        "shortDescription": {"text": rule.TITLE},
        "defaultConfiguration": {"level": "warning"},
        "properties": {"tags": ["reliability", "connection-pool"], "precision": "high"},
    }
    page = page_of(rule.ID)
    if page is None:
        return said
    said["fullDescription"] = {"text": page.why or rule.TITLE}
    said["help"] = {"text": page.markdown, "markdown": page.markdown}
    said["defaultConfiguration"] = {"level": page.severity}
    if page.source:
        said["helpUri"] = page.source
    return said


def _result(finding: Finding, prints: Mapping[Finding, str], review: Review) -> dict[str, Any]:
    said: dict[str, Any] = {
        "ruleId": finding.id,
        "ruleIndex": _RULE_INDEX[finding.id],
        "level": finding.severity,
        "message": {"text": f"{finding.message}\nFix: {finding.fix}"},
        "locations": [_location(finding.place)],
        "partialFingerprints": {FINGERPRINT: prints[finding]},
    }
    if fixes := _fixes(finding, review):
        said["fixes"] = fixes
    return said


def _fixes(finding: Finding, review: Review) -> list[dict[str, Any]]:
    edit = finding.edit
    if edit is None or edit.place.file not in review.audit.sources:
        return []
    columns = span(edit, review.audit.sources[edit.place.file].text)
    if columns is None:
        return []
    begin, end = (column + 1 for column in columns)
    region = {"startLine": edit.place.line, "startColumn": begin, "endColumn": end}
    replacement = {"deletedRegion": region, "insertedContent": {"text": edit.new_text}}
    change = {"artifactLocation": _artifact(edit.place.file), "replacements": [replacement]}
    return [{"description": {"text": finding.fix}, "artifactChanges": [change]}]


def _suppression(by: Suppression) -> dict[str, Any]:
    return {
        "kind": "inSource" if by.in_source else "external",
        "status": "accepted",
        "justification": f"{by.reason} (until {by.until.isoformat()})",
        "location": _location(by.place),
    }


def _unknown(unknown: Unknown) -> dict[str, Any]:
    said: dict[str, Any] = {
        "level": "note",
        "message": {"text": f"{unknown.id} cannot tell without {unknown.needs}"},
        "associatedRule": {"id": unknown.id, "index": _RULE_INDEX[unknown.id]},
    }
    if unknown.place is not None:
        said["locations"] = [_location(unknown.place)]
    return said


def _unread(unread: Unread) -> dict[str, Any]:
    return {
        "level": "note" if unread.why in UNREMARKABLE else "warning",
        "message": {"text": f"{unread.file} was not read: {unread.why}"},
        "locations": [_location(Place(unread.file, unread.line))],
    }


def _location(place: Place) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _artifact(place.file)}
    if place.line:
        physical["region"] = {"startLine": place.line}
    location: dict[str, Any] = {"physicalLocation": physical}
    if place.key:
        location["logicalLocations"] = [
            {"name": place.key.rpartition(".")[2] or place.key, "fullyQualifiedName": place.key}
        ]
    return location


def _artifact(file: str) -> dict[str, str]:
    below = from_here(file)
    if below is None:
        return {"uri": Path(file).resolve().as_uri()}
    return {"uri": quote(below, errors="surrogateescape"), "uriBaseId": ROOT}
