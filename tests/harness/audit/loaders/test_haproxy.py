"""HAProxy: sections with what they inherit, their timeouts, servers and retries."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import haproxy
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

CONFIG = """\
global
  maxconn 4000

defaults
  mode http
  timeout connect 5s
  timeout client  30s
  timeout server  20000   # ms

frontend web
  bind :80
  default_backend app

backend app
  server a1 app-1:8000 check
  server a2 "app-2:8000" check

backend slow
  timeout server 1m
  retries 2
  retry-on conn-failure response-timeout
  server-template s 1-3 slow.internal:8000

defaults
  mode tcp
  timeout client 10m
  timeout server 15m

listen postgres
  bind 127.0.0.1:5432
  server db database:5432

frontend pg-in
  bind :6432
  timeout client 4m
  default_backend pg-out

backend pg-out
  server db database:5432

listen redis
  bind :6379
  server cache cache:6379
"""


def test_a_backend_is_a_gateway_with_what_it_inherits() -> None:
    app, slow = read(haproxy, "haproxy.cfg", CONFIG).gateways
    assert (app.name, app.timeout_s.known) == ("HAProxy (backend app)", 20)
    assert app.timeout_s.place is not None
    assert app.timeout_s.place.line == 8
    assert (slow.timeout_s.known, slow.upstreams) == (60, ("slow.internal",))
    assert app.upstreams == ("app-1", "app-2")


def test_only_what_reached_a_server_counts_as_an_attempt() -> None:
    app, slow = read(haproxy, "haproxy.cfg", CONFIG).gateways
    assert app.attempts.known == 1, "a connection that failed is no request"
    assert (slow.attempts.known, slow.retry_budget.known) == (3, math.inf)


def test_the_default_of_retries_is_haproxys() -> None:
    text = "backend a\n  mode http\n  retry-on 503\n  server s a:1\n"
    (gateway,) = read(haproxy, "haproxy.cfg", text).gateways
    assert (gateway.attempts.known, gateway.attempts.origin) == (4, "default")


def test_a_proxy_before_a_database_cuts_at_the_shorter_side() -> None:
    both, split = read(haproxy, "haproxy.cfg", CONFIG).proxies
    assert (both.name, both.idle_timeout_s.known) == ("HAProxy (listen postgres)", 600)
    assert (split.name, split.idle_timeout_s.known) == ("HAProxy (backend pg-out)", 240)
    assert both.upstreams == ("database",)


def test_a_tunnels_timeout_holds_over_both_sides() -> None:
    text = "listen pg\n bind :5432\n timeout client 1m\n timeout tunnel 1h\n server d db\n"
    (proxy,) = read(haproxy, "haproxy.cfg", text).proxies
    assert proxy.idle_timeout_s.known == 3600


def test_defaults_are_taken_by_their_name() -> None:
    text = (
        "defaults web\n mode http\n timeout server 7s\n"
        "defaults long from web\n timeout server 9s\n"
        "backend a from web\n server s a:1\n"
        "backend b\n server s b:1\n"
    )
    first, second = read(haproxy, "haproxy.cfg", text).gateways
    assert (first.timeout_s.known, second.timeout_s.known) == (7, 9)


def test_a_timeout_that_is_not_said_is_none() -> None:
    text = "backend a\n mode http\n server s a:1\n timeout connect 1s\n"
    (gateway,) = read(haproxy, "haproxy.cfg", text).gateways
    assert (gateway.timeout_s.known, gateway.timeout_s.origin) == (math.inf, "default")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("500", 0.5),
        ("500ms", 0.5),
        ("2s", 2),
        ("3m", 180),
        ("1h", 3600),
        ("1d", 86400),
        ("0", math.inf),
    ],
)
def test_times_are_milliseconds_where_they_have_no_unit(said: str, seconds: float) -> None:
    text = f"backend a\n mode http\n timeout server {said}\n server s a:1\n"
    (gateway,) = read(haproxy, "haproxy.cfg", text).gateways
    assert gateway.timeout_s.known == seconds


def test_placeholders_and_nonsense_are_unknown() -> None:
    text = 'backend a\n mode http\n timeout server {}\n server s "${{HOST}}:1"\n'
    (gateway,) = read(haproxy, "haproxy.cfg", text.format('"${T}"')).gateways
    assert gateway.timeout_s.variable is not None
    assert gateway.timeout_s.variable.read("2s") == 2
    assert gateway.upstreams == ()
    (gateway,) = read(haproxy, "haproxy.cfg", text.format("soon")).gateways
    assert "not understood" in gateway.timeout_s.why


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("setup.cfg", "[metadata]\nname = x\ntimeout = 3\n"),
        ("haproxy.md", CONFIG),
        ("global.conf", "global\n  server_names on\n"),
    ],
)
def test_other_files_are_not_recognised(name: str, text: str) -> None:
    assert not haproxy.recognises(source(name, text))


def test_no_secret_is_repeated() -> None:
    text = (
        f"userlist u\n user admin password {SECRET}\n"
        f"backend a\n mode http\n timeout server {SECRET}\n retries {SECRET}\n retry-on 503\n"
        f" stats auth admin:{SECRET}\n http-request set-header X {SECRET}\n"
        f" server s u:{SECRET}@a:1\n"
        f"listen pg\n bind :5432\n timeout client {SECRET}\n server p db:5432\n"
    )
    assert SECRET not in texts(read(haproxy, "haproxy.cfg", text))


@given(st.text(max_size=200), st.text(alphabet="backend from\n\"'\\ #server", max_size=80))
def test_no_text_makes_it_fall(text: str, noise: str) -> None:
    for each in (text, noise, f"backend {text}\n server {noise}", f"defaults {noise}\n {text}"):
        haproxy.load(source("haproxy.cfg", each))
