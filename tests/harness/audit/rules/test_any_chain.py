"""No chain makes a rule fall, and what a rule says of it reads well."""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace
from random import Random
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit.chain import Chain
from harness.audit.finding import Finding
from harness.audit.parts import (
    Alert,
    Client,
    Gateway,
    Histogram,
    Implementation,
    Monitor,
    Pool,
    Pooler,
    Practice,
    Proxy,
    Server,
    Use,
    Watch,
    Workload,
)
from harness.audit.rules import RULES
from harness.audit.values import Place, Value
from tests.harness.audit.chains import HERE, NOT_KNOWN, at, chain, pool

ILL_WORDED = re.compile(
    r"\) s\b|\binf\b|\bnan\b|\bNone\b"
    r"|(?<![\d.])1 (?:connections|requests|threads|users|cores)\b"
    r"|\b([a-z]+) \1\b"
)
ALERTS = (
    "db_client_connection_pending_requests > 20",
    'db_client_connection_count{state="used"} > 8',
    "sum(hikaricp_connections_active) / sum(hikaricp_connections_max) > 0.9",
)
CHOICES: dict[str, tuple[float, ...]] = {
    "hold_s": (0.05, 0.5),
    "share": (0.3, 1.0),
    "surge": (0.0, 1.0, 2.0),
    "cores": (1.0, 2.0),
    "max_connections": (5.0, 100.0),
    "superuser_reserved": (0.0, 3.0),
    "reserved": (0.0, 3.0),
    "server_login_retry_s": (1.0, 15.0),
    "longest_idle_in_transaction_s": (1.0, 90.0),
    "threads": (1.0, 2.0, 40.0),
    "reserve_pool_size": (0.0, 1.0, 5.0),
    "role_limit": (0.0, 10.0),
    "open_files": (1.0, 1024.0),
    "in_use": (1.0, 60.0),
    "size": (1.0, 2.0, 15.0, math.inf),
    "for_s": (0.0, 600.0),
    **dict.fromkeys(("group_wait_s", "scrape_s", "evaluation_s", "interval_s"), (5.0, 60.0)),
}
"""What is never without a limit, or never nothing."""
TIMES = (0.5, 1.0, 2.0, 60.0, math.inf)
COUNTS = (0.0, 1.0, 2.0, 15.0, math.inf)


def any_of(part: type, random: Random) -> dict[str, Any]:
    """A value for each field that has one: of a file, a product's default, or unknown."""
    found: dict[str, Any] = {}
    for each in fields(part):
        known: Any
        if "Value[float]" in str(each.type):
            known = random.choice(
                CHOICES.get(each.name, TIMES if each.name.endswith("_s") else COUNTS)
            )
        elif "Value[int]" in str(each.type):
            known = random.choice((0, 1, 2, 7))
        elif "Value[bool]" in str(each.type):
            known = random.random() < 0.5
        else:
            continue
        default = Value.default(known, "its product", Place("app.env", 2))
        found[each.name] = random.choice((at(known), default, NOT_KNOWN))
    return found


def any_chain(random: Random) -> Chain:
    """A gateway, a workload with its pools, perhaps a PgBouncer, a server and what watches them."""
    pools = [
        pool(implementation=random.choice(get_args(Implementation)), **any_of(Pool, random))
        for _ in range(random.choice((1, 2)))
    ]
    uses = tuple(
        Use(random.choice(get_args(Practice)), HERE, random.choice((1, 2, 3)))
        for _ in range(random.choice((0, 1)))
    )
    mode = random.choice(("session", "transaction"))
    pooler = random.choice((None, {**any_of(Pooler, random), "pool_mode": mode}))
    whole = chain(
        *pools,
        workload={**any_of(Workload, random), "uses": uses},
        gateway=any_of(Gateway, random),
        server=any_of(Server, random),
        client=any_of(Client, random),
        pooler=pooler,
        peak_per_s=random.choice((NOT_KNOWN, 0.0, 30.0, 3000.0)),
    )
    alert = Alert(
        name="Pool", place=HERE, expression=random.choice(ALERTS), **any_of(Alert, random)
    )
    return replace(
        whole,
        slo_s=random.choice((NOT_KNOWN, at(0.5), at(2.0))),
        proxies=(Proxy(name="balancer", place=HERE, **any_of(Proxy, random)),),
        histograms=(Histogram(name="wait_seconds", place=HERE, last_bucket_s=at(1.0)),),
        monitors=(Monitor(name="exporter", place=HERE, **any_of(Monitor, random)),),
        alerts=(alert,),
        watches=(Watch(place=HERE, **any_of(Watch, random)),),
    )


@settings(max_examples=300, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_no_chain_makes_a_rule_fall_or_stammer(random: Random) -> None:
    whole = any_chain(random)
    said = [each for rule in RULES for each in rule.check(whole)]
    texts = [
        text
        for each in said
        for text in ((each.message, each.fix) if isinstance(each, Finding) else (each.needs,))
    ]
    assert [text for text in texts if ILL_WORDED.search(text)] == []
