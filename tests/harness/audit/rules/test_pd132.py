"""PD132: a statement without an end."""

from __future__ import annotations

import math

from harness.audit.rules import pd132 as rule
from tests.harness.audit.chains import chain, finding, silent

FOREVER = {"statement_timeout_s": math.inf}


def test_no_limit_is_found() -> None:
    assert finding(rule, chain(server=FOREVER)).severity == "note"


def test_a_limit_is_clean() -> None:
    assert silent(rule, chain(server={"statement_timeout_s": 5.0}))


def test_what_is_not_said_is_not_guessed() -> None:
    assert silent(rule, chain())


def test_a_server_without_pools_is_nobodys_concern() -> None:
    assert silent(rule, chain(server=FOREVER, workload={"pools": ()}))
