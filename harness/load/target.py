"""Whom the load may hit: this machine, or a host that the user vouches for."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from harness.errors import TargetRefusedError
from harness.loopback import is_loopback_host

REMEDY = "Only a service you own may be loaded: --i-own-this-target HOST."


def refuse_foreign_target(url: str, allowed_hosts: Iterable[str] = ()) -> None:
    """Raise TargetRefusedError unless ``url`` is on loopback or its host is in ``allowed_hosts``.

    A name counts as loopback when every address it resolves to does.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise TargetRefusedError(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise TargetRefusedError(f"{url!r} is not a target: give http://HOST:PORT or https://…")
    if host in {allowed.lower().strip("[]") for allowed in allowed_hosts}:
        return
    if not is_loopback_host(host):
        raise TargetRefusedError(f"the target {host} is not this machine", remedy=REMEDY)
