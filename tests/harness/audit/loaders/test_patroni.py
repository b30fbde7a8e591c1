"""Patroni's configuration is that of the server which it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.auditing import audit_sources
from harness.audit.chain import Declared
from harness.audit.loaders import patroni
from harness.audit.parts import Server
from harness.audit.sources import SourceFile
from harness.audit.values import Place
from tests.harness.audit.loaders.reading import read

NODE = """\
scope: shop
name: node-1
bootstrap:
  dcs:
    ttl: 30
    postgresql:
      parameters:
        max_connections: 250
        statement_timeout: 5s
postgresql:
  listen: 0.0.0.0:5432
  parameters:
    max_connections: 900
    statement_timeout: 9s
"""


def server(text: str) -> Server:
    (found,) = read(patroni, "node.yml", text).servers
    return found


def test_a_node_holds_over_the_cluster_but_where_all_have_to_be_alike() -> None:
    found = server(NODE)
    assert (found.name, found.hosts) == ("shop", ("shop",))
    assert found.max_connections.known == 250
    assert found.max_connections.place == Place("node.yml", 8, "max_connections")
    assert found.statement_timeout_s.known == 9


def test_what_is_not_said_is_postgresqls() -> None:
    found = server("scope: shop\npostgresql: {data_dir: /data}\n")
    assert found.max_connections.known == 100
    found = server("scope: shop\npostgresql: {custom_conf: /etc/own.conf}\n")
    assert "custom_conf" in found.max_connections.why


def test_the_nodes_of_a_cluster_are_one_server() -> None:
    files = [SourceFile(Path(name), name, NODE) for name in ("a.yml", "b.yml")]
    (chain,) = audit_sources(files, Declared()).chains
    assert [each.name for each in chain.servers] == ["shop"]


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("a.yml", NODE, True),
        ("a.yml", "scope:\npostgresql: {}\n", False),
        ("a.yml", "scope: read\nname: x\n", False),
        ("a.json", NODE, False),
    ],
)
def test_it_is_known_by_its_scope_and_its_parts(name: str, text: str, known: bool) -> None:
    assert patroni.recognises(SourceFile(Path(name), name, text)) is known


@pytest.mark.parametrize("more", ["---\na: 1\n", "x: [\n", "x: {% if a %}\n"])
def test_what_is_no_configuration_is_said(more: str) -> None:
    assert read(patroni, "node.yml", NODE + more).unread


def test_a_template_of_one_is_said_to_be_one() -> None:
    text = "scope: {{ cluster }}\nbootstrap:\n{% if dcs %}\n  dcs: {}\n{% endif %}\n"
    (unread,) = read(patroni, "patroni.yml.j2", text).unread
    assert unread.why == "a template of Patroni's configuration"


@given(st.text(max_size=200))
def test_no_text_makes_it_fall(text: str) -> None:
    name = "node.yml"
    patroni.load(SourceFile(Path(name), name, f"scope: a\npostgresql:\n{text}"))
