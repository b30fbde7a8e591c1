"""The structure that ARCHITECTURE.md promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("harness", "auth_service", "scenarios")


def test_imports_keep_to_the_layers() -> None:
    """import-linter's contracts hold: no layer reaches up, no package reaches across."""
    ended = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_stands_on_the_architecture_page(package: str) -> None:
    """A module that ARCHITECTURE.md does not name is one that nobody will find."""
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    missing = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.name.startswith("__")
        and path.stem not in page
        and f"{path.parent.name}/" not in page
    ]
    assert missing == []


@pytest.mark.parametrize("package", ["harness", "auth_service"])
def test_locust_stays_in_its_own_process(package: str) -> None:
    """Importing Locust monkey-patches the process, so only scenarios may do it."""
    for path in (ROOT / package).rglob("*.py"):
        for line in path.read_text("utf-8").splitlines():
            assert not line.strip().startswith(("import locust", "from locust")), path
