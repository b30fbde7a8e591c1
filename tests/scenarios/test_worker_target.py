"""Whom a load worker lets a master aim it at."""

from __future__ import annotations

import pytest

from scenarios.worker_target import why_refused


@pytest.mark.parametrize(
    ("target", "master", "owned"),
    [
        ("http://127.0.0.1:8080", "192.0.2.7", None),
        ("http://192.0.2.7:8080", "192.0.2.7", None),
        ("http://127.0.0.1:8080", "localhost", None),
        ("http://198.51.100.1:80", "192.0.2.7", "198.51.100.1"),
        ("https://Service.invalid", "192.0.2.7", "service.invalid"),
    ],
)
def test_itself_its_master_and_what_its_user_owns(
    target: str, master: str, owned: str | None
) -> None:
    assert why_refused(target, master_host=master, owned_host=owned) == ""


@pytest.mark.parametrize(
    ("target", "master", "owned"),
    [
        ("http://198.51.100.1:80", "192.0.2.7", None),
        ("http://198.51.100.1:80", "192.0.2.7", "192.0.2.7"),
        ("http://198.51.100.1:80", "127.0.0.1", None),
        ("http://nobody.invalid", "192.0.2.7", None),
        ("http://nobody.invalid", "nobody.invalid", None),
        ("nonsense", "192.0.2.7", None),
    ],
)
def test_a_master_cannot_aim_a_worker_at_anybody_else(
    target: str, master: str, owned: str | None
) -> None:
    """Nor at a name that leads nowhere here: it might lead somewhere a moment later."""
    assert "--i-own-this-target" in why_refused(target, master_host=master, owned_host=owned)
