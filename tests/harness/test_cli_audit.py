"""`pooldrill audit`: findings with their lines, exit codes, and no secret in any output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.audit.rules import RULES
from harness.cli import app

ROOT = Path(__file__).parents[2]
CANARY = "hunter2-canary"

COMPOSE = f"""\
services:
  api:
    image: registry.example/auth:1
    environment:
      AUTH_DATABASE_URL: postgresql://auth:{CANARY}@db/auth
      AUTH_POOL__SIZE: "{CANARY}"
      AUTH_POOL__MAX_OVERFLOW: 60
  edge:
    image: registry.example/gateway:1
    environment: {{GATEWAY_UPSTREAMS: "[]", GATEWAY_TIMEOUT_S: 8}}
  db:
    image: postgres:18
    environment: {{POSTGRES_PASSWORD: {CANARY}}}
"""


def audit(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return int(getattr(done.exception, "exit_code", 99)), str(done.exception)
    return done.exit_code, done.output


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(COMPOSE.replace(f'"{CANARY}"', "50"), "utf-8")
    return tmp_path


def test_a_finding_has_its_line_a_caret_and_a_fix(project: Path) -> None:
    code, said = audit(str(project), "--peak", "10/s", "--hold", "50ms")
    assert code == 1
    lines = said.splitlines()
    (at,) = (n for n, line in enumerate(lines) if "error PD101" in line)
    assert "compose.yaml:6" in lines[at]
    assert "1 × 110 = 110" in lines[at]
    assert lines[at + 1] == "    6 | AUTH_POOL__SIZE: 50"
    assert lines[at + 2] == "        ^^^^^^^^^^^^^^^"
    assert lines[at + 3].startswith("    fix: ")


def test_json_has_the_documented_keys(project: Path) -> None:
    code, said = audit(str(project), "--json")
    found = json.loads(said)
    assert code == 1
    assert set(found) == {"findings", "unknown", "unread", "files"}
    assert set(found["findings"][0]) == {
        *("id", "severity", "file", "line", "key", "message", "fix"),
    }
    assert {each["id"] for each in found["unknown"]} == {"PD142"}


def test_github_is_told_in_its_commands(project: Path) -> None:
    _, said = audit(str(project), "--format", "github")
    assert f"::error file={project}/compose.yaml,line=6,title=PD101::the pools may hold" in said
    assert "%0Afix: " in said


def test_the_exit_code_is_a_matter_of_severity(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AUTH_POOL__IMPLEMENTATION=psycopg-pool\n", "utf-8")
    assert audit(str(tmp_path))[0] == 0, "a note does not fail"
    assert audit(str(tmp_path), "--fail-on", "note")[0] == 1


def test_no_secret_is_in_any_output(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE, "utf-8")
    (tmp_path / ".env").write_text(
        f"AUTH_DATABASE_URL=postgresql://a:{CANARY}@h/d\nAUTH_POOL__TIMEOUT_S={CANARY}\n", "utf-8"
    )
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\nx = password={CANARY}\n[pgbouncer]\npool_mode = {CANARY}\n"
        f"max_client_conn = {CANARY}\n",
        "utf-8",
    )
    for form in ("text", "json", "github"):
        _, said = audit(str(tmp_path), "--format", form, "--peak", "10/s", "--hold", "1s")
        assert "PD" in said
        assert CANARY not in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nowhere"], "does not exist"),
        (["--peak", "fast"], "--peak"),
        (["--peak", "0/s"], "more than nothing"),
        (["--hold", "50"], "--hold"),
    ],
)
def test_bad_input_is_refused(project: Path, words: list[str], why: str) -> None:
    code, said = audit(str(project), *words)
    assert code == 2
    assert why in said


def test_a_folder_in_which_nothing_is_known_is_not_clean(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("hello", "utf-8")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\0\0")
    code, said = audit(str(tmp_path))
    assert code == 2
    assert "nothing was audited" in said
    assert "binary" in said


def test_files_that_cannot_be_read_are_named(project: Path) -> None:
    (project / "latin.env").write_bytes(b"NAME=caf\xe9\n")
    (project / "large.yaml").write_text("x" * 1_100_000, "utf-8")
    unread = {
        Path(each["file"]).name: each["why"]
        for each in json.loads(audit(str(project), "--json")[1])["unread"]
    }
    assert "not UTF-8" in unread["latin.env"]
    assert "larger than" in unread["large.yaml"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.ID)
def test_every_rule_has_its_page_and_its_test(rule: object) -> None:
    name = str(rule.ID)  # type: ignore[attr-defined]
    page = (ROOT / "docs" / "audit" / f"{name}.md").read_text("utf-8")
    assert page.startswith(f"# {name}: {rule.TITLE}")  # type: ignore[attr-defined]
    for part in ("## Why", "## How to fix it", "Source:"):
        assert part in page
    tests = ROOT / "tests" / "harness" / "audit" / "rules" / f"test_{name.lower()}.py"
    assert tests.exists()
