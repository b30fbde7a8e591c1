"""A project's preferences: where they are found, what they say, and what is wrong with them."""

from __future__ import annotations

import contextlib
import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.finding import Finding
from harness.audit.reviewing.preferences import Preferences, preferences_for, read_preferences
from harness.audit.values import Place
from harness.errors import AuditInputError

KNOWN = ("PD103", "PD104")
WHOLE = """\
exclude = ["legacy/**"]
peak = "300/s"
hold = "45ms"
fail-on = "error"
include-tests = true

[[ignore]]
rule = "PD103"
path = "deploy/*"
until = 2027-03-31
reason = "the gateway goes away"
"""


def read(folder: Path, text: str, name: str = ".pooldrill-audit.toml") -> Preferences:
    (folder / name).write_text(text, "utf-8")
    return read_preferences(folder / name, folder, KNOWN)


def finding(file: Path) -> Finding:
    return Finding("PD103", "error", Place(str(file), 1), "it breaks", "mend it")


def test_all_of_it_is_read(tmp_path: Path) -> None:
    said = read(tmp_path, WHOLE)
    assert (said.peak, said.hold, said.fail_on, said.include_tests) == (
        "300/s",
        "45ms",
        "error",
        True,
    )
    assert said.excludes(tmp_path / "legacy" / "a" / "compose.yaml")
    assert not said.excludes(tmp_path / "deploy" / "compose.yaml")
    (suppression,) = said.suppressions
    assert suppression.until == datetime.date(2027, 3, 31)
    assert suppression.reason == "the gateway goes away"
    assert suppression.place.line == 8
    assert not suppression.in_source
    assert suppression.covers(finding(tmp_path / "deploy" / "compose.yaml"))
    assert not suppression.covers(finding(tmp_path / "compose.yaml"))


def test_a_suppression_without_a_path_is_for_every_file(tmp_path: Path) -> None:
    said = read(tmp_path, '[[ignore]]\nrule="PD103"\nuntil=2027-01-01\nreason="x"\n')
    assert said.suppressions[0].covers(finding(tmp_path / "a" / "b.env"))


def test_pyproject_has_them_in_a_section(tmp_path: Path) -> None:
    assert preferences_for([tmp_path]) is None
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n', "utf-8")
    assert preferences_for([tmp_path]) is None, "a section of ours is what counts"
    text = '[project]\nname = "x"\n\n[tool.pooldrill.audit]\npeak = "80/s"\n'
    said = read(tmp_path, text, "pyproject.toml")
    assert said.peak == "80/s"
    assert preferences_for([tmp_path]) == tmp_path / "pyproject.toml"


def test_a_file_of_its_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pooldrill.audit]\npeak='1/s'\n", "utf-8")
    (tmp_path / ".pooldrill-audit.toml").write_text("", "utf-8")
    found = preferences_for([tmp_path])
    assert found is not None
    assert found.name == ".pooldrill-audit.toml"


def test_they_are_looked_for_up_to_the_repository_and_not_further(tmp_path: Path) -> None:
    inner = tmp_path / "repository" / "deploy" / "prod"
    inner.mkdir(parents=True)
    (tmp_path / ".pooldrill-audit.toml").write_text("", "utf-8")
    assert preferences_for([inner]) is None, "there is no repository"
    (tmp_path / "repository" / ".git").mkdir()
    assert preferences_for([inner]) is None, "that one is above it"
    own = tmp_path / "repository" / ".pooldrill-audit.toml"
    own.write_text("", "utf-8")
    assert preferences_for([inner]) == own
    assert preferences_for([inner, inner.parent / "app.env"]) == own


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("peak = \n", None, "not TOML"),
        ("a = 1\npaek = '3/s'\n", 1, "not known here"),
        ("exclude = 'x'\n", 1, "tuple"),
        ("fail-on = 'grave'\n", 1, "error"),
        ("[[ignore]]\nrule='PD103'\nuntil=2027-01-01\n", 1, "is missing"),
        ("[[ignore]]\nrule='PD103'\nreason='x'\n", 1, "is missing"),
        ("[[ignore]]\nrule='PD103'\nreason=' '\nuntil=2027-01-01\n", 3, "is empty"),
        ("\n[[ignore]]\nrule='PD103'\nreason='x'\nuntil='soon'\n", 5, "date cannot be read"),
        ("[[ignore]]\nrule='PD103'\nreason='x'\nuntil=20270101\n", 4, "date cannot be read"),
        ("[[ignore]]\nrule='PD999'\nreason='x'\nuntil=2027-01-01\n", 2, "no rule PD999"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, text: str, line: int | None, why: str
) -> None:
    with pytest.raises(AuditInputError) as refused:
        read(tmp_path, text)
    problem = next(each for each in refused.value.problems if why in str(each))
    assert problem.line == line
    assert problem.file is not None
    assert problem.file.endswith(".pooldrill-audit.toml")


def test_the_second_of_two_suppressions_has_its_own_line(tmp_path: Path) -> None:
    good = "[[ignore]]\nrule='PD103'\nreason='x'\nuntil=2027-01-01\n"
    with pytest.raises(AuditInputError) as refused:
        read(tmp_path, good + good.replace("reason='x'\n", ""))
    assert [problem.line for problem in refused.value.problems] == [5]


VALUES = st.one_of(st.text(), st.integers(), st.booleans(), st.dates(), st.just([]), st.just({}))
KEYS = ["exclude", "peak", "ignore", "fail-on", "include-tests", "x", "rule", "until", "reason"]


@given(text=st.one_of(st.text(), st.builds("ignore = {}".format, VALUES)))
def test_no_text_makes_it_fall(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with contextlib.suppress(AuditInputError):
        read(tmp_path_factory.getbasetemp(), text)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_no_suppression_makes_it_fall(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, object]
) -> None:
    lines = [f"{key} = {_toml(value)}" for key, value in table.items()]
    with contextlib.suppress(AuditInputError):
        read(tmp_path_factory.getbasetemp(), "[[ignore]]\n" + "\n".join(lines))
    with contextlib.suppress(AuditInputError):
        read(tmp_path_factory.getbasetemp(), "\n".join(lines))


def _toml(value: object) -> str:
    """JSON is TOML for these, but for dates and empty tables, which are alike."""
    return value.isoformat() if isinstance(value, datetime.date) else json.dumps(value)
