"""Files are written whole, and only files are replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.writing import write_bytes, write_text


def test_what_failed_on_the_way_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def no_space(beside: Path, *_: object) -> None:
        beside.touch()
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_device_and_a_link_stay_what_they_are(tmp_path: Path) -> None:
    link, real, pipe = tmp_path / "link", tmp_path / "real", tmp_path / "pipe"
    link.symlink_to(real)
    write_text(link, "said")
    assert link.is_symlink()
    assert real.read_text("utf-8") == "said"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "said")
        assert os.read(reading, 10) == b"said"
        assert pipe.is_fifo(), "a file in its place would be in everybody's way, as in /dev/null's"
    finally:
        os.close(reading)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "real"]


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_folder_is_no_file_to_write(path: str) -> None:
    with pytest.raises(IsADirectoryError):
        write_text(Path(path), "said")
