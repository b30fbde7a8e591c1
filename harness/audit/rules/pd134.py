"""Monitoring that is locked out when the server is full."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Server
from harness.audit.rules.counts import of_pooler, of_pools, poolers_before

ID = "PD134"
TITLE = "Monitoring is locked out when the connections have run out"
OWN = 3
"""Connections that an exporter may have at once."""


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """A monitoring role without a slot of its own, where the pools may fill the server."""
    known = {
        each.user.known
        for each in chain.monitors
        if each.user.is_known and each.reserved_slot.is_known
    }
    if chain.servers and all(_has_room(chain, server) for server in chain.servers):
        return
    for monitor in chain.monitors:
        slot = monitor.reserved_slot
        if slot.known is False:
            yield Finding(
                ID,
                "warning",
                slot.place or monitor.place,
                f"{monitor.name} watches the database over an ordinary connection: when the pools "
                "have taken all, it is refused too, and the outage has no measurements",
                "Set reserved_connections to 3 or more, and GRANT pg_use_reserved_connections to "
                "its role (PostgreSQL 16 or newer).",
            )
        elif slot.known is None and monitor.user.known not in known:
            yield needs(ID, f"whether {monitor.name} has a reserved slot", slot, monitor.place)


def _has_room(chain: Chain, server: Server) -> bool:
    """Whether the pools leave something even when all are full."""
    demands = [of_pools(chain.behind(server))]
    demands += [of_pooler(chain, each) for each in poolers_before(chain, server)]
    grant = server.grant.known
    most = sum(each.busy + each.surge for each in demands)
    lacking = any(each.lacks for each in demands) or not math.isfinite(most)
    return grant is not None and not lacking and most + OWN * len(chain.monitors) <= grant
