"""The audit's precision and recall: sound projects are clean, all that is wrong is found."""

from __future__ import annotations

import datetime
import difflib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.audit import Audit, Declared, audit_files
from harness.audit.reviewing.review import reviewed
from harness.audit.rules import RULES
from harness.report.audit.github import as_github
from harness.report.audit.json import as_json
from harness.report.audit.junit import as_junit
from harness.report.audit.sarif import as_sarif
from harness.report.audit.text import as_text
from tests.audit.layouts import BROKEN, CANARY, CLEAN, Layout, broken, clean

SOUND, DEFECTIVE = clean(), broken()
NOT_IN_FILES: dict[str, str] = {}
"""Rules that no configuration file can show, each with the reason."""

MOST_CHANGED = 30
"""Lines in which a broken layout may differ from its base: it shows one thing."""

Audited = Callable[[Layout], Audit]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """Each layout is put together and audited once."""
    done: dict[str, Audit] = {}

    def audit(layout: Layout) -> Audit:
        if layout.name not in done:
            folder = layout.written(tmp_path_factory.mktemp("layout"))
            done[layout.name] = audit_files([folder], layout.declared)
        return done[layout.name]

    return audit


def ids(audit: Audit, *severities: str) -> list[str]:
    return sorted({found.id for found in audit.findings if found.severity in severities})


def told(audit: Audit) -> str:
    """For whoever reads the failure: each finding in a line."""
    return "\n".join(f"{f.place}: {f.severity} {f.id}: {f.message}" for f in audit.findings)


def within(layout: Layout, file: str) -> str:
    """The file's path in its project."""
    return file.partition(f"/{layout.name}/")[2]


def named(layout: Layout) -> str:
    return layout.name


@pytest.mark.parametrize("layout", SOUND, ids=named)
def test_a_sound_project_is_clean(layout: Layout, audited: Audited) -> None:
    audit = audited(layout)
    assert ids(audit, "error", "warning") == [], told(audit)
    assert ids(audit, "note") == sorted({*layout.notes} - {*layout.misses}), told(audit)


@pytest.mark.parametrize("layout", SOUND, ids=named)
def test_it_is_not_clean_for_want_of_understanding(layout: Layout, audited: Audited) -> None:
    audit = audited(layout)
    assert layout.understood
    assert set(layout.understood) - {within(layout, name) for name in audit.files} == set()
    assert {within(layout, each.file) for each in audit.unread} == set(layout.unread)
    needed = "\n".join(f"{each.id}: {each.needs}" for each in audit.unknown)
    assert {each.id for each in audit.unknown} == set(layout.unknown), needed


@pytest.mark.parametrize("layout", DEFECTIVE, ids=named)
def test_what_is_wrong_is_found_and_nothing_else(layout: Layout, audited: Audited) -> None:
    audit = audited(layout)
    seen = {*layout.finds, *layout.instead} - {*layout.misses}
    assert ids(audit, "error", "warning") == sorted(seen), told(audit)
    assert ids(audit, "note") == sorted({*layout.notes} - {*layout.misses}), told(audit)
    assert {within(layout, each.file) for each in audit.unread} == set(layout.unread)


@pytest.mark.parametrize("layout", DEFECTIVE, ids=named)
def test_a_finding_points_at_what_is_wrong(layout: Layout, audited: Audited) -> None:
    expected = {*layout.finds, *layout.instead, *layout.notes} - {*layout.misses, *layout.of_base}
    files = {
        within(layout, found.place.file)
        for found in audited(layout).findings
        if found.id in expected
    }
    assert not expected or files & {layout.stands or each for each in layout.breaks}


@pytest.mark.parametrize("layout", SOUND, ids=named)
def test_a_sound_project_is_clean_without_a_declared_load(layout: Layout, tmp_path: Path) -> None:
    audit = audit_files([layout.written(tmp_path)], Declared())
    assert ids(audit, "error", "warning") == [], told(audit)


