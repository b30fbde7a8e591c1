"""Safe fixes: edits in their place, proven by another audit, written whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit import Audit, Declared, audit_files
from harness.audit.finding import Edit, Finding
from harness.audit.reviewing.fixing import HIDDEN, Fixes, _shown, edited, fixed, unified, write
from harness.audit.values import Place
from harness.errors import UsageError

CANARY = "hunter2-canary"
COMPOSE = f"""\
services:
  api:
    image: registry.example/auth:1
    environment:
      AUTH_DATABASE_URL: postgresql://auth:{CANARY}@db/auth
      AUTH_POOL__SIZE: 5
      AUTH_POOL__TIMEOUT_S: 30   # too long
  edge:
    image: registry.example/gateway:1
    environment: {{GATEWAY_UPSTREAMS: "[]", GATEWAY_TIMEOUT_S: 8}}
"""


def edit(key: str, old: str, new: str, line: int = 1) -> Edit:
    return Edit(Place("app.env", line, key), old, new)


@pytest.mark.parametrize(
    ("line", "what", "result"),
    [
        ("TIMEOUT=30", ("TIMEOUT", "30", "4"), "TIMEOUT=4"),
        ("TIMEOUT: 30  # of 30", ("TIMEOUT", "30", "4"), "TIMEOUT: 4  # of 30"),
        ('TIMEOUT: "30"', ("TIMEOUT", "30", "4"), 'TIMEOUT: "4"'),
        ('"TIMEOUT": 30,', ("TIMEOUT", "30", "4"), '"TIMEOUT": 4,'),
        ("TIMEOUT=30.0", ("TIMEOUT", "30", "4"), "TIMEOUT=4"),
        ("pool: {size: 30, timeout: 30s}", ("a.pool.timeout", "30", "4"), None),
        ("proxy_read_timeout 30s;", ("proxy_read_timeout", "30", "4"), "proxy_read_timeout 4s;"),
        ("limit = 0", ("limit", "0", "60s"), "limit = 60s"),
        ("limit = 0s", ("limit", "0", "60s"), "limit = 60s"),
        ("PING=false", ("PING", "false", "true"), "PING=true"),
        ("ping=False)", ("ping", "false", "true"), "ping=True)"),
        ("PING=FALSE", ("PING", "false", "true"), "PING=TRUE"),
        ("TIMEOUT=300", ("TIMEOUT", "30", "4"), None),
        ("TIMEOUT=30000", ("TIMEOUT", "30", "4"), None),
        ("TIMEOUT=30.5", ("TIMEOUT", "30", "4"), None),
        ("TIMEOUT=30ms", ("TIMEOUT", "30", "4"), None),
        ("TIMEOUT=30min", ("TIMEOUT", "30", "4"), None),
        ("MY_TIMEOUT=30", ("TIMEOUT", "30", "4"), None),
        ("TIMEOUT=${X:-30}", ("TIMEOUT", "30", "4"), None),
        ("TIMEOUT=30 TIMEOUT=30", ("TIMEOUT", "30", "4"), None),
        ("TIMEOUT=30", ("", "30", "4"), None),
        ("TIMEOUT=30", ("TIMEOUT", "30", "4\nX=1"), None),
    ],
)
def test_a_value_is_replaced_where_it_stands_literally(
    line: str, what: tuple[str, str, str], result: str | None
) -> None:
    if result is None and "pool:" in line:
        result = "pool: {size: 30, timeout: 4s}"
    assert edited(edit(*what), line) == result


def test_line_ends_and_the_other_lines_stay() -> None:
    text = "A=30\r\nTIMEOUT=30\r\nB=30"
    assert edited(edit("TIMEOUT", "30", "4", line=2), text) == "A=30\r\nTIMEOUT=4\r\nB=30"


@given(st.text(), st.integers(min_value=-1, max_value=5), st.text(max_size=5))
def test_no_text_makes_it_fall(text: str, line: int, key: str) -> None:
    result = edited(edit(key, "30", "4", line), text)
    assert result is None or result != text


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(COMPOSE, "utf-8")
    return tmp_path


def fixes_of(*paths: Path) -> Fixes:
    found = audit_files(paths, Declared())
    return fixed(found, found.findings, Declared())


def ids(audit: Audit) -> set[str]:
    return {finding.id for finding in audit.findings}


def test_the_finding_is_gone_after_its_fix(project: Path) -> None:
    assert "PD103" in ids(audit_files([project], Declared()))
    fixes = fixes_of(project)
    assert [finding.id for finding in fixes.made] == ["PD103"]
    assert fixes.dropped == ()
    assert "PD103" not in ids(fixes.audit)
    assert "PD103" in ids(audit_files([project], Declared())), "nothing is written yet"
    assert write(fixes) == fixes.changed
    assert (project / "compose.yaml").read_text("utf-8") == COMPOSE.replace("S: 30 ", "S: 6 ")


def test_the_diff_shows_what_changes_and_no_secret(project: Path) -> None:
    said = "\n".join(unified(fixes_of(project)))
    assert "-      AUTH_POOL__TIMEOUT_S: 30   # too long" in said
    assert "+      AUTH_POOL__TIMEOUT_S: 6   # too long" in said
    assert HIDDEN in said
    assert CANARY not in said


def test_of_a_changed_line_that_may_hold_a_secret_only_the_change_is_shown(
    tmp_path: Path,
) -> None:
    (tmp_path / "pools.py").write_text(
        f'engine = create_engine("postgresql://a:{CANARY}@h/d", pool_use_lifo=True)\n', "utf-8"
    )
    said = "\n".join(unified(fixes_of(tmp_path)))
    assert "pool_pre_ping=True" in said
    assert CANARY not in said
    assert "create_engine" not in said


def test_an_edit_that_does_not_help_is_dropped_and_said(project: Path) -> None:
    found = audit_files([project], Declared())
    (finding,) = (each for each in found.findings if each.id == "PD103")
    for old, new, why in (
        ("30", "29", "would stay"),
        ("31", "1", "does not stand"),
        ("30", "'", "could not be read"),
        ("30", "${LATER}", "could not be told"),
    ):
        useless = Finding(
            finding.id,
            finding.severity,
            finding.place,
            finding.message,
            finding.fix,
            Edit(finding.place, old, new),
        )
        fixes = fixed(found, [useless], Declared())
        assert fixes.changed == ()
        assert why in fixes.dropped[0].why, (old, new)


def test_an_edit_that_brings_another_finding_is_dropped(tmp_path: Path) -> None:
    """One rule's cure may be another's harm: here a pool that becomes unlimited."""
    (tmp_path / "compose.yaml").write_text(COMPOSE.replace("30 ", "1 "), "utf-8")
    found = audit_files([tmp_path], Declared(peak_per_s=10, hold_s=0.05))
    place = Place(str(tmp_path / "compose.yaml"), 6, "AUTH_POOL__SIZE")
    harmful = Finding("PD110", "warning", place, "", "", Edit(place, "5", "0"))
    fixes = fixed(found, [harmful], Declared(peak_per_s=10, hold_s=0.05))
    assert fixes.made == ()
    assert "would bring PD102" in fixes.dropped[0].why


def test_bytes_that_are_not_the_edits_stay(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + COMPOSE.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    write(fixes_of(path))
    written = path.read_bytes()
    assert (
        written
        == b"\xef\xbb\xbf" + COMPOSE.replace("S: 30 ", "S: 6 ").replace("\n", "\r\n").encode()
    )
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("elsewhere") / "compose.yaml"
    link.symlink_to(project / "compose.yaml")
    write(fixes_of(link))
    assert link.is_symlink()
    assert "S: 6 " in (project / "compose.yaml").read_text("utf-8")


def test_a_file_that_has_changed_since_is_left_alone(project: Path) -> None:
    fixes = fixes_of(project)
    (project / "compose.yaml").write_text(COMPOSE + "# more\n", "utf-8")
    with pytest.raises(UsageError, match="has changed"):
        write(fixes)
    assert (project / "compose.yaml").read_text("utf-8") == COMPOSE + "# more\n"


def test_all_files_are_written_or_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pools.py").write_text("engine = create_engine(url, pool_use_lifo=True)\n", "utf-8")
    fixes = fixes_of(project)
    assert len(fixes.changed) == 2
    renamed = []
    real = os.replace

    def failing(source: Path, target: Path) -> None:
        if renamed:
            raise OSError(28, "No space left on device", str(target))
        renamed.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(UsageError, match="nothing was changed"):
        write(fixes)
    assert (project / "compose.yaml").read_text("utf-8") == COMPOSE
    assert "pre_ping" not in (project / "pools.py").read_text("utf-8")
    assert sorted(path.name for path in project.iterdir()) == ["compose.yaml", "pools.py"]


def test_a_file_that_is_read_only_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(COMPOSE, "utf-8")
    audit = audit_files([path], Declared())
    fixes = fixed(audit, audit.findings, Declared())
    assert fixes.changed
    path.chmod(0o444)
    with pytest.raises(UsageError, match="read-only: nothing was written"):
        write(fixes)
    assert path.read_text("utf-8") == COMPOSE
    path.chmod(0o640)
    write(fixes)
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_text("utf-8") != COMPOSE


def test_a_form_feed_ends_no_line() -> None:
    text = "a = 1\x0c\nTIMEOUT = 30\n"
    assert edited(edit("TIMEOUT", "30", "4", 2), text) == "a = 1\x0c\nTIMEOUT = 4\n"


@pytest.mark.parametrize(
    "secret",
    [
        f"PRIVATE_KEY: |\n  {CANARY}\n  {CANARY}: 1",
        f'private_key = """\nMIIC{CANARY}\n{CANARY}=="""',
        f"- password: >\n    {CANARY}",
    ],
)
def test_what_goes_on_below_a_secret_is_not_shown(secret: str) -> None:
    before = f"{secret}\nsize: 5\nTIMEOUT: 30\n"
    after = before.replace("30", "4")
    shown = _shown(before.splitlines(), before.splitlines(), after.splitlines())
    assert CANARY not in "\n".join(shown)
    assert shown[-2:] == ["size: 5", "TIMEOUT: 30"]
