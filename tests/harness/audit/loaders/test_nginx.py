"""nginx: how long its locations wait, where they send requests, and its proxies of bytes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import nginx
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

CONFIG = """\
http {
  include /etc/nginx/mime.types;
  proxy_read_timeout 20s;
  upstream app {
    least_conn;
    server app-1:8000 max_fails=2;
    server app-2:8000;
    server unix:/run/app.sock backup;
  }
  server {
    location / {
      proxy_pass http://app;
    }
    location /reports {
      proxy_read_timeout 1m 30s;
      proxy_next_upstream error timeout non_idempotent;
      proxy_next_upstream_tries 2;
      proxy_pass http://app/reports;
    }
    location /again { proxy_pass http://app; }
  }
}
stream {
  server {
    listen 5432;
    proxy_timeout 5m;
    proxy_pass database:5432;
  }
  server {
    listen 6379;
    proxy_pass cache:6379;
  }
}
"""


def test_the_innermost_timeout_holds() -> None:
    found = read(nginx, "nginx.conf", CONFIG)
    all_of_them, reports = found.gateways
    assert (all_of_them.name, all_of_them.timeout_s.known) == ("nginx (location /)", 20)
    assert all_of_them.timeout_s.place is not None
    assert all_of_them.timeout_s.place.line == 3
    assert reports.timeout_s.known == 90
    assert reports.timeout_s.place is not None
    assert reports.timeout_s.place.line == 15


def test_locations_that_are_alike_are_one_gateway() -> None:
    names = [gateway.name for gateway in read(nginx, "nginx.conf", CONFIG).gateways]
    assert names == ["nginx (location /)", "nginx (location /reports)"]


def test_upstreams_are_hosts() -> None:
    (first, _) = read(nginx, "nginx.conf", CONFIG).gateways
    assert first.upstreams == ("app-1", "app-2"), "a socket is no host"


def test_only_requests_that_change_nothing_are_tried_again_unless_it_says_so() -> None:
    first, reports = read(nginx, "nginx.conf", CONFIG).gateways
    assert "change nothing" in first.attempts.why
    assert (reports.attempts.known, reports.retry_budget.known) == (2, math.inf)


@pytest.mark.parametrize(
    ("said", "attempts"),
    [
        ("proxy_next_upstream off;", 1),
        ("proxy_next_upstream error;", 1),
        ("proxy_next_upstream http_503 non_idempotent;", 3),
        ("proxy_next_upstream timeout non_idempotent; proxy_next_upstream_tries 0;", 3),
        ("proxy_next_upstream timeout non_idempotent; proxy_next_upstream_tries 9;", 3),
    ],
)
def test_attempts_are_servers_or_tries(said: str, attempts: int) -> None:
    text = "upstream a { server b; server c; server d; }\n"
    text += f"server {{ location / {{ {said} proxy_pass http://a; }} }}"
    (gateway,) = read(nginx, "app.conf", text).gateways
    assert gateway.attempts.known == attempts


def test_the_default_is_nginxs() -> None:
    (gateway,) = read(
        nginx, "app.conf", "server {\n  location / { proxy_pass http://a:1; }\n}"
    ).gateways
    assert (gateway.timeout_s.known, gateway.timeout_s.origin) == (60, "default")
    assert gateway.upstreams == ("a",)


@pytest.mark.parametrize("kind", ["uwsgi", "fastcgi", "grpc"])
def test_other_protocols_have_timeouts_of_their_own(kind: str) -> None:
    said = f"{kind}_read_timeout 7; proxy_read_timeout 9;"
    text = f"server {{ {said} location / {{ {kind}_pass app:9; }} }}"
    (gateway,) = read(nginx, "app.conf", text).gateways
    assert gateway.timeout_s.known == 7


def test_what_is_included_might_say_it() -> None:
    text = "server { include snippets/timeouts.conf; location / { proxy_pass http://a; } }"
    (gateway,) = read(nginx, "app.conf", text).gateways
    assert "included" in gateway.timeout_s.why
    harmless = text.replace("snippets/timeouts.conf", "proxy_params")
    (gateway,) = read(nginx, "app.conf", harmless).gateways
    assert gateway.timeout_s.known == 60


def test_a_template_is_decided_by_its_variable() -> None:
    text = "server {\n proxy_read_timeout ${TIMEOUT};\n location / { proxy_pass http://${APP}; }\n}"
    (gateway,) = read(nginx, "default.conf.template", text).gateways
    assert gateway.timeout_s.variable is not None
    assert gateway.timeout_s.variable.name == "TIMEOUT"
    assert gateway.timeout_s.variable.read("30s") == 30
    assert gateway.upstreams == ()


def test_a_proxy_before_a_database_cuts_idle_connections() -> None:
    (proxy,) = read(nginx, "nginx.conf", CONFIG).proxies
    assert (proxy.idle_timeout_s.known, proxy.upstreams) == (300, ("database",))
    (proxy,) = read(nginx, "nginx.conf", CONFIG.replace("proxy_timeout 5m;", "")).proxies
    assert (proxy.idle_timeout_s.known, proxy.idle_timeout_s.origin) == (600, "default")


@pytest.mark.parametrize("said", ["soon", "-5s", "5 minutes"])
def test_no_time_is_unknown(said: str) -> None:
    text = f"server {{ proxy_read_timeout {said}; location / {{ proxy_pass http://a; }} }}"
    (gateway,) = read(nginx, "app.conf", text).gateways
    assert "not understood" in gateway.timeout_s.why


@pytest.mark.parametrize(
    "text", ["server {\n proxy_pass http://a;\n", "server { } }\nproxy_pass a;", "proxy_pass 'a"]
)
def test_half_a_file_is_unread(text: str) -> None:
    file = source("broken.conf", text)
    (unread,) = nginx.load(file).unread
    assert "not nginx's syntax" in unread.why


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("app.py", CONFIG),
        ("sysctl.conf", "net.core.somaxconn = 1024\n"),
        ("pass.conf", "user_pass = {x}\n"),
        ("static.conf", "server { location / { root /srv; } }"),
    ],
)
def test_other_files_are_not_recognised(name: str, text: str) -> None:
    assert not nginx.recognises(source(name, text))


def test_no_secret_is_repeated() -> None:
    text = (
        f"server {{ set $key {SECRET}; proxy_read_timeout {SECRET};\n"
        f"location / {{ proxy_set_header Authorization {SECRET}; auth_basic {SECRET};\n"
        f"proxy_pass http://user:{SECRET}@app:8000; }} }}\n"
    )
    assert SECRET not in texts(read(nginx, "app.conf", text))
    assert SECRET not in texts(nginx.load(source("app.conf", f"server {{ {SECRET} ")))


@given(st.text(max_size=200), st.text(alphabet="{};'\"\\#$ \nserver_pas", max_size=60))
def test_no_text_makes_it_fall(text: str, noise: str) -> None:
    for each in (text, noise, f"server {{ proxy_pass {text}; }}", f"stream {{ server {{ {noise}"):
        nginx.load(source("fuzz.conf", each))