@pytest.mark.parametrize("layout", [*SOUND, *DEFECTIVE], ids=named)
def test_no_output_has_a_password(layout: Layout, audited: Audited) -> None:
    review = reviewed(audited(layout), (), datetime.date(2026, 1, 1))
    output = [
        *(str(line) for line in as_text(review)),
        *as_github(review),
        json.dumps(as_json(review)),
        json.dumps(as_sarif(review)),
        as_junit(review, "warning"),
    ]
    assert not [text for text in output if CANARY in text]


@pytest.mark.parametrize(
    "layout", [layout for layout in DEFECTIVE if layout.base is not None], ids=named
)
def test_a_broken_project_differs_from_its_base_in_one_thing(layout: Layout) -> None:
    """A base that was changed must not leave old copies of its files behind."""
    assert layout.base is not None
    assert layout.changed is not None
    changed = 0
    for file in filter(Path.is_file, layout.changed.rglob("*")):
        sound = layout.base / file.relative_to(layout.changed)
        before = sound.read_text("utf-8").splitlines() if sound.exists() else []
        after = file.read_text("utf-8").splitlines()
        assert before != after, f"{file} is its base's"
        lines = difflib.unified_diff(before, after, n=0, lineterm="")
        changed += sum(line[0] in "+-" for line in lines) if before else 0
    assert changed <= MOST_CHANGED


ILL_WORDED = re.compile(
    r"\) s\b"  # a unit behind whose default it is
    r"|\binf\b|\bnan\b|\bNone\b|\bTrue s\b"
    r"|(?<![\d.])1 (?:connections|requests|threads|users|cores)\b"
    r"|\b([a-z]+) \1\b"
)


@pytest.mark.parametrize("layout", [*SOUND, *DEFECTIVE], ids=named)
def test_what_is_said_reads_well(layout: Layout, audited: Audited) -> None:
    audit = audited(layout)
    texts = [text for each in audit.findings for text in (each.message, each.fix)]
    texts += [each.needs for each in audit.unknown]
    assert [text for text in texts if ILL_WORDED.search(text)] == []
    paths = [each.message for each in audit.findings if each.message.startswith(("/", "."))]
    assert paths == [], "a part of the chain is called by its name"


def test_the_corpus_is_large_enough_to_mean_something() -> None:
    assert len(SOUND) >= 12
    assert len(DEFECTIVE) >= 30
    assert {folder.name for folder in CLEAN.iterdir()} == {layout.name for layout in SOUND}
    assert {folder.name for folder in BROKEN.iterdir()} == {layout.name for layout in DEFECTIVE}
    assert all(layout.finds or layout.notes for layout in DEFECTIVE)


def test_what_is_missed_is_said_not_to_be_known(audited: Audited) -> None:
    for layout in (each for each in DEFECTIVE if each.misses):
        missed = {*layout.misses} & {*layout.finds}
        said = missed <= {each.id for each in audited(layout).unknown}
        assert said is not layout.silent, layout.name


def test_little_is_missed() -> None:
    """Of what an expert finds; `expected.toml` has the reason for each that is missed."""
    expected = sum(len(layout.finds) for layout in DEFECTIVE)
    missed = [layout for layout in DEFECTIVE if {*layout.misses} & {*layout.finds}]
    assert len(missed) <= 0.1 * expected
    assert sum(layout.silent for layout in missed) <= 2


def test_every_rule_is_expected_somewhere() -> None:
    shown = {each for layout in DEFECTIVE for each in (*layout.finds, *layout.notes)}
    assert {rule.ID for rule in RULES} - shown == set(NOT_IN_FILES)


def test_passwords_stand_where_they_do_in_life() -> None:
    """The canary is worth something only where it is: in most of the projects."""
    having = [
        layout.name
        for layout in (*SOUND, *DEFECTIVE)
        for part in (layout.base or layout.changed,)
        if part is not None
        and any(CANARY in file.read_text("utf-8") for file in part.rglob("*") if file.is_file())
    ]
    assert len(having) > 0.9 * (len(SOUND) + len(DEFECTIVE))
