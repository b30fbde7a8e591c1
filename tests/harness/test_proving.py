"""A finding is shown by two runs: as audited, and with the remedy."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.audit.proofs import Setting
from harness.proving import Played, Proven, cured, prove
from tests.harness.audit.proofs.test_staging import PLAYED
from tests.untrusted import UntrustedError


def trusted(proven: Proven) -> Proven:
    if proven.outcome == "invalid":
        raise UntrustedError(proven.rows)
    return proven


@pytest.mark.parametrize(
    ("affected", "trusted"), [(0.0, True), (0.05, True), (0.051, False), (None, False)]
)
def test_a_remedy_that_cures_leaves_nobody_affected(affected: float | None, trusted: bool) -> None:
    """Else something other than the finding limits what was played: a machine, say."""
    row = cured(Played("with the remedy", affected, 0, 0, 7, "", "runs/1"))
    assert (row.affected is not None) == trusted
    if trusted:
        assert row.affected == affected
    elif affected is not None:
        assert "5.1% of the users are affected although" in row.why


@pytest.mark.slow
def test_the_harm_is_shown_on_real_parts(tmp_path: Path) -> None:
    said: list[str] = []
    proven = trusted(prove(PLAYED, out=tmp_path, said=said.append))
    assert proven.outcome == "pass", said
    assert re.fullmatch(r"as audited: pool-wait-beyond-gateway is played, for \d+ s", said[0])
    audited, remedied = proven.rows
    assert audited.gateway_timeouts > remedied.gateway_timeouts
    written = json.loads((proven.folder / "proof.json").read_text("utf-8"))
    assert written["outcome"] == "pass"
    assert [row["name"] for row in written["rows"]] == ["as audited", "with the remedy"]


@pytest.mark.slow
def test_without_the_defect_no_harm_is_shown(tmp_path: Path) -> None:
    """A pool that gives up well before the gateway, and one that does so a little sooner."""
    settings = (*PLAYED.audited, Setting("service.pool.timeout", "600ms", None))
    sound = replace(PLAYED, audited=settings)
    proven = trusted(prove(sound, out=tmp_path))
    assert proven.outcome == "fail", proven.rows
