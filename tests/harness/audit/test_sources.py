"""Which files are audited: what is named, and what of a folder is configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.audit.sources import Selection, find
from harness.errors import UsageError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in (
        "app.env",
        "tests/a.env",
        "tests/deep/b.env",
        "deploy/fixtures/c.env",
        "deploy/prod.env",
        ".git/config.env",
        "node_modules/x.env",
        "tests/__pycache__/z.env",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("A=1\n", "utf-8")
    return tmp_path


def names(root: Path, *paths: Path, selection: Selection | None = None) -> list[str]:
    found = find(paths or (root,), selection)
    return [path.relative_to(root).as_posix() for path in found.files]


def test_folders_of_tests_are_passed_over_and_counted(project: Path) -> None:
    found = find([project])
    assert names(project) == ["app.env", "deploy/prod.env"]
    assert found.passed_over == {"fixtures": 1, "tests": 2}


def test_they_are_included_where_that_is_wished(project: Path) -> None:
    selection = Selection(include_tests=True)
    assert "tests/deep/b.env" in names(project, selection=selection)
    assert find([project], selection).passed_over == {}


def test_a_folder_that_is_named_is_audited_whatever_it_is_called(project: Path) -> None:
    assert names(project, project / "tests") == ["tests/a.env", "tests/deep/b.env"]
    assert names(project, project / "tests" / "a.env") == ["tests/a.env"]


def test_a_file_that_is_named_twice_is_read_once(project: Path) -> None:
    assert names(project, project / "app.env", project) == ["app.env", "deploy/prod.env"]


def test_excludes_hold_below_a_folder_and_not_for_a_file_that_is_named(project: Path) -> None:
    selection = Selection(excludes=lambda path: path.name == "app.env")
    assert names(project, selection=selection) == ["deploy/prod.env"]
    assert names(project, project / "app.env", selection=selection) == ["app.env"]


@pytest.mark.parametrize(
    ("name", "admitted"),
    [
        ("app.env", True),
        ("deploy/prod.env", True),
        ("tests/a.env", False),
        ("deploy/fixtures/c.env", False),
        ("node_modules/x.env", False),
        ("tests.env", True),
    ],
)
def test_the_same_is_said_of_a_path_alone(tmp_path: Path, name: str, admitted: bool) -> None:
    assert Selection().admits(tmp_path, tmp_path / name) is admitted


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        find([tmp_path / "nowhere"])


def test_a_link_that_leads_nowhere_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "real.env").write_text("A=1", "utf-8")
    (tmp_path / "gone.env").symlink_to(tmp_path / "nowhere")
    assert [path.name for path in find([tmp_path]).files] == ["real.env"]
