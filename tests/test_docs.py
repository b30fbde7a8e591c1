"""What the documentation says is so."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness import errors
from harness.incident import library

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
QUICK = {"list", "show", "schema", "doctor"}
"""Commands whose examples are run here; `run` is run by the slow tests."""


def all_errors() -> list[type[errors.PooldrillError]]:
    found = [errors.PooldrillError]
    for one in found:
        found += one.__subclasses__()
    return found


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.code)
def test_every_error_code_stands_in_the_docs_with_its_exit_code(
    error: type[errors.PooldrillError],
) -> None:
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    assert re.search(rf"^\| {error.code} \| {int(error.exit_code)} \|", page, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def commands() -> list[tuple[str, str]]:
    """Every `pooldrill …` line in a shell block of the docs, with its page."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            for line in block.splitlines():
                words = line.removeprefix("$ ").split("#")[0].strip()
                words = words.removeprefix(".venv/bin/")
                if words.startswith("pooldrill "):
                    found.append((page.name, words))
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_in_the_docs_are_understood(page: str, line: str) -> None:
    """Quick ones run; of the others, every option they use is in the command's help."""
    words = shlex.split(line.split(">")[0])[1:]
    python = [sys.executable, "-m", "harness"]
    if words[0] in QUICK:
        ended = subprocess.run([*python, *words], cwd=ROOT, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return
    shown = subprocess.run(
        [*python, words[0], "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "TERM": "dumb"},
    )
    assert shown.returncode == 0, f"{page}: no command {words[0]}"
    for option in (word for word in words[1:] if word.startswith("--")):
        assert option in shown.stdout, f"{page}: {line}"


def test_every_metric_of_the_service_and_the_gateway_stands_in_the_reference() -> None:
    """Names are read from the code that makes them, so that a new one cannot be forgotten."""
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    made = set()
    for path in (ROOT / "auth_service").rglob("*.py"):
        text = path.read_text("utf-8")
        made |= set(re.findall(r'"((?:auth|gateway|db_client)_[a-z_]+)"', text))
    for path in (ROOT / "harness" / "recorder").rglob("*.py"):
        made |= set(re.findall(r'"(pg_[a-z_]+)"', path.read_text("utf-8")))
    names = made - {"gateway_timeout"}  # a problem's code
    assert len(names) > 20
    missing = sorted(name for name in names if name not in page)
    assert missing == []


def test_every_make_target_in_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"`?make ([a-z-]+)`", page.read_text("utf-8")):
            assert target in targets, f"{page.name} speaks of make {target}"


def test_every_incident_is_on_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in library():
        assert name in readme
