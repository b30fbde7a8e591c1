"""Runs that are invalid are played again, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.untrusted import TRIES

ROOT = Path(__file__).parent.parent

TEST = """\
from pathlib import Path

import pytest

from tests.untrusted import UntrustedError

COUNTED = Path(__file__).with_name("tries")


@pytest.mark.slow
def test_of_a_run(tmp_path):
    with COUNTED.open("a") as counted:
        print(tmp_path, file=counted)
    if len(COUNTED.read_text().splitlines()) < PASSES_AT:
        raise EXCEPTION("so it was")
"""


@pytest.mark.parametrize(
    ("exception", "passes_at", "passed", "tries"),
    [
        ("UntrustedError", 1, True, 1),
        ("UntrustedError", TRIES, True, TRIES),
        ("UntrustedError", TRIES + 1, False, TRIES),
        ("AssertionError", 2, False, 1),
    ],
)
def test_only_what_is_invalid_is_played_again(
    tmp_path: Path, exception: str, passes_at: int, passed: bool, tries: int
) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(TEST.replace("PASSES_AT", str(passes_at)).replace("EXCEPTION", exception))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow: as here\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.untrusted", "--rootdir", tmp_path, test],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == (0 if passed else 1), ended.stdout + ended.stderr
    folders = (tmp_path / "tries").read_text().splitlines()
    assert len(set(folders)) == len(folders) == tries
