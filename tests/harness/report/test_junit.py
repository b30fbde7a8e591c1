"""JUnit XML that CI servers read."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from harness.recording import Recording
from harness.report import render_junit
from harness.verdicts import Check, Verdict

Run = tuple[Recording, Verdict]

CASE_ATTRIBUTES = {"name", "classname", "time"}
CASE_CHILDREN = {"failure", "error", "skipped", "system-out", "system-err"}


@pytest.mark.parametrize("name", ["passed", "failed", "unmeasured", "partial"])
def test_each_check_is_a_case_in_the_shape_that_servers_expect(
    name: str, request: pytest.FixtureRequest
) -> None:
    _, verdict = request.getfixturevalue(name)
    root = ElementTree.fromstring(render_junit(verdict))
    assert root.tag == "testsuites"
    (suite,) = root
    assert next(child.tag for child in suite) == "properties"
    cases = suite.findall("testcase")
    assert [f"{case.get('classname')}.{case.get('name')}" for case in cases] == [
        f"undersized-pool.{check.id}" for check in verdict.checks
    ]
    for case in cases:
        assert set(case.attrib) == CASE_ATTRIBUTES
        assert {child.tag for child in case} <= CASE_CHILDREN
    outcomes = [check.outcome for check in verdict.checks]
    assert int(suite.attrib["tests"]) == len(outcomes)
    assert (
        int(suite.attrib["failures"]) == outcomes.count("fail") == len(suite.findall(".//failure"))
    )
    assert (
        int(suite.attrib["errors"]) == outcomes.count("invalid") == len(suite.findall(".//error"))
    )


def test_invalid_is_an_error_and_fail_a_failure_with_the_reason(failed: Run) -> None:
    root = ElementTree.fromstring(render_junit(failed[1]))
    failure = root.find(".//testcase[@name='users_affected']/failure")
    error = root.find(".//testcase[@name='capacity']/error")
    assert failure is not None
    assert "did not reproduce" in failure.attrib["message"]
    assert error is not None
    assert "not measured" in (error.text or "")


def test_characters_that_xml_cannot_hold_are_replaced(passed: Run) -> None:
    nasty = Check(
        id="run.parts_alive",
        outcome="fail",
        expected="<0>",
        measured="\x1b[31m\x00\ud800",
        why='died: "\x07" & </failure>',
    )
    verdict = passed[1].model_copy(update={"checks": (nasty,)})
    text = render_junit(verdict)
    failure = ElementTree.fromstring(text.encode("utf-8")).find(".//failure")
    assert failure is not None
    assert failure.attrib["message"] == 'died: "\ufffd" & </failure>'
