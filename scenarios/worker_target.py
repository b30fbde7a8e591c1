"""Whom a load worker lets a master aim it at."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit


def why_refused(target: str, *, master_host: str, owned_host: str | None) -> str:
    """Why this worker will not load ``target``; empty where it will.

    It loads its own machine, the machine of its master, and the host that its user vouches for.
    Names are resolved here, on the worker: every address of the target must be one of those.
    """
    host = (urlsplit(target).hostname or "").lower()
    if owned_host is not None and host == owned_host.lower().strip("[]"):
        return ""
    aimed_at, known = _addresses(host), _addresses(master_host)
    if aimed_at and all(address in known or _is_loopback(address) for address in aimed_at):
        return ""
    return (
        f"the target {host} is neither this machine nor the master's ({master_host}); "
        f"start the worker with --i-own-this-target {host} if it is yours"
    )


def _addresses(host: str) -> set[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {str(entry[4][0]) for entry in found}


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
