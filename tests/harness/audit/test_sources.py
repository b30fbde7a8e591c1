"""Which files are audited: what is named, and what of a folder is configuration."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from harness.audit.finding import Unread
from harness.audit.sources import (
    BINARY,
    LARGE_DATA,
    MAX_BYTES,
    MAX_LOCK_BYTES,
    NO_FILE,
    TOO_LARGE,
    Selection,
    SourceFile,
    find,
    lines_of,
    read,
)
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


def why(path: Path) -> str:
    found = read(path, path.name)
    assert isinstance(found, Unread)
    return found.why


@pytest.mark.timeout(10)
def test_what_is_no_file_is_said_and_not_waited_for(tmp_path: Path) -> None:
    pipe, bound, device = (tmp_path / f"{name}.yaml" for name in ("pipe", "socket", "device"))
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(bound))
        assert set(find([tmp_path]).files) == {pipe, bound, device}
        assert [why(path) for path in (pipe, bound, device)] == [NO_FILE] * 3
    assert find([pipe]).files == (pipe,), "it exists, and is no reason for another message"


def test_a_folder_that_may_not_be_looked_into_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "deploy":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find([project])
    assert [path.name for path in found.files] == ["app.env"]
    assert found.unread == (Unread(str(project / "deploy"), "cannot be read: Permission denied"),)
    hidden = Selection(excludes=lambda path: path.name == "deploy")
    assert find([project], hidden).unread == ()


def test_a_path_that_may_not_be_looked_at_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stat(self: Path, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(UsageError, match="cannot be read: Permission denied"):
        find([tmp_path / "compose.yaml"])


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("compose.yaml", "services: {}".encode("utf-16"), "UTF-16"),
        ("compose.yaml", "services: {}".encode("utf-16-le"), "zero bytes"),
        ("nginx.conf", b"http {\0}", "zero bytes"),
        (".env", b"A=\0", "zero bytes"),
        ("logo.png", b"\x89PNG\0", BINARY),
        (".DS_Store", b"\0\0\0\1Bud1", BINARY),
        ("app.py", "# \u00e9".encode("latin-1"), "not UTF-8"),
    ],
)
def test_what_is_no_text_is_said_by_its_name(
    tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert said in why(path)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("values.yaml", MAX_BYTES + 1, TOO_LARGE),
        ("bundle.js", MAX_BYTES + 1, LARGE_DATA),
        (".env", MAX_BYTES + 1, TOO_LARGE),
        ("uv.lock", MAX_BYTES + 1, None),
        ("uv.lock", MAX_LOCK_BYTES + 1, TOO_LARGE),
    ],
)
def test_what_is_too_large_depends_on_who_writes_it(
    tmp_path: Path, name: str, size: int, said: str | None
) -> None:
    path = tmp_path / name
    path.write_bytes(b"a" * size)
    found = read(path, name)
    assert (found.why if isinstance(found, Unread) else None) == said


def test_lines_end_where_editors_end_them() -> None:
    text = "a\x0cb\r\nc\u2028d\re\n\nf"
    assert lines_of(text) == ["a\x0cb\r\n", "c\u2028d\r", "e\n", "\n", "f"]
    assert SourceFile(Path("x"), "x", text).lines == ["a\x0cb", "c\u2028d", "e", "", "f"]


def test_a_link_to_a_folder_elsewhere_is_said(project: Path) -> None:
    outside = project.parent / "outside"
    (outside / "deep").mkdir(parents=True)
    inner = project / "inner"
    inner.mkdir()
    for name, target in (("shared", outside), ("self", project), ("again", project / "deploy")):
        (inner / name).symlink_to(target)
    found = find([inner])
    assert [each.file for each in found.unread] == [
        str(inner / name) for name in ("again", "self", "shared")
    ]
    assert [each.file for each in find([project]).unread] == [str(inner / "shared")]
    assert find([project], Selection(excludes=lambda path: path.name == "shared")).unread == ()
