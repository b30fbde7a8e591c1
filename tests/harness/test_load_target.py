"""Only this machine is loaded unless the user vouches for another."""

from __future__ import annotations

import socket

import pytest

from harness import loopback
from harness.errors import TargetRefusedError
from harness.load import refuse_foreign_target


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "http://127.200.3.4",
        "http://[::1]:8080",
        "https://localhost:8443",
        "http://[::ffff:127.0.0.1]:80",
    ],
)
def test_loopback_is_allowed(url: str) -> None:
    """Literal addresses and the name of this machine."""
    refuse_foreign_target(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1:8080",
        "http://0.0.0.0:8080",
        "http://[2001:db8::1]",
        "http://127.0.0.1@192.0.2.1/",
        "ftp://127.0.0.1",
        "127.0.0.1:8080",
        "http://",
        "http://127.0.0.1:port",
        "http://[::1",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    """Foreign addresses, names that do not resolve, and what is no URL of a target."""
    with pytest.raises(TargetRefusedError):
        refuse_foreign_target(url)


def test_a_name_with_one_foreign_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to loopback and elsewhere could take the load elsewhere."""

    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, 1, 6, "", (host, 0)) for host in ("127.0.0.1", "192.0.2.1")]

    monkeypatch.setattr(loopback.socket, "getaddrinfo", resolve)
    with pytest.raises(TargetRefusedError, match=r"two\.faced"):
        refuse_foreign_target("http://two.faced")


def test_a_name_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be looked up cannot be known to be this machine."""

    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(loopback.socket, "getaddrinfo", resolve)
    with pytest.raises(TargetRefusedError, match=r"nowhere\.invalid"):
        refuse_foreign_target("http://nowhere.invalid")


def test_a_host_that_was_vouched_for_is_allowed() -> None:
    """And no other."""
    refuse_foreign_target("http://Staging.example:80/base", ["staging.example"])
    refuse_foreign_target("http://[2001:db8::1]:80", ["[2001:db8::1]"])
    with pytest.raises(TargetRefusedError):
        refuse_foreign_target("http://production.example", ["staging.example"])
