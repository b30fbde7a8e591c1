"""`pooldrill audit`: findings with their lines, exit codes, and no secret in any output."""

from __future__ import annotations

import datetime
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
from typer.testing import CliRunner

from harness.audit import SEVERITIES, Finding, Severity
from harness.audit.proofs import Proof, provable
from harness.audit.rules import RULES
from harness.audit.values import Place
from harness.cli import app, audit_job
from harness.cli.audit_output import Format
from harness.proving import Played, Proven

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
    (at,) = (n for n, line in enumerate(lines) if line.startswith("error PD101  The pools may"))
    assert lines[at + 1] == f"  {project}/compose.yaml:6"
    assert lines[at + 2] == "    6 | AUTH_POOL__SIZE: 50"
    assert lines[at + 3] == "      | ^^^^^^^^^^^^^^^"
    assert "1 × 110 = 110" in lines[at + 4]
    assert lines[at + 5].startswith("    fix: ")


def test_json_has_the_documented_keys(project: Path) -> None:
    code, said = audit(str(project), "--json")
    found = json.loads(said)
    assert code == 1
    assert set(found) == {
        *("findings", "unknown", "unread", "files", "passed_over", "chains"),
        *("suppressed", "expired", "unused", "known", "gone"),
    }
    assert set(found["findings"][0]) == {
        *("id", "severity", "file", "line", "key", "message", "fix"),
    }
    assert "PD142" in {each["id"] for each in found["unknown"]}


def test_github_is_told_in_its_commands(project: Path) -> None:
    _, said = audit(str(project), "--format", "github")
    assert f"::error file={project}/compose.yaml,line=6,title=PD101::the pools may hold" in said
    assert "%0Afix: " in said


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("fail_on", [None, *SEVERITIES])
def test_the_exit_code_is_a_matter_of_severity(
    project: Path, monkeypatch: pytest.MonkeyPatch, severity: Severity, fail_on: Severity | None
) -> None:
    """One rule, so that what others find in the file does not matter."""
    there = Finding("PD114", severity, Place(str(project / "compose.yaml"), 1), "m", "f")
    only = SimpleNamespace(ID="PD114", TITLE="t", check=lambda chain: iter([there]))
    monkeypatch.setattr("harness.audit.auditing.RULES", (only,))
    options = [] if fail_on is None else ["--fail-on", fail_on]
    grave = SEVERITIES.index(severity) <= SEVERITIES.index(fail_on or "warning")
    assert audit(str(project), *options)[0] == int(grave)


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
    for form in Format:
        _, said = audit(str(tmp_path), "--format", form, "--peak", "10/s", "--hold", "1s")
        assert "PD" in said
        assert CANARY not in said
    assert CANARY not in audit(str(tmp_path), "--fix")[1]
    _, said = audit(str(tmp_path), "--write-baseline", str(tmp_path / "baseline.json"))
    assert CANARY not in said + (tmp_path / "baseline.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nowhere"], "does not exist"),
        (["--peak", "fast"], "--peak"),
        (["--peak", "0/s"], "more than nothing"),
        (["--hold", "50"], "--hold"),
        (["--config", "nowhere.toml"], "no such file"),
        (["--baseline", "nowhere.json"], "cannot be read"),
        (["--baseline", "a", "--diff", "b"], "exclude each other"),
        (["--out", "no/such/folder/x.json", "--format", "json"], "--out"),
        (["--yes"], "--yes is for --fix"),
        (["--fix", "--json"], "as text"),
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
    for part in ("## Why", "## How to fix it"):
        assert part in page
    assert re.search(r"^Sources?: ", page, re.MULTILINE)
    severity = re.search(r"^Severity: (.+?)\.?$", page, re.MULTILINE)
    assert severity is not None
    row = f"| [{name}]({name}.md) | {severity[1]} | {rule.TITLE} |"  # type: ignore[attr-defined]
    assert row in (ROOT / "docs" / "audit" / "README.md").read_text("utf-8")
    assert (f"--prove {name}" in page) is (name in provable())
    tests = ROOT / "tests" / "harness" / "audit" / "rules" / f"test_{name.lower()}.py"
    assert tests.exists()


# -- what counts --------------------------------------------------------------------------------

