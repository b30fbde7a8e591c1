"""The audit in other people's pipelines: the hook, the action, the job, and the wheel's pages."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.test_docs import help_of

ROOT = Path(__file__).parent.parent
HOOKS = ROOT / ".pre-commit-hooks.yaml"
ACTION = ROOT / ".github" / "actions" / "audit" / "action.yml"
JOB = ROOT / "ci" / "gitlab-audit.yml"
BIN = Path(sys.executable).parent


def run(*words: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("schema", "file"), [("github-actions", ACTION), ("gitlab-ci", JOB)])
def test_they_are_valid_by_the_vendors_schemas(schema: str, file: Path) -> None:
    ended = run(BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", file)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_hook_is_valid() -> None:
    ended = run(BIN / "pre-commit", "validate-manifest", HOOKS)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("file", [ACTION, JOB, HOOKS], ids=lambda file: file.name)
def test_every_option_that_they_use_is_one_of_the_audits(file: Path) -> None:
    """Comments and descriptions count too: they are what people copy."""
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", file.read_text("utf-8")))
    known = help_of("audit")
    foreign = {"--quiet"}
    assert {option for option in used - foreign if option not in known} == set()


@pytest.mark.parametrize(
    ("name", "audited"),
    [
        ("docker-compose.yml", True),
        ("deploy/values.yaml", True),
        (".env", True),
        ("app/.env.production", True),
        ("prod.env", True),
        ("pgbouncer.ini", True),
        ("nginx.conf", True),
        ("app/db.py", True),
        ("Dockerfile", True),
        ("api/Dockerfile.prod", True),
        ("application.properties", True),
        ("README.md", False),
        ("logo.png", False),
    ],
)
def test_the_hook_runs_for_configuration(name: str, audited: bool) -> None:
    (hook,) = yaml.safe_load(HOOKS.read_text("utf-8"))
    assert bool(re.search(hook["files"], name)) is audited


def test_the_actions_script_passes_its_inputs_on(tmp_path: Path) -> None:
    """Its own lines are run, with a program of that name that only says what it was given."""
    (step,) = (
        each
        for each in yaml.safe_load(ACTION.read_text("utf-8"))["runs"]["steps"]
        if each.get("name") == "Audit"
    )
    program = tmp_path / "pooldrill" / "bin" / "pooldrill"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nfor each; do echo "<$each>"; done\nexit 1\n', "utf-8")
    program.chmod(0o755)
    given = dict.fromkeys(step["env"], "")
    given |= {"PATHS": "deploy\n$(touch hacked); x\n\n", "SARIF": "o.sarif", "PEAK": "300/s"}
    given |= {"RUNNER_TEMP": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env=given,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.splitlines() == [
        *("<audit>", "<--format>", "<sarif>", "<--out>", "<o.sarif>", "<--peak>", "<300/s>"),
        *("<-->", "<deploy>", "<$(touch hacked); x>"),
    ]
    assert ended.returncode == 1, "the audit's exit code is the step's"


def test_every_input_of_the_action_is_used() -> None:
    action = yaml.safe_load(ACTION.read_text("utf-8"))
    text = ACTION.read_text("utf-8")
    for name in action["inputs"]:
        assert f"inputs.{name} " in text, name


def test_the_wheel_has_the_rules_pages() -> None:
    """The folder that `harness.report.audit.pages` looks for where there is no checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    forced = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert forced == {"docs/audit": "harness/audit/rule_pages"}
    for line in ("COPY docs/audit docs/audit",):
        assert line in (ROOT / "Dockerfile").read_text("utf-8")
    assert "!docs/audit" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()


@pytest.mark.slow
@pytest.mark.timeout(600)  # all packages are installed anew
def test_pre_commit_runs_the_hook_from_this_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user has it: an environment of its own, with the wheel that is built for it."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "home"))
    copy, project = tmp_path / "pooldrill", tmp_path / "project"
    _committed(copy, _files_of_this_repository())
    project.mkdir()
    (project / "db.py").write_text("engine = create_engine(url, max_overflow=-1)\n", "utf-8")
    _git(project, "init", "--quiet")
    _git(project, "add", ".")
    words = ["try-repo", copy, "pooldrill-audit", "--all-files", "--verbose"]
    ended = run(BIN / "pre-commit", *words, cwd=project)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "error PD102" in ended.stdout


def _files_of_this_repository() -> list[str]:
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _committed(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    _git(folder, "init", "--quiet")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "--message", "as it is")


def _git(folder: Path, *words: str) -> None:
    own = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)
