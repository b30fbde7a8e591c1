"""Suppressions beside the value: what they are for, until when, and what is wrong with one."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.finding import Finding
from harness.audit.reviewing.suppressions import Suppression, comments, without_comment
from harness.audit.sources import SourceFile
from harness.audit.values import Place

KNOWN = ("PD103", "PD104")
SAID = "pooldrill: ignore PD103 until 2027-03-31 because the gateway goes away"


def source(text: str, name: str = "app.env") -> SourceFile:
    return SourceFile(Path(name), name, text)


def one(text: str, name: str = "app.env") -> Suppression:
    found, problems = comments([source(text, name)], KNOWN)
    assert problems == []
    (suppression,) = found
    return suppression


def finding(line: int, rule: str = "PD103", file: str = "app.env") -> Finding:
    return Finding(rule, "error", Place(file, line, "TIMEOUT"), "it breaks", "mend it")


@pytest.mark.parametrize(
    "line",
    [
        f"timeout: 30  # {SAID}",
        f"timeout = 30;  // {SAID}",
        f"timeout = 30  ; {SAID}",
        f"SET timeout = 30; -- {SAID}",
        f"<timeout>30</timeout> <!-- {SAID} -->",
        f"timeout: 30  #{SAID}",
        f"timeout: 30  # {SAID.replace('ignore', 'Ignore').replace('because', 'because:')}",
    ],
)
def test_every_kind_of_comment_is_understood(line: str) -> None:
    found = one(f"first\n{line}\n")
    assert found.rules == {"PD103"}
    assert found.until == datetime.date(2027, 3, 31)
    assert found.reason == "the gateway goes away"
    assert found.place == Place("app.env", 2)
    assert found.in_source
    assert "30" in without_comment(line)
    assert "pooldrill" not in without_comment(line)


def test_one_at_the_end_of_a_line_is_for_that_line_alone() -> None:
    found = one(f"TIMEOUT=30 # {SAID}\nOTHER=1\n")
    assert found.covers(finding(1))
    assert not found.covers(finding(2))
    assert not found.covers(finding(1, "PD104"))
    assert not found.covers(finding(1, file="other.env"))


def test_one_on_its_own_line_is_for_the_next_one() -> None:
    found = one(f"A=1\n# {SAID}\nTIMEOUT=30\nOTHER=1\n")
    assert found.covers(finding(3))
    assert not found.covers(finding(1))
    assert not found.covers(finding(4))


def test_several_above_one_line_are_all_for_it() -> None:
    other = SAID.replace("PD103", "PD104")
    found, problems = comments([source(f"# {SAID}\n# {other}\nTIMEOUT=30\n")], KNOWN)
    assert problems == []
    assert [each.covers(finding(3, rule)) for each, rule in zip(found, KNOWN, strict=True)] == [
        True,
        True,
    ]


def test_one_may_be_for_several_rules() -> None:
    assert one(f"# {SAID.replace('PD103', 'PD103, pd104')}\nx\n").rules == {"PD103", "PD104"}


def test_it_holds_through_its_last_day() -> None:
    found = one(f"TIMEOUT=30 # {SAID}\n")
    assert not found.expired(datetime.date(2027, 3, 31))
    assert found.expired(datetime.date(2027, 4, 1))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("pooldrill: ignore", "names the rules"),
        ("pooldrill: ignore everything", "names the rules"),
        ("pooldrill: ignore PD103", "until when"),
        ("pooldrill: ignore PD103 because it is fine", "until when"),
        ("pooldrill: ignore PD103 until 2027-03-31", "says why"),
        ("pooldrill: ignore PD103 until 2027-03-31 because", "says why"),
        ("pooldrill: ignore PD103 until 31.3.2027 because x", "date cannot be read"),
        ("pooldrill: ignore PD103 until 2027-02-30 because x", "date cannot be read"),
        ("pooldrill: ignore PD999 until 2027-03-31 because x", "no rule PD999"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(said: str, why: str) -> None:
    found, (problem,) = comments([source(f"A=1\nTIMEOUT=30 # {said}\n")], KNOWN)
    assert found == []
    assert (problem.file, problem.line) == ("app.env", 2)
    assert why in problem.message


def test_in_python_a_string_is_no_comment() -> None:
    text = f'told = "# pooldrill: ignore"\nsize = 3  # {SAID}\n'
    assert one(text, "pools.py").place.line == 2


def test_text_that_speaks_of_it_otherwise_is_left_alone() -> None:
    assert comments([source("TITLE=pooldrill: ignore this\n# pooldrill is fine\n")], KNOWN) == (
        [],
        [],
    )


@given(st.text(), st.sampled_from(["app.env", "pools.py"]))
def test_no_text_makes_it_fall(text: str, name: str) -> None:
    """Each is understood or refused with its line, and nothing of it is repeated but rules."""
    found, problems = comments([source(f"# pooldrill: ignore {text}\nA=1\n", name)], KNOWN)
    for each in found:
        assert each.reason
    for problem in problems:
        assert problem.line


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text",
    [
        "# pooldrill: ignore" + " " * 500_000 + "x",
        "# pooldrill: ignore PD103\n" * 30_000,
        "# pooldrill: ignore PD103" + "-" * 500_000 + ">x",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    found, problems = comments([SourceFile(Path("a.yaml"), "a.yaml", text)], {"PD103"})
    assert not found
    assert problems
