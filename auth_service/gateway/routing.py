"""Which upstream serves a request, and whether its client may come in; pure."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from auth_service.gateway.rendezvous import place
from auth_service.gateway.state import Blocked, State, Upstream


def choose(state: State, key: bytes) -> Upstream | None:
    """The upstream to which the user ``key`` sticks; ``None`` if no upstream may serve."""
    name = place(key, state.serving)
    return None if name is None else state.by_name[name]


def client_address(forwarded_for: str, peer: str) -> str:
    """The first address of ``X-Forwarded-For``, else the peer's.

    The header is believed from anybody: the load process uses it to give each simulated client an
    address of its own. A gateway that faces strangers must not do that.
    """
    first = forwarded_for.partition(",")[0].strip()
    return first or peer


def is_blocked(blocked: Blocked, client: str, peer: str) -> bool:
    """Whether ``client`` lies in a blocked network; judged by ``peer`` if it is no address."""
    if not blocked.addresses:
        return False
    for candidate in (client, peer):
        try:
            address = ip_address(candidate)
        except ValueError:
            continue
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in blocked.addresses)
    return False