TIMEOUT = """\
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
UNLIMITED = "engine = create_engine(url, max_overflow=-1)\n"
IGNORE = "pooldrill: ignore PD103 until 2027-03-31 because the gateway goes away"


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one finding, PD103 on line 6, as the working directory; it is 2027-01-15."""
    (tmp_path / "compose.yaml").write_text(TIMEOUT, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(audit_job, "today", lambda: datetime.date(2027, 1, 15))
    return tmp_path


def found_ids(said: str, key: str = "findings") -> list[str]:
    return [each["id"] for each in json.loads(said)[key]]


def edit(project: Path, old: str, new: str) -> None:
    path = project / "compose.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_a_suppression_beside_the_value_takes_the_finding_out(late: Path) -> None:
    edit(late, "_S: 30", f"_S: 30  # {IGNORE}")
    code, said = audit(".", "--json")
    assert code == 0
    assert found_ids(said) == []
    (suppressed,) = json.loads(said)["suppressed"]
    assert suppressed["id"] == "PD103"
    assert (suppressed["until"], suppressed["reason"]) == ("2027-03-31", "the gateway goes away")
    assert "PD103 until 2027-03-31: the gateway goes away" in audit(".")[1]
    assert "1 suppressed" in audit(".")[1]


def test_one_that_is_over_brings_the_finding_back_and_says_so(
    late: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(late, "_S: 30", f"_S: 30  # {IGNORE}")
    monkeypatch.setattr(audit_job, "today", lambda: datetime.date(2027, 4, 1))
    code, said = audit(".")
    assert code == 1
    assert "compose.yaml:6: the suppression of PD103 expired on 2027-03-31" in said


def test_one_that_meets_nothing_is_a_note(late: Path) -> None:
    edit(late, "SIZE: 5", f"SIZE: 5  # {IGNORE}")
    code, said = audit(".")
    assert code == 1
    assert "compose.yaml:5: the suppression of PD103 suppresses nothing" in said


def test_one_without_a_reason_is_bad_input(late: Path) -> None:
    edit(late, "_S: 30", "_S: 30  # pooldrill: ignore PD103 until 2027-03-31")
    code, said = audit(".")
    assert code == 2
    assert "compose.yaml:6: a suppression says why" in said


def test_preferences_are_found_beside_what_is_audited(late: Path) -> None:
    (late / ".pooldrill-audit.toml").write_text(
        'fail-on = "error"\n[[ignore]]\nrule = "PD103"\npath = "compose.*"\n'
        'until = 2027-03-31\nreason = "the gateway goes away"\n',
        "utf-8",
    )
    assert audit(".")[0] == 0
    code, said = audit(str(late / "compose.yaml"), "--json")
    assert code == 0
    assert json.loads(said)["suppressed"][0]["suppression"]["line"] == 3


def test_the_command_line_holds_over_the_preferences(late: Path) -> None:
    (late / "mine.toml").write_text('peak = "1/s"\nhold = "10ms"\nfail-on = "note"\n', "utf-8")
    edit(late, "_S: 30", "_S: 3")
    calm = audit(".", "--config", "mine.toml", "--json")
    busy = audit(".", "--config", "mine.toml", "--json", "--peak", "2000/s")
    assert "PD142" not in found_ids(calm[1])
    assert "PD142" in found_ids(busy[1])


def test_bad_preferences_are_bad_input_with_their_line(late: Path) -> None:
    (late / ".pooldrill-audit.toml").write_text('\npeak = "fast"\n', "utf-8")
    code, said = audit(".")
    assert code == 2
    assert ".pooldrill-audit.toml: peak: 'fast' is not a rate" in said
    (late / ".pooldrill-audit.toml").write_text("\npaek = 3\n", "utf-8")
    assert ".pooldrill-audit.toml:2: paek: is not known here" in audit(".")[1]


def test_a_baseline_leaves_out_what_was_there(late: Path) -> None:
    assert audit(".", "--write-baseline", "baseline.json")[0] == 0
    code, said = audit(".", "--baseline", "baseline.json")
    assert code == 0
    assert "1 known from baseline.json" in said
    edit(late, "services:", "\nservices:")
    assert audit(".", "--baseline", "baseline.json")[0] == 0, "its line has only moved"
    edit(late, "_S: 30", "_S: 3")
    code, said = audit(".", "--baseline", "baseline.json")
    assert code == 0
    assert "1 entry of baseline.json is gone" in said
    assert json.loads(audit(".", "--baseline", "baseline.json", "--json")[1])["gone"] == [
        {"id": "PD103", "file": "compose.yaml", "key": "AUTH_POOL__TIMEOUT_S"}
    ]


def git(folder: Path, *words: str) -> None:
    own = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def committed(late: Path) -> Path:
    git(late, "init", "--quiet", "--initial-branch", "main")
    git(late, "add", ".")
    git(late, "commit", "--quiet", "--message", "first")
    return late


@pytest.mark.parametrize("move", ["line", "rename", "rename-unknown-to-git"])
def test_a_diff_has_nothing_of_what_only_moved(committed: Path, move: str) -> None:
    if move == "line":
        edit(committed, "services:", "\n\nservices:")
    elif move == "rename":
        git(committed, "mv", "compose.yaml", "compose.prod.yaml")
    else:
        (committed / "compose.yaml").rename(committed / "docker-compose.yml")
    code, said = audit(".", "--diff", "main")
    assert code == 0, said
    assert "1 known from main" in said


def test_a_diff_has_what_is_new(committed: Path) -> None:
    (committed / "other").mkdir()
    (committed / "other" / "compose.yaml").write_text(TIMEOUT, "utf-8")
    code, said = audit("other", "--diff", "main", "--json")
    assert code == 1
    assert found_ids(said) == ["PD103"], "a file that git does not know is new"


def test_a_cause_in_another_file_is_new(committed: Path) -> None:
    """The pool's line did not change, but the gateway has become less patient."""
    edit(committed, "_TIMEOUT_S: 8", "_TIMEOUT_S: 80")
    git(committed, "commit", "--quiet", "--all", "--message", "patient")
    edit(committed, "_TIMEOUT_S: 80", "_TIMEOUT_S: 8")
    assert found_ids(audit(".", "--diff", "main", "--json")[1]) == ["PD103"]


def test_a_diff_against_nothing_is_bad_input(committed: Path) -> None:
    assert audit(".", "--diff", "nowhere")[0] == 2
    assert "outside of the repository" in audit(".", "/etc/hosts", "--diff", "main")[1]


def test_tests_are_passed_over_and_counted(late: Path) -> None:
    (late / "tests").mkdir()
    (late / "tests" / "pools.py").write_text(UNLIMITED, "utf-8")
    assert "1 file in tests/ passed over: --include-tests" in audit(".")[1]
    assert "PD102" not in audit(".")[1]
    assert "PD102" in audit(".", "--include-tests")[1]
    assert "PD102" in audit("tests")[1]


def test_only_tests_is_not_clean(late: Path) -> None:
    (late / "tests").mkdir()
    (late / "compose.yaml").rename(late / "tests" / "compose.yaml")
    code, said = audit(".")
    assert code == 2
    assert "1 in tests were passed over" in said


# -- output -------------------------------------------------------------------------------------


def test_a_file_gets_the_format_and_the_terminal_the_text(late: Path) -> None:
    code, said = audit(".", "--format", "sarif", "--out", "out.sarif")
    assert code == 1
    assert "error PD103" in said
    assert json.loads((late / "out.sarif").read_text("utf-8"))["version"] == "2.1.0"


def test_a_file_is_written_whole_or_not_at_all(late: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (late / "out.json").write_text("as it was", "utf-8")
    monkeypatch.setattr("harness.writing.os.replace", _full)
    assert audit(".", "--format", "json", "--out", "out.json")[0] == 2
    assert (late / "out.json").read_text("utf-8") == "as it was"
    assert sorted(path.name for path in late.iterdir()) == ["compose.yaml", "out.json"]


def _full(source: Path, target: Path) -> None:
    raise OSError(28, "No space left on device", str(target))


def test_quiet_is_the_findings_alone(late: Path) -> None:
    assert "audited" in audit(".")[1]
    said = audit(".", "--quiet")[1]
    assert "error PD103" in said
    assert "audited" not in said
    edit(late, "_S: 30", "_S: 3")
    assert audit(".", "--quiet") == (0, "")


def test_a_rule_is_explained_without_anything_to_audit() -> None:
    code, said = audit("--explain", "pd103")
    assert code == 0
    assert said == (ROOT / "docs" / "audit" / "PD103.md").read_text("utf-8").replace(
        "[pool-wait-beyond-gateway](../incidents/pool-wait-beyond-gateway.md)",
        "pool-wait-beyond-gateway",
    )
    code, said = audit("--explain", "PD999")
    assert code == 2
    assert "PD103" in said


# -- fixes --------------------------------------------------------------------------------------


def test_without_a_terminal_a_fix_is_only_shown(late: Path) -> None:
    code, said = audit(".", "--fix")
    assert code == 1
    assert "-      AUTH_POOL__TIMEOUT_S: 30" in said
    assert "+      AUTH_POOL__TIMEOUT_S: 6" in said
    assert (late / "compose.yaml").read_text("utf-8") == TIMEOUT


def test_a_fix_is_written_where_that_is_said(late: Path) -> None:
    code, said = audit(".", "--fix", "--yes")
    assert code == 0
    assert "nothing found" in said
    assert "TIMEOUT_S: 6\n" in (late / "compose.yaml").read_text("utf-8")


@pytest.mark.parametrize(("answer", "written"), [("y", True), ("n", False), ("", False)])
def test_on_a_terminal_it_asks(late: Path, answer: str, written: bool) -> None:
    program = [sys.executable, "-m", "harness", "audit", ".", "--fix"]
    said, code = on_a_terminal(program, f"{answer}\n", {**os.environ, "PYTHONPATH": str(ROOT)})
    assert "Write? [y/N]" in said
    assert ("TIMEOUT_S: 6\n" in (late / "compose.yaml").read_text("utf-8")) is written
    assert code == (0 if written else 1)


def on_a_terminal(program: list[str], typed: str, env: dict[str, str]) -> tuple[str, int]:
    """What a program says on a terminal of its own, and its exit code."""
    ours, its = pty.openpty()
    with subprocess.Popen(program, stdin=its, stdout=its, stderr=its, env=env) as process:
        os.close(its)
        said = b""
        while True:
            try:
                said += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if typed and b"[y/N]" in said:
                os.write(ours, typed.encode())
                typed = ""
    os.close(ours)
    return said.decode(), process.returncode


def test_what_a_fix_must_not_do_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pools.py").write_text(UNLIMITED, "utf-8")
    code, said = audit(str(tmp_path), "--fix", "--yes")
    assert code == 1
    assert "nothing that --fix may do" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--prove", "PD131"], "no incident shows it"),
        (["--prove", "PD120"], "finds nothing here"),
        (["--prove", "PD101", "--fix"], "plays one finding"),
        (["--prove", "PD101", "--format", "sarif"], "as text or as JSON"),
    ],
)
def test_what_cannot_be_proven_is_refused(project: Path, words: list[str], why: str) -> None:
    code, said = audit(str(project), *words)
    assert code == 2
    assert why in said


@pytest.mark.parametrize(
    ("outcome", "affected", "code", "said"),
    [
        ("pass", (0.85, 0.5), 0, "The harm is shown"),
        ("fail", (0.5, 0.5), 1, "did not come about"),
        ("invalid", (None, 0.5), 3, "cannot be trusted"),
    ],
)
def test_a_proof_says_what_is_played_and_what_came_of_it(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    outcome: Literal["pass", "fail", "invalid"],
    affected: tuple[float | None, float],
    code: int,
    said: str,
) -> None:
    asked: list[Proof] = []

    def played(proof: Proof, **_: object) -> Proven:
        asked.append(proof)
        rows = (
            Played("as audited", affected[0], 7, 0, 0, "it lags" * (affected[0] is None), ""),
            Played("with the remedy", affected[1], 0, 0, 3, "", ""),
        )
        return Proven(proof, outcome, rows, tmp_path)

    monkeypatch.setattr("harness.proving.prove", played)
    words = (str(project), "--prove", "pd101", "--peak", "100/s", "--hold", "2s")
    found, shown = audit(*words)
    assert found == code
    assert said in shown
    assert "service.pool.size" in shown
    (proof,) = asked
    assert proof.overrides()["service.pool.max_overflow"] == "60"
    _, as_json = audit(*words, "--json")
    assert json.loads(as_json)["outcome"] == outcome
