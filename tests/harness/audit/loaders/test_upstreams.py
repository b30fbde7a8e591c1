"""Addresses of proxies: hosts, ports, and whether a database is behind them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders.upstreams import address, leads_to_a_database, port_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("app:8000", ("app", 8000)),
        ("http://app.internal/api", ("app.internal", None)),
        ("[::1]:5432", ("::1", 5432)),
        ("ipv4@10.0.0.1:80", ("10.0.0.1", 80)),
        ("unix:/run/app.sock", None),
        ("unix@/run/app.sock", None),
        ("$backend", None),
        ("${HOST}:80", None),
        ("user:secret@app:80", None),
        ("", None),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, found: tuple[str, int | None] | None) -> None:
    assert address(text) == found


@pytest.mark.parametrize(
    ("text", "port"), [("5432", 5432), ("*:5432", 5432), ("[::]:80", 80), ("/run/x", None)]
)
def test_a_port_to_listen_on(text: str, port: int | None) -> None:
    assert port_of(text) == port


@pytest.mark.parametrize(
    ("names", "ports", "leads"),
    [
        (["db"], [5432], True),
        (["cache"], [6432], True),
        (["db"], [6379], False),
        (["postgres-primary"], [], True),
        (["app", "shop_db"], [None], True),
        (["dbus"], [], False),
        ([], [], False),
    ],
)
def test_ports_tell_and_where_there_are_none_names_do(
    names: list[str], ports: list[int | None], leads: bool
) -> None:
    assert leads_to_a_database(names, ports) == leads


@given(st.text(max_size=40))
def test_no_text_makes_it_fall(text: str) -> None:
    address(text)
    port_of(text)
