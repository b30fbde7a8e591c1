"""An audit as JUnit XML: a test case a rule and file, in the shape that Jenkins takes."""

from __future__ import annotations

from collections import defaultdict
from xml.etree import ElementTree

from harness.audit.finding import Finding, Severity, Unknown
from harness.audit.reviewing.review import Review
from harness.audit.rules import RULES
from harness.report.junit import rendered, xml_text

SUITE = "pooldrill audit"


def as_junit(review: Review, fail_on: Severity) -> str:
    """Failures are findings at least as grave as ``fail_on``; skipped is what could not be told.

    A rule that has nothing to say of any file passes as one case.
    """
    failing = set(review.reaching(fail_on))
    findings: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in review.findings:
        findings[finding.id, finding.place.file].append(finding)
    unknown: dict[tuple[str, str], list[Unknown]] = defaultdict(list)
    for each in review.audit.unknown:
        unknown[each.id, each.place.file if each.place else ""].append(each)
    told = {rule for rule, _ in (*findings, *unknown)}
    silent = {(rule.ID, "") for rule in RULES if rule.ID not in told}
    titles = {rule.ID: rule.TITLE for rule in RULES}

    suite = ElementTree.Element("testsuite", {"name": SUITE})
    failures = skipped = 0
    cases = sorted({*findings, *unknown, *silent})
    for rule, file in cases:
        case = _case(suite, rule, titles[rule], file)
        here = findings.get((rule, file), [])
        bad = [finding for finding in here if finding in failing]
        if bad:
            failures += 1
            kind = {"message": xml_text(bad[0].message), "type": bad[0].severity}
            ElementTree.SubElement(case, "failure", kind).text = _told(bad)
        elif here:
            ElementTree.SubElement(case, "system-out").text = _told(here)
        elif why := unknown.get((rule, file)):
            skipped += 1
            needs = "; ".join(dict.fromkeys(each.needs for each in why))
            said = {"message": xml_text(f"cannot tell without {needs}")}
            ElementTree.SubElement(case, "skipped", said)
    if review.audit.unread:
        lines = [f"{unread.file}: {unread.why}" for unread in review.audit.unread]
        ElementTree.SubElement(suite, "system-err").text = xml_text("\n".join(lines))
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}
    suite.attrib.update(counts, skipped=str(skipped), time="0")
    root = ElementTree.Element("testsuites", {"name": SUITE, **counts})
    root.append(suite)
    return rendered(root)


def _case(suite: ElementTree.Element, rule: str, title: str, file: str) -> ElementTree.Element:
    name = f"{rule}: {title}"
    where = {"classname": xml_text(file or SUITE), "name": xml_text(name), "time": "0"}
    return ElementTree.SubElement(suite, "testcase", where)


def _told(findings: list[Finding]) -> str:
    return xml_text(
        "\n".join(f"{each.place}: {each.id}: {each.message}\nfix: {each.fix}" for each in findings)
    )
