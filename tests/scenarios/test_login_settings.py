"""The load process's environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scenarios.settings import read_retries_allowed, read_settings, settings_or_exit

CLIENT = {
    "timeout_s": 10, "attempts": 2, "backoff_initial_s": 1, "backoff_max_s": 4, "patience_s": 20,
    "retry_budget": None,
}  # fmt: skip


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A complete one."""
    arrivals = tmp_path / "arrivals.csv"
    arrivals.touch()
    return {
        "POOLDRILL_ARRIVALS": str(arrivals),
        "POOLDRILL_TARGET": "http://127.0.0.1:8080",
        "POOLDRILL_T0_FILE": str(tmp_path / "t0"),
        "POOLDRILL_END_S": "60",
        "POOLDRILL_CLIENT": json.dumps(CLIENT),
        "POOLDRILL_OUTPUT": str(tmp_path / "out.csv"),
        "POOLDRILL_STATUS": str(tmp_path / "status.json"),
    }


def test_a_complete_environment_is_read(environment: dict[str, str]) -> None:
    """What need not be named has its default."""
    settings = read_settings(environment)
    assert settings.client.model_dump() == CLIENT
    assert (settings.seed, settings.shard, settings.shards) == (0, 0, 1)
    assert not settings.exit_with_stdin
    assert settings.flags is None


def test_flags_need_not_be_there_when_they_are_named(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """They may come into being during the run."""
    settings = read_settings(environment | {"POOLDRILL_FLAGS": str(tmp_path / "flags.json")})
    assert settings.flags == tmp_path / "flags.json"
    assert read_retries_allowed(settings.flags)


@pytest.mark.parametrize(
    ("content", "allowed"),
    [
        (b'{"retries": false}\n', False),
        (b'{"retries": false, "theme": "dark"}', False),
        (b'{"retries": true}', True),
        (b'{"retries": null}', True),
        (b'{"retries": 0}', True),
        (b'{"retries": "false"}', True),
        (b'{"theme": "dark"}', True),
        (b'{"retries": fal', True),
        (b"[false]", True),
        (b"false", True),
        (b"", True),
        (b"\xff\xfe", True),
        (b"[" * 100_000, True),
    ],
)
def test_only_a_plain_no_pauses_retries(tmp_path: Path, content: bytes, allowed: bool) -> None:
    """A client app whose remote configuration is broken goes on as it was built."""
    flags = tmp_path / "flags.json"
    flags.write_bytes(content)
    assert read_retries_allowed(flags) is allowed


def test_flags_that_cannot_be_read_pause_nothing(tmp_path: Path) -> None:
    """Absent, a folder, or none named at all."""
    assert read_retries_allowed(tmp_path / "missing.json")
    assert read_retries_allowed(tmp_path)
    assert read_retries_allowed(None)


def test_all_problems_are_told_at_once(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each under the name of its variable, and exit code 2."""
    del environment["POOLDRILL_T0_FILE"]
    environment |= {
        "POOLDRILL_TARGET": "ftp://x",
        "POOLDRILL_END_S": "soon",
        "POOLDRILL_CLIENT": json.dumps(CLIENT | {"attempts": 0, "atempts": 3}),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        settings_or_exit()
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "POOLDRILL_TARGET",
        "POOLDRILL_END_S",
        "POOLDRILL_CLIENT",
        "POOLDRILL_CLIENT",
        "POOLDRILL_T0_FILE",
    ]
    assert "attempts" in lines[2]
    assert "atempts" in lines[3]


def test_a_shard_beyond_the_last_is_refused(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It would play nothing, and nobody would notice."""
    for name, value in (environment | {"POOLDRILL_SHARD": "2", "POOLDRILL_SHARDS": "2"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        settings_or_exit()
    assert capsys.readouterr().err.startswith("POOLDRILL_SHARD: ")
