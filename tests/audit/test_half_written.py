"""Projects in the middle of an edit: nothing in them makes an audit fall.

Files of the corpus with pieces cut out and junk put in, alone and as whole projects.
"""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit import Declared
from harness.audit.auditing import audit_sources
from harness.audit.loaders import load
from harness.audit.sources import SourceFile
from tests.audit.layouts import CLEAN, CORPUS

FILES = sorted(p for p in CORPUS.rglob("*") if p.is_file() and p.parent != CORPUS)
PROJECTS = sorted(path for path in CLEAN.iterdir() if path.is_dir())
JUNK = (
    *("{{ .Values.x }}", "${X}", "${X:-", "$(X)", '"', "'", "[", "]", "{", "}", "\n", ":", "- "),
    *("&a *a", "<<: *a", "=", "0", "-1", "1e999", "9" * 40, "nan", "null", "~", "!!python/x:y"),
    *("\t", "é", "\u2028", "%", "\\", "<<", "|", ">", "\n---\n", "", "#"),
)

cuts = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(JUNK)), min_size=1, max_size=5
)


def edited(path: Path, edits: list[tuple[float, int, str]]) -> SourceFile:
    text = path.read_text("utf-8")
    for where, length, junk in edits:
        begin = int(where * len(text))
        text = text[:begin] + junk + text[begin + length :]
    return SourceFile(path, str(path), text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FILES), cuts)
def test_no_file_makes_its_loader_fall(path: Path, edits: list[tuple[float, int, str]]) -> None:
    load(edited(path, edits))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PROJECTS), st.data())
def test_no_project_makes_a_rule_fall(project: Path, data: st.DataObject) -> None:
    files = [path for path in sorted(project.rglob("*")) if path.is_file()]
    broken = data.draw(st.sets(st.sampled_from(files), max_size=3))
    found = audit_sources(
        [edited(path, data.draw(cuts) if path in broken else []) for path in files],
        Declared(300.0, 0.05, 2.0),
    )
    assert not [each for each in found.unread if "loader failed" in each.why]
