"""What the audit's guide shows is so: its output, its files, its comments, its pipelines."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.audit.proofs import provable
from harness.audit.reviewing.preferences import read_preferences
from harness.audit.reviewing.suppressions import comments
from harness.audit.rules import RULES
from harness.audit.sources import SourceFile

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "guides" / "audit.md").read_text("utf-8")
KNOWN = {rule.ID for rule in RULES}

PROJECT = """\
services:
  api:
    image: registry.example/auth:1
    environment:
      AUTH_POOL__SIZE: 5
      AUTH_POOL__TIMEOUT_S: 30
  edge:
    image: registry.example/gateway:1
    environment: {GATEWAY_UPSTREAMS: "[]", GATEWAY_TIMEOUT_S: 8}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def audit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "harness", "audit", *words]
    return subprocess.run(
        program,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The one that the guide's output is of, committed as origin/main."""
    (tmp_path / "compose.yaml").write_text(PROJECT, "utf-8")
    own = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for words in (
        ["init", "--quiet"],
        ["add", "."],
        ["commit", "--quiet", "--message", "first"],
        ["update-ref", "refs/remotes/origin/main", "HEAD"],
    ):
        subprocess.run(["git", *own, *words], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_the_output_that_it_shows_is_the_programs(project: Path) -> None:
    (shown,) = blocks("text")
    finding, unknown, _ = shown.split("\n\n")
    ended = audit(project, ".")
    assert ended.returncode == 1
    assert ended.stdout.startswith(f"{finding}\n\n")
    for line in unknown.splitlines():
        assert line in ended.stdout.splitlines()


def test_its_commands_run_as_they_stand(project: Path) -> None:
    """In their order: the baseline that one writes is read by the next."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) > 8
    for line in lines:
        words = shlex.split(line, comments=True)
        assert words[:2] == ["pooldrill", "audit"]
        if "--prove" in words:  # minutes on real parts: `tests/harness/test_proving.py` plays one
            assert set(words) & set(provable())
            continue
        ended = audit(project, *words[2:])
        assert ended.returncode in (0, 1), f"{line}: {ended.stderr}"
    assert "TIMEOUT_S: 6" in (project / "compose.yaml").read_text("utf-8")


def test_its_preferences_are_understood(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    file = tmp_path / ".pooldrill-audit.toml"
    file.write_text(text, "utf-8")
    said = read_preferences(file, tmp_path, KNOWN)
    assert said.peak == "300/s"
    assert len(said.suppressions) == 1


def test_its_comment_is_understood() -> None:
    (text,) = (block for block in blocks("yaml") if "pooldrill: ignore" in block)
    found, problems = comments([SourceFile(Path("a.yaml"), "a.yaml", text)], KNOWN)
    assert problems == []
    assert found[0].rules == {"PD103"}


@pytest.mark.parametrize(
    ("schema", "word"), [("github-workflows", "upload-sarif"), ("gitlab-ci", "include:")]
)
def test_its_pipelines_are_valid(tmp_path: Path, schema: str, word: str) -> None:
    (text,) = (block for block in blocks("yaml") if word in block)
    file = tmp_path / "pipeline.yml"
    file.write_text(text, "utf-8")
    program = Path(sys.executable).parent / "check-jsonschema"
    ended = subprocess.run(
        [program, "--builtin-schema", f"vendor.{schema}", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_its_hook_is_valid(tmp_path: Path) -> None:
    (text,) = (block for block in blocks("yaml") if "pooldrill-audit\n        args" in block)
    file = tmp_path / ".pre-commit-config.yaml"
    file.write_text(text, "utf-8")
    program = Path(sys.executable).parent / "pre-commit"
    ended = subprocess.run(
        [program, "validate-config", file], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
