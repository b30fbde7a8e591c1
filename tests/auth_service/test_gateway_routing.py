"""What the gateway decides, without a socket: places, candidates, addresses, shedding, headers."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from auth_service.gateway.headers import forwarded_fields, read_request, returned_fields
from auth_service.gateway.rendezvous import place, score
from auth_service.gateway.routing import choose, client_address, is_blocked
from auth_service.gateway.shedding import Shedder
from auth_service.gateway.state import Blocked, Redirect, Shedding, State, Upstream

USERS = [f"user{i:06d}".encode() for i in range(10_000)]

names = st.text(alphabet="abcdefgh0123456789-", min_size=1, max_size=8)
weights = st.floats(min_value=0.01, max_value=100)
places = st.dictionaries(names, weights, min_size=2, max_size=6)
keys = st.lists(st.binary(max_size=20), min_size=1, max_size=30)

few = settings(max_examples=30)


def upstream(name: str, weight: float = 1.0, *, backup: bool = False) -> Upstream:
    return Upstream(name=name, url="http://127.0.0.1:1", weight=weight, backup=backup)


def state(*upstreams: Upstream, to_backup: bool = False) -> State:
    return State(upstreams=upstreams, redirect=Redirect(to_backup=to_backup))


@few
@given(key=st.binary(), name=names, weight=weights)
def test_a_score_is_a_positive_number(key: bytes, name: str, weight: float) -> None:
    bid = score(key, name, weight)
    assert bid > 0
    assert math.isfinite(bid)


@pytest.mark.parametrize("digest", [b"\0" * 8, b"\xff" * 8])
def test_the_outermost_hashes_have_a_score(monkeypatch: pytest.MonkeyPatch, digest: bytes) -> None:
    """A hash that rounds to 0 or 1 would have no logarithm to divide by."""

    class Outermost:
        def __init__(self, data: bytes, digest_size: int) -> None: ...

        def digest(self) -> bytes:
            return digest

    monkeypatch.setattr("auth_service.gateway.rendezvous.blake2b", Outermost)
    assert 0 < score(b"user", "replica-1", 1.0) < math.inf


@few
@given(places=places, keys=keys, data=st.data())
def test_a_place_that_goes_moves_its_own_users_only(
    places: dict[str, float], keys: list[bytes], data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(sorted(places)))
    rest = {name: weight for name, weight in places.items() if name != gone}
    for key in keys:
        before = place(key, places.items())
        assert place(key, rest.items()) == before or before == gone


@few
@given(places=places, keys=keys, data=st.data(), factor=st.floats(0.1, 10))
def test_a_changed_weight_moves_users_from_or_to_that_place_only(
    places: dict[str, float], keys: list[bytes], data: st.DataObject, factor: float
) -> None:
    changed = data.draw(st.sampled_from(sorted(places)))
    after = {**places, changed: places[changed] * factor}
    for key in keys:
        old, new = place(key, places.items()), place(key, after.items())
        if old != new:
            assert changed == (new if factor > 1 else old)


@few
@given(places=places, key=st.binary(), factor=st.sampled_from([0.25, 2.0, 64.0]))
def test_only_the_ratio_of_the_weights_and_not_their_order_counts(
    places: dict[str, float], key: bytes, factor: float
) -> None:
    scaled = [(name, weight * factor) for name, weight in reversed(places.items())]
    assert place(key, scaled) == place(key, places.items())


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 3.0), (0.1, 0.2, 0.7), (5.0, 1.0, 1.0, 3.0)])
def test_shares_follow_weights(weights: tuple[float, ...]) -> None:
    """Within 4.5 standard deviations of the binomial share; fixed users, so a fixed outcome."""
    pairs = [(f"replica-{i}", weight) for i, weight in enumerate(weights, 1)]
    served = Counter(place(user, pairs) for user in USERS)
    for name, weight in pairs:
        share = weight / sum(weights)
        deviation = math.sqrt(len(USERS) * share * (1 - share))
        assert abs(served[name] - len(USERS) * share) < 4.5 * deviation


def test_another_process_places_the_same_users_the_same() -> None:
    program = (
        "from auth_service.gateway.rendezvous import place\n"
        "print([place(b'user%06d' % i, [('a', 1), ('b', 2), ('c', 1)]) for i in range(100)])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = [("a", 1.0), ("b", 2.0), ("c", 1.0)]
    assert run.stdout.strip() == str([place(user, pairs) for user in USERS[:100]])


@few
@given(key=st.binary(), idle=names, places=places)
def test_weight_zero_serves_nobody(key: bytes, idle: str, places: dict[str, float]) -> None:
    assume(idle not in places)
    assert place(key, [(idle, 0.0), *places.items()]) != idle
    assert place(key, [(idle, 0.0)]) is None


@pytest.mark.parametrize(
    ("upstreams", "to_backup", "serving"),
    [
        ((upstream("a"), upstream("b"), upstream("spare", backup=True)), False, ["a", "b"]),
        ((upstream("a", 0), upstream("b"), upstream("spare", backup=True)), False, ["b"]),
        ((upstream("a", 0), upstream("b", 0), upstream("spare", backup=True)), False, ["spare"]),
        ((upstream("a"), upstream("b"), upstream("spare", backup=True)), True, ["spare"]),
        ((upstream("a"), upstream("s", backup=True), upstream("t", backup=True)), True, ["s", "t"]),
        ((upstream("a", 0), upstream("spare", 0, backup=True)), False, []),
        ((upstream("a", 0),), False, []),
    ],
)
def test_the_backup_serves_when_alone_or_called_for(
    upstreams: tuple[Upstream, ...], to_backup: bool, serving: list[str]
) -> None:
    now = state(*upstreams, to_backup=to_backup)
    assert [name for name, _ in now.serving] == serving
    chosen = {choose(now, user) for user in USERS[:200]}
    assert {each.name for each in chosen if each} == set(serving)
    assert (None in chosen) == (not serving)


@pytest.mark.parametrize("spare", [upstream("b"), upstream("b", 0, backup=True)])
def test_a_redirect_without_a_backup_to_go_to_is_refused(spare: Upstream) -> None:
    with pytest.raises(ValidationError, match=r"redirect\.to_backup needs an upstream"):
        state(upstream("a"), spare, to_backup=True)


def test_a_new_url_keeps_the_users() -> None:
    before = state(upstream("a"), upstream("b"))
    assert choose(before, b"user")  # a state that has served can still be changed
    after = before.patched("a", {"url": "http://127.0.0.1:2/"})
    assert after.by_name["a"].url == "http://127.0.0.1:2"
    for user in USERS[:200]:
        was, now = choose(before, user), choose(after, user)
        assert was
        assert now
        assert was.name == now.name


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("", "192.0.2.1"),
        ("198.51.100.7", "198.51.100.7"),
        (" 198.51.100.7 , 10.0.0.1", "198.51.100.7"),
        (", 10.0.0.1", "192.0.2.1"),
    ],
)
def test_the_client_is_the_first_forwarded_address(forwarded: str, client: str) -> None:
    assert client_address(forwarded, "192.0.2.1") == client


@pytest.mark.parametrize(
    ("client", "blocked"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("::ffff:10.1.2.3", True),
        ("not an address", True),  # judged by its peer, which is blocked
    ],
)
def test_blocked_addresses(client: str, blocked: bool) -> None:
    rule = Blocked.model_validate({"addresses": ("10.0.0.0/8", "2001:db8::/32", "192.0.2.1")})
    assert is_blocked(rule, client, "192.0.2.1") is blocked


def test_nobody_is_blocked_by_default() -> None:
    assert not is_blocked(Blocked(), "10.0.0.1", "10.0.0.1")


def test_the_cap_turns_away_who_is_above_it() -> None:
    shedder = Shedder(Shedding(max_in_flight=2), 0.0)
    assert shedder.refusal(1, 0.0) is None
    assert shedder.refusal(2, 0.0) == "2 requests are in flight and at most 2 may be"


@few
@given(
    rate=st.floats(0.1, 500),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
@example(rate=0.1, gaps=[0.0, 0.0])
def test_no_window_lets_in_more_than_the_bucket_and_what_flows_in(
    rate: float, gaps: list[float]
) -> None:
    shedder, now, let_in = Shedder(Shedding(rate_per_s=rate), 0.0), 0.0, 0
    for gap in gaps:
        now += gap
        let_in += shedder.refusal(0, now) is None
    assert 1 <= let_in <= max(1.0, rate) + rate * now + 1e-6


def test_arrivals_below_the_rate_are_let_in() -> None:
    shedder = Shedder(Shedding(rate_per_s=10), 0.0)
    assert all(shedder.refusal(0, i * 0.11) is None for i in range(500))


def test_nothing_is_shed_by_default() -> None:
    shedder = Shedder(Shedding(), 0.0)
    assert all(shedder.refusal(10_000, 0.0) is None for _ in range(10_000))


def test_a_request_loses_what_speaks_about_its_connection() -> None:
    head = read_request(
        [
            (b"host", b"login.example"),
            (b"connection", b"keep-alive, X-Secret"),
            (b"keep-alive", b"timeout=5"),
            (b"x-secret", b"1"),
            (b"te", b"trailers"),
            (b"transfer-encoding", b"chunked"),
            (b"expect", b"100-continue"),
            (b"content-length", b"12"),
            (b"x-user", b"user000001"),
            (b"x-forwarded-for", b"198.51.100.7"),
            (b"x-forwarded-for", b"10.0.0.1"),
            (b"accept", "é".encode()),
        ]
    )
    assert (head.user, head.content_length) == (b"user000001", 12)
    assert forwarded_fields(head, "192.0.2.1") == [
        ("host", "login.example"),
        ("x-user", "user000001"),
        ("accept", "é"),
        ("x-forwarded-for", "198.51.100.7, 10.0.0.1, 192.0.2.1"),
    ]


def test_an_answer_loses_what_speaks_about_its_connection() -> None:
    raw = [
        (b"X-Replica", b"replica-1"),
        (b"Date", b"yesterday"),
        (b"Connection", b"close, X-Hop"),
        (b"X-Hop", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
    ]
    assert returned_fields(raw) == [
        (b"x-replica", b"replica-1"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]
