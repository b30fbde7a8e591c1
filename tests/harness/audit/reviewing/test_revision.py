"""The audited files as they stood at a revision, from a real git repository."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.audit.finding import Unread
from harness.audit.reviewing.revision import sources_at
from harness.audit.sources import MAX_BYTES, Selection, SourceFile
from harness.errors import UsageError


def git(folder: Path, *words: str) -> None:
    own = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One commit; the working directory is its root."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "project"
    for name, text in {
        "app.env": "SIZE=5\n",
        "deploy/prod.env": "SIZE=7\r\n",
        "deploy/größe ü.env": "SIZE=8\n",
        "tests/test.env": "SIZE=9\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    monkeypatch.chdir(root)
    return root


def texts(*paths: str, base: str = "main", selection: Selection | None = None) -> dict[str, str]:
    roots = [Path(path) for path in paths]
    with sources_at(base, roots, selection or Selection()) as sources:
        return {file.name: file.text for file in sources if isinstance(file, SourceFile)}


def test_files_have_the_names_of_today_and_the_text_of_then(repository: Path) -> None:
    (repository / "app.env").write_text("SIZE=50\n", "utf-8")
    (repository / "new.env").write_text("SIZE=1\n", "utf-8")
    assert texts(".") == {
        "app.env": "SIZE=5\n",
        "deploy/prod.env": "SIZE=7\r\n",
        "deploy/größe ü.env": "SIZE=8\n",
    }
    assert texts("deploy", "app.env").keys() == {
        "app.env",
        "deploy/prod.env",
        "deploy/größe ü.env",
    }
    absolute = repository / "deploy"
    assert str(absolute / "prod.env") in texts(str(absolute))


def test_the_selection_holds_there_too(repository: Path) -> None:
    assert "tests/test.env" in texts(".", selection=Selection(include_tests=True))
    selection = Selection(excludes=lambda path: "deploy" in path.parts)
    assert texts(".", selection=selection).keys() == {"app.env"}


def test_a_file_that_was_deleted_since_is_there(repository: Path) -> None:
    (repository / "app.env").unlink()
    assert "app.env" in texts(".")


def test_a_renamed_file_comes_along_from_outside_of_the_paths(repository: Path) -> None:
    git(repository, "mv", "app.env", "deploy/app.env")
    assert texts("deploy")["app.env"] == "SIZE=5\n"


def test_links_and_large_files_are_not_read(repository: Path) -> None:
    (repository / "link.env").symlink_to("app.env")
    (repository / "large.env").write_text("x" * (MAX_BYTES + 1), "utf-8")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "second")
    with sources_at("main", [Path()], Selection()) as sources:
        assert [file.file for file in sources if isinstance(file, Unread)] == ["large.env"]
        assert "link.env" not in {file.name for file in sources if isinstance(file, SourceFile)}


def test_what_export_ignore_hides_from_archives_is_there(repository: Path) -> None:
    (repository / ".gitattributes").write_text("deploy export-ignore\n", "utf-8")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "second")
    assert "deploy/prod.env" in texts(".")


@pytest.mark.usefixtures("repository")
def test_nothing_is_left_behind_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))

    def crash() -> None:
        with sources_at("main", [Path()], Selection()):
            assert list(place.iterdir())
            raise RuntimeError("in the middle of it")

    with pytest.raises(RuntimeError):
        crash()
    assert list(place.iterdir()) == []


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("base", ["nowhere", "--help", "HEAD:app.env", ""])
def test_an_unknown_revision_is_refused(base: str) -> None:
    with pytest.raises(UsageError, match="there is no revision") as refused:
        texts(".", base=base)
    assert "fetch" in refused.value.remedy


@pytest.mark.usefixtures("repository")
def test_a_path_outside_of_the_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="outside of the repository"):
        texts(".", str(tmp_path))


def test_without_a_repository_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="no git checkout"):
        texts(str(tmp_path))


@pytest.mark.usefixtures("repository")
def test_without_git_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="not installed"):
        texts(".")
