"""The verdict as JUnit XML, one test case a check: a failure that failed, an error if invalid."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from harness.verdicts import Check, Verdict

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(verdict: Verdict) -> str:
    """A ``testsuites`` document. CI servers show its failures beside those of other tests."""
    outcomes = [check.outcome for check in verdict.checks]
    counts = {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("fail")),
        "errors": str(outcomes.count("invalid")),
    }
    root = ElementTree.Element("testsuites", {"name": "pooldrill", **counts})
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        {"name": xml_text(verdict.incident), **counts, "skipped": "0", "time": "0"},
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name in ("seed", "source", "outcome"):
        value = xml_text(str(getattr(verdict, name)))
        ElementTree.SubElement(properties, "property", {"name": name, "value": value})
    for check in verdict.checks:
        _case(suite, verdict, check)
    return rendered(root)


def rendered(root: ElementTree.Element) -> str:
    """The text of an XML document."""
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _case(suite: ElementTree.Element, verdict: Verdict, check: Check) -> None:
    group, _, name = check.id.partition(".")
    where = {
        "classname": xml_text(f"{verdict.incident}.{group}"),
        "name": xml_text(name or group),
        "time": "0",
    }
    case = ElementTree.SubElement(suite, "testcase", where)
    measured = "not measured" if check.measured is None else str(check.measured)
    found = f"expected {check.expected}, measured {measured}"
    if check.outcome == "pass":
        ElementTree.SubElement(case, "system-out").text = xml_text(found)
        return
    kind = "failure" if check.outcome == "fail" else "error"
    message = xml_text(check.why or found)
    told = ElementTree.SubElement(case, kind, {"message": message, "type": check.outcome})
    told.text = xml_text(f"{check.id}: {found}\n{check.why}".rstrip())


def xml_text(value: str) -> str:
    """``value`` without the characters that XML 1.0 cannot hold even escaped."""
    return _NOT_XML.sub("\ufffd", value)
