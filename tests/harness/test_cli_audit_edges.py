"""`pooldrill audit` where much is amiss: never a crash, a false pass, or a silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from harness.audit import Declared, Finding, audit_files, auditing
from harness.audit.auditing import may_be_secret
from harness.audit.chain import Chain
from harness.audit.rules import RULES
from harness.cli import asks_for_json
from harness.cli.application import app
from harness.errors import PooldrillError

ROOT = Path(__file__).parents[2]
COMPOSE = """\
services:
  api:
    image: registry.example/auth:1
    environment: {AUTH_DATABASE_URL: "postgresql://auth@db/auth", AUTH_POOL__SIZE: 200}
  db: {image: "postgres:18"}
"""


def audit(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", *words])
    if isinstance(done.exception, PooldrillError):
        return int(done.exception.exit_code), str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A project with a file whose name is no UTF-8, nor anything else."""
    (tmp_path / "compose.yaml").write_text(COMPOSE, "utf-8")
    beside = os.path.join(os.fsencode(tmp_path), b"deploy-\xff\n")
    os.mkdir(beside)
    with open(os.path.join(beside, b"compose.yaml"), "w", encoding="utf-8") as file:
        file.write(COMPOSE)
    return tmp_path


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """As a process of its own: with standard streams of its own, and no standard input."""
    command = [sys.executable, "-m", "harness", "audit", str(folder), *words]
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    return subprocess.run(
        closed,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("form", "encoding"),
    [("json", "utf-8:strict"), ("text", "ascii")],
)
def test_no_name_and_no_terminal_is_too_odd(odd: Path, form: str, encoding: str) -> None:
    done = run(odd, "--format", form, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (1, b"")
    if form == "json":
        files = json.loads(done.stdout)["files"]
        assert any("\udcff" in name for name in files)


@pytest.mark.parametrize("form", ["json", "sarif", "junit", "github", "text"])
def test_and_none_for_a_file(odd: Path, form: str) -> None:
    file = odd / "out.txt"
    assert audit(str(odd), "--format", form, "--out", str(file))[0] == 1
    text = file.read_text("utf-8")
    if form in ("json", "sarif"):
        assert "\\udcff" in text or "%FF" in text
        json.loads(text)
    elif form == "junit":
        ElementTree.fromstring(text)


def test_and_none_for_a_baseline(odd: Path) -> None:
    baseline = odd / "baseline.json"
    assert audit(str(odd), "--write-baseline", str(baseline))[0] == 0
    code, said = audit(str(odd), "--baseline", str(baseline))
    assert code == 0, said


def test_without_a_standard_input_a_fix_is_only_shown(tmp_path: Path) -> None:
    text = "services:\n  api:\n    image: a\n    environment:\n      AUTH_POOL__TIMEOUT_S: 30\n"
    edge = '  edge: {image: g, environment: {GATEWAY_UPSTREAMS: "[]", GATEWAY_TIMEOUT_S: 8}}\n'
    (tmp_path / "compose.yaml").write_text(text + edge, "utf-8")
    done = run(tmp_path, "--fix")
    assert done.returncode == 1
    assert b"nothing was written" in done.stderr
    assert (tmp_path / "compose.yaml").read_text("utf-8") == text + edge


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("compose.yaml", "services: &s\n  a: *s\n", "an alias contains itself"),
        ("compose.yaml", "services: " + "[" * 5000, "not valid YAML"),
        ("compose.yaml", "services:\n\ta: {image: postgres}\n", "not valid YAML"),
        ("compose.yaml", "", "empty, or not what its name says"),
        ("compose.yaml", "services: hello\n", "has a part of a chain"),
        ("compose.yaml", "services:\n", "has a part of a chain"),
        ("app.py", "from sqlalchemy import create_engine\ncreate_engine(", "not Python"),
        ("nginx.conf", "http { server { location / { proxy_pass http://a", "nginx"),
        ("haproxy.cfg", "backend\n", "empty, or not what its name says"),
        ("pgbouncer.ini", "[pgbouncer\nx", "empty, or not what its name says"),
        (".env", "", "has a part of a chain"),
        ("requirements.txt", "requests\n", "has a part of a chain"),
    ],
)
def test_a_folder_in_which_nothing_was_understood_does_not_pass(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    code, told = audit(str(tmp_path))
    assert (code, "nothing was audited" in told) == (2, True)
    assert said in told


def test_a_file_that_was_not_understood_is_not_counted_as_audited(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE, "utf-8")
    (tmp_path / "app.py").write_text("from sqlalchemy import create_engine\n(", "utf-8")
    found = json.loads(audit(str(tmp_path), "--json")[1])
    assert found["files"] == [str(tmp_path / "compose.yaml")]
    assert [each["file"] for each in found["unread"]] == [str(tmp_path / "app.py")]


def test_without_a_database_the_text_says_what_was_not_judged(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE, "utf-8")
    assert "no PostgreSQL was found" not in audit(str(tmp_path))[1]
    without = COMPOSE.replace('  db: {image: "postgres:18"}\n', "")
    (tmp_path / "compose.yaml").write_text(without, "utf-8")
    assert (
        "no PostgreSQL was found, so that what it grants was not judged"
        in (audit(str(tmp_path))[1])
    )


def test_a_rule_that_fails_hides_no_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(_: Chain) -> Iterator[Finding]:
        raise OverflowError("hunter2-canary")
        yield  # a generator, as rules are

    failing = SimpleNamespace(ID="PD104", TITLE="t", check=check)
    monkeypatch.setattr(auditing, "RULES", (failing, *RULES))
    (tmp_path / "compose.yaml").write_text(COMPOSE, "utf-8")
    found = audit_files([tmp_path], Declared())
    assert "PD101" in {finding.id for finding in found.findings}
    assert any("it failed: OverflowError" in unknown.needs for unknown in found.unknown)
    assert "hunter2-canary" not in repr(found)


def test_a_count_of_hundreds_of_digits_is_no_reason_to_fail(tmp_path: Path) -> None:
    text = COMPOSE.replace("auth:1\n", f"auth:1\n    deploy: {{replicas: {'9' * 400}}}\n")
    (tmp_path / "compose.yaml").write_text(text, "utf-8")
    code, said = audit(str(tmp_path))
    assert (code, "failed" in said, "9" * 20 in said) == (1, False, False)


@pytest.mark.parametrize(
    "words",
    [
        ("--json", "--format", "sarif"),
        ("--fix", "--out", "x"),
        ("--write-baseline", "x", "--out", "y"),
        ("--write-baseline", "x", "--format", "json"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE, "utf-8")
    assert audit(str(tmp_path), *words)[0] == 2


def test_a_suppression_may_be_written_in_capitals(tmp_path: Path) -> None:
    text = COMPOSE.replace("200}", "200}  # Pooldrill: Ignore PD101 until 2999-01-01 because x")
    (tmp_path / "compose.yaml").write_text(text, "utf-8")
    assert "PD101" not in audit(str(tmp_path), "--quiet")[1]


def test_a_form_feed_does_not_move_the_line_that_is_shown(tmp_path: Path) -> None:
    text = "from sqlalchemy import create_engine\n\x0c\nengine = create_engine(x, pool_size=0)\n"
    (tmp_path / "app.py").write_text(text, "utf-8")
    assert "3 | engine = create_engine" in audit(str(tmp_path), "--fail-on", "note")[1]


@pytest.mark.parametrize("word", ["PW", "db_credentials", "Bearer", "private"])
def test_words_for_a_secret(word: str) -> None:
    assert may_be_secret(f"connect({word}='x', timeout=30)")


def test_what_a_file_does_not_say_is_suppressed_where_it_begins(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE.replace("  db: {image", "  no: {image"), "utf-8")
    comment = "# pooldrill: ignore PD131 until 2999-01-01 because x\n"
    settings = tmp_path / "postgresql.conf"
    for text, holds in ((comment + "port = 1\n", False), ("port = 1\n" + comment, True)):
        settings.write_text(text, "utf-8")
        found = json.loads(audit(str(tmp_path), "--json")[1])["findings"]
        whole = [each for each in found if each["file"] == str(settings) and not each["line"]]
        assert ("PD131" in {each["id"] for each in whole}) is holds
        assert "PD132" in {each["id"] for each in whole}


def test_the_name_of_a_file_begins_no_line_and_no_control_sequence(tmp_path: Path) -> None:
    """A CI server takes a line that begins with ``::`` for a command."""
    name = "\x1b[2J\n::error::pwned.yaml"
    (tmp_path / name).write_bytes(b"\0")
    assert "\x1b" not in audit(str(tmp_path))[1]
    assert "\n::" not in audit(str(tmp_path))[1]
    (tmp_path / name).write_text(f"{COMPOSE}# pooldrill: ignore\n", "utf-8")
    code, said = audit(str(tmp_path))
    assert (code, "\x1b" in said, "\n::" in said) == (2, False, False)
    (tmp_path / name).write_text(COMPOSE, "utf-8")
    for form in ("text", "github"):
        said = audit(str(tmp_path), "--format", form)[1]
        assert "\n::error::" not in said


# -- a program that reads standard output --------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--format", "json", "--bogus"), 2, "No such option: --bogus"),
        (("--format", "json", "--fail-on", "never"), 2, "--fail-on"),
        (("--format=json", "--config", "no-such.toml"), 2, "no-such.toml"),
        (("--json", "--dsn", "host=nowhere.invalid"), 4, "nowhere.invalid cannot be reached"),
    ],
)
def test_json_that_was_asked_for_is_json_of_an_error_too(
    tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE, "utf-8")
    ended = run(tmp_path, *words)
    error = json.loads(ended.stdout)["error"]
    assert (ended.returncode, error["exit_code"]) == (code, code)
    assert said in error["message"]
    assert error["remedy"]
    assert said in ended.stderr.decode(), "and for people"


def test_help_and_findings_have_their_exit_codes_in_json_as_well(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE, "utf-8")
    assert run(tmp_path, "--format", "json", "--help").returncode == 0
    found = run(tmp_path, "--format", "json")
    assert found.returncode == 1
    assert json.loads(found.stdout)["findings"]


def test_a_wrong_word_is_said_as_text_where_text_was_asked_for(tmp_path: Path) -> None:
    for words in (("--format", "sarif", "--bogus"), ("--format", "jsn")):
        ended = run(tmp_path, *words)
        assert (ended.returncode, ended.stdout) == (2, b"")
        assert b"Usage" in ended.stderr


@pytest.mark.parametrize(
    ("words", "is_json"),
    [
        (("audit", ".", "--json"), True),
        (("audit", "--format", "json", "."), True),
        (("audit", "--format=json", "."), True),
        (("audit", "--format", "sarif", "json"), False),
        (("audit", "json", "--format"), False),
        ((), False),
    ],
)
def test_what_asks_for_json(words: tuple[str, ...], is_json: bool) -> None:
    assert asks_for_json(words) is is_json
