"""One login attempt over a real connection."""

from __future__ import annotations

import contextlib
import gc
import json
import time

import gevent
import gevent.socket
import pytest
from geventhttpclient.response import HTTPSocketResponse

from scenarios.login_client import LoginClient, password
from scenarios.outcome import Outcome
from tests import load_targets
from tests.load_targets import Target

CLIENT_OBJECTS = (gevent.Timeout, gevent.socket.socket, HTTPSocketResponse)
ADDRESS = "10.16.3.4"


def log_in(target: Target, *, user: int = 0, timeout_s: float = 5.0) -> Outcome:
    return LoginClient(target.url, timeout_s=timeout_s).log_in(user, address=ADDRESS)


def test_the_request_is_the_contracts() -> None:
    """POST /login with the account's name and password, and the header a gateway hashes."""
    with load_targets.answering(headers="X-Extra: 1\r\n") as target:
        assert log_in(target, user=12) == Outcome("ok", 200, "", "replica-1", 2)
        prefixed = LoginClient(f"{target.url}/base/", timeout_s=5)
        assert prefixed.log_in(13, address="2001:db8::1").bucket == "ok"
    head, _, body = target.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /login HTTP/1.1\r\n")
    assert b"\r\nX-User: user000012\r\n" in head
    assert b"\r\nX-Forwarded-For: 10.16.3.4\r\n" in head
    assert f"Host: 127.0.0.1:{target.port}\r\n".encode() in head
    assert json.loads(body) == {"username": "user000012", "password": "correct horse 4"}
    assert target.requests[1].startswith(b"POST /base/login ")
    assert b"\r\nX-Forwarded-For: 2001:db8::1\r\n" in target.requests[1]


def test_a_wrong_password_is_nobodys() -> None:
    """The right name with a password that no account was seeded with."""
    problem = b'{"code": "invalid_credentials"}'
    with load_targets.answering(401, problem) as target:
        outcome = LoginClient(target.url, timeout_s=5).log_in(
            12, address=ADDRESS, wrong_password=True
        )
    assert (outcome.bucket, outcome.code) == ("http_error", "invalid_credentials")
    sent = json.loads(target.requests[0].partition(b"\r\n\r\n")[2])
    assert sent["username"] == "user000012"
    assert sent["password"] not in {password(user) for user in range(16)}


@pytest.mark.parametrize(
    ("target", "outcome"),
    [
        (load_targets.answering(504), Outcome("gateway_timeout", 504, "", "replica-1", 2)),
        (
            load_targets.answering(401, b'{"code": "invalid_credentials"}'),
            Outcome("http_error", 401, "invalid_credentials", "replica-1", 31),
        ),
        (
            load_targets.answering(302, headers="Location: http://192.0.2.1/\r\n"),
            Outcome("http_error", 302, "", "replica-1", 2),
        ),
        (load_targets.hanging_up(), Outcome("refused", code="HTTPConnectionClosed")),
        (load_targets.breaking_off(), Outcome("refused", code="HTTPParseError")),
        (load_targets.closed_port(), Outcome("refused", code="ECONNREFUSED")),
    ],
    ids=["504", "401", "redirect", "hang up", "break off", "closed"],
)
def test_each_end_has_its_bucket(
    target: contextlib.AbstractContextManager[Target], outcome: Outcome
) -> None:
    """A redirect is not followed: it could lead away from this machine."""
    with target as running:
        assert log_in(running) == outcome


@pytest.mark.parametrize("kind", [load_targets.deaf, load_targets.dripping])
def test_the_deadline_covers_the_whole_exchange(kind: type) -> None:
    """Neither silence nor a drip of bytes outlasts the timeout."""
    with kind() as target:
        began = time.monotonic()
        assert log_in(target, timeout_s=0.3) == Outcome("client_timeout")
        assert 0.3 <= time.monotonic() - began < 2


@pytest.mark.parametrize(
    "kind", [load_targets.answering, load_targets.deaf, load_targets.closed_port]
)
def test_an_attempt_leaves_nothing_to_the_garbage_collector(kind: type) -> None:
    """Collections stop the whole load process: with many attempts open, for 0.1 s and more."""
    with kind() as target:
        client = LoginClient(target.url, timeout_s=0.05)
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for user in range(5):
                client.log_in(user, address=ADDRESS)
            gc.collect()
            # The server's thread makes garbage too: only what the client works with counts.
            found = [item for item in gc.garbage if type(item) in CLIENT_OBJECTS]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
    assert found == []


def test_connections_are_not_shared() -> None:
    """Two logins at the same client are two connections, also where the server keeps alive."""
    with load_targets.answering() as target:
        client = LoginClient(target.url, timeout_s=5)
        ended = [client.log_in(user, address=ADDRESS).bucket for user in range(3)]
        assert ended == ["ok"] * 3
    assert target.connections == 3
