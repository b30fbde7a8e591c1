"""What counts of an audit: fingerprints, baselines, suppressions that are over."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.auditing import Audit
from harness.audit.finding import Finding
from harness.audit.reviewing.baseline import entries, read_baseline, rendered
from harness.audit.reviewing.fingerprints import fingerprints, relative_to
from harness.audit.reviewing.review import Review, reviewed, since, without_baseline
from harness.audit.reviewing.suppressions import Suppression
from harness.audit.sources import SourceFile
from harness.audit.values import Place
from harness.errors import AuditInputError

TODAY = datetime.date(2027, 1, 15)
LINES = "A=1\nTIMEOUT=30\nB=2\nTIMEOUT=30\n"


def found(line: int, file: str = "app.env", rule: str = "PD103", key: str = "TIMEOUT") -> Finding:
    return Finding(rule, "error", Place(file, line, key), f"line {line} breaks", "mend it")


def audit(text: str, *findings: Finding, file: str = "app.env") -> Audit:
    return Audit(findings, (), (), (file,), sources={file: SourceFile(Path(file), file, text)})


def printed(text: str, *findings: Finding, file: str = "app.env") -> list[str]:
    sources = audit(text, *findings, file=file).sources
    prints = fingerprints(findings, sources, str)
    return [prints[finding] for finding in findings]


def test_a_fingerprint_stays_when_the_line_moves() -> None:
    assert printed(LINES, found(2)) == printed(f"\n\n{LINES}", found(4))


@pytest.mark.parametrize(
    "other",
    [
        printed(LINES.replace("30", "40"), found(2)),
        printed(LINES, found(2, rule="PD104")),
        printed(LINES, found(2, key="A.TIMEOUT")),
        printed(LINES, found(2, "b.env"), file="b.env"),
    ],
)
def test_it_changes_with_what_it_is_of(other: list[str]) -> None:
    assert printed(LINES, found(2)) != other


def test_equal_lines_of_one_file_are_told_apart_by_their_order() -> None:
    first, second = printed(LINES, found(2), found(4))
    assert first != second
    assert printed(LINES, found(2)) == [first]


def test_spaces_and_a_suppression_do_not_change_it() -> None:
    later = LINES.replace("TIMEOUT=30", "  TIMEOUT=30  # pooldrill: ignore PD103 until 2027", 1)
    assert printed(LINES, found(2)) == printed(later, found(2))


def test_a_line_that_may_hold_a_secret_is_not_hashed() -> None:
    one = printed("URL=postgresql://a:hunter2@h/d\n", found(1, key="URL"))
    assert one == printed("URL=postgresql://a:other@h/d\n", found(1, key="URL"))


@given(st.text(), st.integers(min_value=-1, max_value=9))
def test_no_text_makes_it_fall(text: str, line: int) -> None:
    (fingerprint,) = printed(text, found(line))
    assert len(fingerprint) == 32


# -- baselines ----------------------------------------------------------------------------------


def baseline_of(audit: Audit) -> str:
    prints = fingerprints(audit.findings, audit.sources, str)
    return rendered(entries(prints, str))


def test_a_baseline_is_sorted_readable_and_the_same_each_time(tmp_path: Path) -> None:
    both = audit(LINES, found(4), found(2))
    text = baseline_of(both)
    assert text == baseline_of(audit(LINES, found(2), found(4)))
    said = json.loads(text)
    assert said["schema"] == 1
    assert [each["id"] for each in said["findings"]] == ["PD103", "PD103"]
    assert said["findings"][0]["key"] == "TIMEOUT"
    (tmp_path / "b.json").write_text(text, "utf-8")
    assert len(read_baseline(tmp_path / "b.json")) == 2


def test_what_is_in_it_does_not_count_and_what_is_gone_is_said(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_text(baseline_of(audit(LINES, found(2), found(4))), "utf-8")
    now = audit("TIMEOUT=30\nSIZE=3\n", found(1), found(2, key="SIZE"))
    review = without_baseline(reviewed(now, (), TODAY), read_baseline(path), "b.json", str)
    assert [finding.place.key for finding in review.findings] == ["SIZE"]
    assert [finding.place.key for finding in review.known] == ["TIMEOUT"]
    assert len(review.gone) == 1


def test_an_empty_baseline_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(baseline_of(audit(LINES)), "utf-8")
    assert read_baseline(tmp_path / "b.json") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("{\n\n]", "not JSON"),
        ("[]", "not a baseline"),
        ("{}", "not a baseline"),
        ('{"schema": 2, "findings": []}', "newer Pooldrill"),
        ('{"schema": 1}', "not a baseline"),
        ('{"schema": 1, "findings": [{"id": "PD103"}]}', "lacks its"),
        ('{"schema": 1, "findings": ["x"]}', "lacks its"),
    ],
)
def test_a_broken_baseline_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "b.json").write_text(text, "utf-8")
    with pytest.raises(AuditInputError, match=why):
        read_baseline(tmp_path / "b.json")


def test_a_baseline_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditInputError, match="cannot be read"):
        read_baseline(tmp_path / "b.json")


def test_names_count_from_the_folder_of_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = relative_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert named("deploy/app.env") == named(str(tmp_path / "deploy" / "app.env"))
    assert named("deploy/app.env") == "deploy/app.env"


# -- suppressions -------------------------------------------------------------------------------


def suppression(until: str, line: int = 2, rule: str = "PD103") -> Suppression:
    return Suppression(
        frozenset({rule}),
        datetime.date.fromisoformat(until),
        "a reason",
        Place("app.env", line),
        True,
        lambda finding: finding.place.line == line,
    )


def review_with(*suppressions: Suppression) -> Review:
    return reviewed(audit(LINES, found(2), found(4)), suppressions, TODAY)


def test_what_is_suppressed_does_not_count() -> None:
    review = review_with(suppression("2027-01-15"))
    assert [finding.place.line for finding in review.findings] == [4]
    assert [each.finding.place.line for each in review.suppressed] == [2]
    assert (review.expired, review.unused) == ((), ())


def test_one_that_is_over_no_longer_holds_and_is_said() -> None:
    review = review_with(suppression("2027-01-14"))
    assert len(review.findings) == 2
    assert len(review.expired) == 1
    assert review.unused == ()


def test_one_that_meets_nothing_is_said() -> None:
    assert len(review_with(suppression("2027-12-31", line=3)).unused) == 1


def test_a_longer_one_holds_beside_one_that_is_over() -> None:
    review = review_with(suppression("2027-01-14"), suppression("2027-02-01"))
    assert len(review.suppressed) == 1
    assert review.expired == ()


# -- against an earlier state -------------------------------------------------------------------


def test_only_what_is_new_counts_against_an_earlier_state() -> None:
    now = audit(f"\n{LINES}", found(3), found(5))
    review = since(reviewed(now, (), TODAY), audit(LINES, found(2)), "main", str)
    assert [finding.place.line for finding in review.findings] == [5]
    assert review.known_by == "main"


def test_a_renamed_file_brings_nothing_new() -> None:
    before = audit(LINES, found(2, "old.env"), file="old.env")
    now = audit(LINES, found(2, "new.env"), found(4, "new.env"), file="new.env")
    review = since(reviewed(now, (), TODAY), before, "main", str)
    assert [finding.place.line for finding in review.findings] == [4]


def test_a_copy_is_new_where_the_first_is_still_there() -> None:
    before = audit(LINES, found(2, "old.env"), file="old.env")
    copy = audit(LINES, found(2, "new.env"), file="new.env")
    now = Audit(
        (found(2, "old.env"), *copy.findings),
        (),
        (),
        ("old.env", "new.env"),
        sources={**before.sources, **copy.sources},
    )
    review = since(reviewed(now, (), TODAY), before, "main", str)
    assert [finding.place.file for finding in review.findings] == ["new.env"]
