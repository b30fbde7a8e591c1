"""What ``--stack`` may say, and how a run that starts others hands it on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness.errors import UsageError
from harness.stack_kinds import KINDS, Where, is_ours, known


@pytest.mark.parametrize("stack", [*KINDS, "postgresql://u@127.0.0.1/db", "host=/tmp dbname=db"])
def test_kinds_and_addresses_are_known(stack: str) -> None:
    assert known(stack) == stack


@pytest.mark.parametrize("stack", ["dokcer", "", "DOCKER", "127.0.0.1"])
def test_anything_else_is_refused_with_the_choices(stack: str) -> None:
    with pytest.raises(UsageError, match="there is no such stack") as caught:
        known(stack)
    for kind in KINDS:
        assert kind in caught.value.remedy
    if stack == "dokcer":
        assert "Did you mean docker?" in caught.value.remedy


def test_a_users_server_is_not_ours() -> None:
    assert is_ours("embedded")
    assert is_ours("docker")
    assert not is_ours("postgresql://u@127.0.0.1/db")


def test_an_address_is_handed_on_where_nobody_reads_it() -> None:
    where = Where("postgresql://u:secret@db/x", allowed_host="db", allow_tables=True)
    assert where.options() == ["--i-own-this-target", "db", "--i-own-this-database"]
    assert where.environment() == {"POOLDRILL_STACK": "postgresql://u:secret@db/x"}
    assert Where().options() == []


@pytest.mark.parametrize(
    "command",
    [
        ["run", "undersized-pool"],
        ["whatif", "undersized-pool", "--all"],
        ["alerts", "record", "undersized-pool"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("by", ["option", "variable"])
def test_commands_refuse_an_unknown_stack_before_anything_is_made(
    command: list[str], by: str, tmp_path: os.PathLike[str]
) -> None:
    words, env = (
        (["--stack", "dokcer"], {}) if by == "option" else ([], {"POOLDRILL_STACK": "dokcer"})
    )
    done = subprocess.run(
        [sys.executable, "-m", "harness", *command, *words, "--out", str(tmp_path)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "PD001" in done.stderr
    assert "Did you mean docker?" in done.stderr
    assert os.listdir(tmp_path) == []
