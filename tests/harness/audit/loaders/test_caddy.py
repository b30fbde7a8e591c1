"""Caddyfiles: upstreams, timeouts, retries, and the grammar that they are written in."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import caddy
from harness.audit.parts import Gateway
from tests.harness.audit.loaders.reading import SECRET, read, source, texts


def gateways(text: str) -> tuple[Gateway, ...]:
    return read(caddy, "Caddyfile", text).gateways


def proxy(inside: str = "", first: str = "app:8000") -> Gateway:
    (gateway,) = gateways(f"shop.example {{\n\treverse_proxy {first} {{\n{inside}\n\t}}\n}}\n")
    return gateway


def http(*lines: str) -> str:
    return "transport http {\n" + "\n".join(lines) + "\n}"


def test_by_default_it_waits_for_ever_and_tries_once() -> None:
    found = proxy()
    assert (found.name, found.upstreams) == ("Caddy (shop.example)", ("app",))
    assert (found.timeout_s.known, found.timeout_s.origin) == (math.inf, "default")
    assert (found.attempts.known, found.attempts.origin) == (1, "default")
    assert found.retry_budget.known == math.inf


@pytest.mark.parametrize(
    ("lines", "timeout_s"),
    [
        (("response_header_timeout 8s",), 8),
        (("read_timeout 1m30s",), 90),
        (("response_header_timeout 8s", "read_timeout 500ms"), 0.5),
        (("response_header_timeout 1d",), 86400),
        (("response_header_timeout 0",), math.inf),
        (("response_header_timeout 0s", "read_timeout 4s"), 4),
        (("dial_timeout 2s", "write_timeout 3s"), math.inf),
    ],
)
def test_the_shorter_of_what_ends_a_wait_holds(lines: tuple[str, ...], timeout_s: float) -> None:
    assert proxy(http(*lines)).timeout_s.known == timeout_s


def test_a_timeout_has_its_line() -> None:
    place = proxy(http("response_header_timeout 8s")).timeout_s.place
    assert place is not None
    assert (place.line, place.key) == (4, "response_header_timeout")


@pytest.mark.parametrize("text", ["soon", "8", "-8s", "{args[0]}", "{env.TIMEOUT}", "8 s", "1e9s"])
def test_no_duration_is_unknown(text: str) -> None:
    assert not proxy(http(f"response_header_timeout {text}")).timeout_s.is_known


def test_a_variable_decides() -> None:
    found = proxy(http("response_header_timeout {$PATIENCE:8s}")).timeout_s
    assert (found.known, found.variable and found.variable.name) == (8, "PATIENCE")
    alone = proxy(http("response_header_timeout {$PATIENCE}")).timeout_s
    assert (alone.known, alone.variable and alone.variable.name) == (None, "PATIENCE")


@pytest.mark.parametrize(
    ("inside", "attempts", "why"),
    [
        ("lb_retries 2\nlb_retry_match method POST", 3, ""),
        ("lb_retries 0\nlb_retry_match method POST", 1, ""),
        ("lb_retries 2", None, "change nothing"),
        ("lb_try_duration 5s", None, "change nothing"),
        ("lb_try_duration 5s\nlb_retry_match {\nmethod POST\n}", None, "no count"),
        ("lb_retries -1\nlb_retry_match method POST", None, "not understood"),
    ],
)
def test_what_was_sent_once_is_sent_again_where_it_says_so(
    inside: str, attempts: int | None, why: str
) -> None:
    found = proxy(inside).attempts
    assert found.known == attempts
    assert why in found.why


@pytest.mark.parametrize(
    ("first", "inside", "hosts"),
    [
        ("/api/* app:8000 other:8000", "", ("app", "other")),
        ("@api http://app:8000", "", ("app",)),
        ("* app", "to other:80 app:80", ("app", "other")),
        ("unix//run/app.sock", "", ()),
        (":8000", "", ()),
        ("{$APP}:8000", "", ()),
        ("{env.APP}", "", ()),
        ("", "dynamic a app 8000", ()),
    ],
)
def test_upstreams_are_hosts(first: str, inside: str, hosts: tuple[str, ...]) -> None:
    assert proxy(inside, first).upstreams == hosts


def test_a_matcher_names_it() -> None:
    assert proxy(first="/api/* app:8000").name == "Caddy (/api/*)"
    assert proxy(first="@api app:8000").name == "Caddy (shop.example)"


def test_a_file_of_one_site_has_no_braces_around_it() -> None:
    (found,) = gateways("shop.example\n\nencode gzip\nreverse_proxy app:8000\n")
    assert (found.name, found.upstreams) == ("Caddy (reverse_proxy)", ("app",))


def test_sites_that_are_alike_are_one_gateway() -> None:
    site = " {\n reverse_proxy app:8000\n}\n"
    assert len(gateways(f"a.example{site}b.example{site}")) == 1
    assert len(gateways(f"a.example{site}b.example{site.replace('app', 'other')}")) == 2


def test_a_snippet_stands_where_it_is_imported() -> None:
    (found,) = gateways(
        "(patient) {\n transport http {\n  read_timeout 7s\n }\n}\n"
        "(site) {\n reverse_proxy app:8000 {\n  import patient\n }\n}\n"
        ":80 {\n import site\n}\n"
    )
    assert (found.timeout_s.known, found.name) == (7, "Caddy (:80)")


def test_a_file_that_is_imported_may_say_it() -> None:
    assert "imported" in proxy("import timeouts.caddy").timeout_s.why
    assert proxy("import timeouts.caddy\n" + http("read_timeout 3s")).timeout_s.known == 3


def test_snippets_that_import_each_other_end() -> None:
    (found,) = gateways(
        "(a) {\n import b\n}\n(b) {\n import a\n}\n:80 {\n import a\n reverse_proxy app\n}\n"
    )
    assert found.upstreams == ("app",)


def test_the_grammar() -> None:
    (found,) = gateways(
        "# reverse_proxy nowhere {\n"
        '"shop.example", www.shop.example {\n'
        '  respond /a "a \\"quoted\\" {\n}" 200 # a remark\n'
        "  respond /b `raw {`\n"
        "  respond /c <<HTML\n  <p> } {\n  HTML 200\n"
        "  header X-A#b 1\n"
        "  reverse_proxy \\\n    app:8000 {\n"
        "    transport http {\n      read_timeout 9s\n    }\n  }\n}\n"
    )
    place = found.timeout_s.place
    assert place is not None
    assert (found.upstreams, found.timeout_s.known, place.line) == (("app",), 9, 13)
    assert found.place.line == 10


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a {\nreverse_proxy b {\n}\n", 1),
        ("reverse_proxy a\n}\n", 2),
        ('a {\nreverse_proxy b\nrespond "c\n}', 3),
        ("a {\nreverse_proxy b\nrespond <<END\nc\n}", 3),
        ("reverse_proxy a\n" + "b {\n" * 60, 52),
    ],
)
def test_half_a_file_is_unread(text: str, line: int) -> None:
    (unread,) = read(caddy, "Caddyfile", text).unread
    assert unread.line == line


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Caddyfile", True),
        ("Caddyfile.prod", True),
        ("shop.caddyfile", True),
        ("conf.d/shop.caddy", True),
        ("caddy.md", False),
        ("Dockerfile", False),
    ],
)
def test_it_is_recognised_by_its_name(name: str, known: bool) -> None:
    assert caddy.recognises(source(name, "reverse_proxy app")) is known
    assert not caddy.recognises(source(name, "file_server"))


def test_no_secret_is_repeated() -> None:
    text = (
        f"{{\n email {SECRET}\n}}\n"
        f":80 {{\n basic_auth {{\n  me {SECRET}\n }}\n"
        f" reverse_proxy http://me:{SECRET}@app:80 {{\n  header_up Authorization {SECRET}\n"
        f"  lb_retries {SECRET}\n  lb_retry_match method POST\n"
        f"  transport http {{\n   read_timeout {SECRET}\n  }}\n }}\n}}\n"
    )
    assert SECRET not in texts(read(caddy, "Caddyfile", text))
    broken = caddy.load(source("Caddyfile", f'reverse_proxy "{SECRET}'))
    assert broken.unread
    assert SECRET not in texts(broken)


TOKENS: Any = st.sampled_from(
    ["reverse_proxy", "transport", "{", "}", "\n", '"', "`", "<<A", "#", "\\", "import", "(a)", "a"]
)


@given(st.text(max_size=200), st.lists(TOKENS, max_size=40), st.lists(TOKENS, max_size=40))
def test_no_text_makes_it_fall(text: str, tokens: list[str], close: list[str]) -> None:
    for each in (text, " ".join(tokens), "".join(close), f"reverse_proxy {text} {{\n{text}\n}}"):
        caddy.load(source("Caddyfile", each))
