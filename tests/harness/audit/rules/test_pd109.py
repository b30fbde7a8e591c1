"""PD109: connections that are replaced too late."""

from __future__ import annotations

import math
from dataclasses import replace

from harness.audit.parts import Proxy
from harness.audit.rules import pd109 as rule
from harness.audit.values import Place
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown

ENDS = {"idle_session_timeout_s": 600.0}


def test_a_recycle_time_beyond_the_limit_is_found() -> None:
    found = finding(
        rule, chain(pool(pre_ping=False, recycle_s=at(1800.0, 6, "RECYCLE")), server=ENDS)
    )
    assert found.severity == "warning"
    assert "older than 1800 s" in found.message
    assert found.place.key == "RECYCLE"


def test_the_limit_itself_is_too_late() -> None:
    assert not silent(rule, chain(pool(pre_ping=False, recycle_s=600.0), server=ENDS))
    assert silent(rule, chain(pool(pre_ping=False, recycle_s=599.0), server=ENDS))


def test_a_check_before_each_use_is_enough() -> None:
    assert silent(rule, chain(pool(pre_ping=True, recycle_s=1800.0), server=ENDS))


def test_no_recycle_at_all_is_another_rules_matter() -> None:
    assert silent(rule, chain(pool(pre_ping=False, recycle_s=math.inf), server=ENDS))


def test_a_proxy_that_ends_busy_connections_too_is_found() -> None:
    """A check before each use does not help there."""
    proxy = Proxy(name="envoy", place=Place("envoy.yaml", 3), longest_s=at(900.0))
    cut = replace(chain(pool(pre_ping=True, recycle_s=math.inf)), proxies=(proxy,))
    found = finding(rule, cut)
    assert "envoy ends every connection after 900 s" in found.message
    assert found.severity == "warning"
    at_once = replace(chain(pool(pre_ping=True, recycle_s=900.0)), proxies=(proxy,))
    assert not silent(rule, at_once)
    sooner = replace(chain(pool(pre_ping=True, recycle_s=800.0)), proxies=(proxy,))
    assert silent(rule, sooner)


def test_it_says_what_it_lacks() -> None:
    lacking = chain(pool(pre_ping=NOT_KNOWN, recycle_s=1800.0), server=ENDS)
    assert "pre_ping" in unknown(rule, lacking).needs
