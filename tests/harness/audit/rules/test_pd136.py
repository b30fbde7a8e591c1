"""PD136: timeouts that do not shrink on their way inward."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Gateway
from harness.audit.rules import pd136 as rule
from harness.audit.values import Place, Value
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent


@pytest.mark.parametrize("patience_s", [0.5, 1.0])
def test_a_wait_as_long_as_the_clients_is_found(patience_s: float) -> None:
    found = finding(rule, chain(client={"timeout_s": patience_s}))
    assert found.severity == "warning"
    assert f"give up after {patience_s:g} s" in found.message


def test_a_patient_client_is_clean() -> None:
    assert silent(rule, chain(client={"timeout_s": 1.1}))


def test_without_a_pool_nobody_waits() -> None:
    assert silent(rule, chain(pool(implementation="none"), client={"timeout_s": 0.5}))


def test_what_is_not_said_is_not_guessed() -> None:
    assert silent(rule, chain(client={"timeout_s": NOT_KNOWN}))


def behind(inner_s: Any, *, upstreams: tuple[str, ...] = ("sidecar",)) -> Chain:
    """The edge, 6 s, sends requests to a sidecar with this timeout."""
    whole = chain()
    (edge,) = whole.gateways
    value = inner_s if isinstance(inner_s, Value) else at(inner_s, 2, "timeout")
    sidecar = Gateway(name="sidecar", place=Place("envoy.yaml", 2), timeout_s=value)
    return replace(whole, gateways=(replace(edge, upstreams=upstreams), sidecar))


@pytest.mark.parametrize("inner_s", [6.0, 15.0])
def test_a_gateway_behind_a_gateway_that_waits_as_long_is_found(inner_s: float) -> None:
    found = finding(rule, behind(inner_s))
    assert f"sidecar behind it waits for {inner_s:g} s" in found.message
    assert found.place.file == "app.env", "where the outer one's timeout stands"


def test_a_quicker_one_or_one_that_is_not_behind_it_is_clean() -> None:
    assert silent(rule, behind(5.9))
    assert silent(rule, behind(15.0, upstreams=("elsewhere",)))
    assert silent(rule, behind(NOT_KNOWN))


def test_two_defaults_are_nobodys_choice() -> None:
    default = Value.default(15.0, "Envoy")
    whole = behind(default)
    edge, sidecar = whole.gateways
    assert silent(rule, replace(whole, gateways=(replace(edge, timeout_s=default), sidecar)))
    assert finding(rule, behind(default))


def test_a_sidecar_stands_behind_every_gateway_of_its_workload() -> None:
    def local(inner_s: float) -> Chain:
        whole = behind(inner_s, upstreams=("auth",))
        edge, sidecar = whole.gateways
        (work,) = whole.workloads
        beside = replace(sidecar, upstreams=("127.0.0.1",))
        return replace(whole, gateways=(edge, beside), workloads=(replace(work, hosts=("auth",)),))

    assert "sidecar behind it" in finding(rule, local(6.0)).message
    assert silent(rule, local(5.0))
    (work,) = local(6.0).workloads
    two = replace(local(6.0), workloads=(work, replace(work, name="other")))
    assert silent(rule, two), "whose it is, no file says"


@pytest.mark.parametrize("limit_s", [6.0, 120.0])
def test_a_worker_that_outlives_the_gateway_is_found(limit_s: float) -> None:
    found = finding(rule, chain(workload={"timeout_s": limit_s}))
    assert f"for {limit_s:g} s, and edge gives up after 6 s" in found.message


def test_a_worker_that_ends_first_or_never_or_by_default_is_clean() -> None:
    assert silent(rule, chain(workload={"timeout_s": 5.0}))
    assert silent(rule, chain(workload={"timeout_s": math.inf}))
    assert silent(rule, chain(workload={"timeout_s": Value.default(30.0, "gunicorn")}))


@pytest.mark.parametrize("limit_s", [6.0, 60.0])
def test_a_statement_that_outlives_its_request_is_found(limit_s: float) -> None:
    found = finding(rule, chain(server={"statement_timeout_s": limit_s}))
    assert f"may run for {limit_s:g} s" in found.message
    assert finding(rule, chain(pool(statement_timeout_s=limit_s)))


def test_a_shorter_statement_is_clean_and_none_at_all_another_rules_matter() -> None:
    assert silent(rule, chain(server={"statement_timeout_s": 5.0}))
    assert silent(rule, chain(server={"statement_timeout_s": math.inf}))


def test_the_pools_own_statement_timeout_holds() -> None:
    own = pool(statement_timeout_s=2.0)
    assert silent(rule, chain(own, server={"statement_timeout_s": 60.0}))


def test_what_ends_every_transaction_ends_a_statement_first() -> None:
    ended = {"statement_timeout_s": 60.0, "transaction_timeout_s": 5.0}
    assert silent(rule, chain(server=ended))
    late = {"statement_timeout_s": math.inf, "transaction_timeout_s": 30.0}
    assert "may run for 30 s" in finding(rule, chain(server=late)).message


def test_one_line_is_said_once() -> None:
    assert finding(rule, chain(pool(), pool(), server={"statement_timeout_s": 60.0}))


def test_nobody_outlasts_who_never_gives_up() -> None:
    endless = {"timeout_s": math.inf}
    whole = chain(pool(timeout_s=math.inf), client=endless, gateway=endless, workload=endless)
    assert silent(rule, whole)


def test_a_job_queues_worker_has_no_clients() -> None:
    waits = {"client": {"timeout_s": 1.0}, "gateway": {"timeout_s": NOT_KNOWN}}
    assert finding(rule, chain(**waits))
    assert silent(rule, chain(**waits, workload={"serves": False}))
