"""Header fields across the proxy; pure.

Fields are read as UTF-8, which is what aiohttp writes; a byte that is not UTF-8 does not survive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Fields = list[tuple[bytes, bytes]]

# RFC 9110, section 7.6.1: these speak about one connection, not about the message.
HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"),
        *(b"transfer-encoding", b"proxy-authenticate", b"proxy-authorization"),
    }
)
# aiohttp states the length of the body it sends, and the server has answered the expectation.
_NOT_FORWARDED = HOP_BY_HOP | {b"content-length", b"expect", b"x-forwarded-for"}
# The gateway's own server states it.
_NOT_RETURNED = HOP_BY_HOP | {b"date"}


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What the gateway reads in a request's header fields, and the fields that it passes on."""

    fields: list[tuple[str, str]]
    user: bytes
    forwarded_for: str
    content_length: int | None


def read_request(raw: Iterable[tuple[bytes, bytes]]) -> RequestHead:
    """Take a request's header fields apart; names are lower case, as ASGI has them."""
    fields: list[tuple[str, str]] = []
    named: set[bytes] = set()
    forwarded: list[str] = []
    user, length = b"", None
    for name, value in raw:
        if name in _NOT_FORWARDED:
            if name == b"connection":
                named |= _connection_options(value)
            elif name == b"x-forwarded-for":
                forwarded.append(_text(value))
            elif name == b"content-length" and value.isdigit():
                length = int(value)
            continue
        if name == b"x-user":
            user = value
        fields.append((_text(name), _text(value)))
    if named:
        fields = [field for field in fields if field[0].encode() not in named]
    return RequestHead(fields, user, ", ".join(forwarded), length)


def forwarded_fields(head: RequestHead, peer: str) -> list[tuple[str, str]]:
    """The header fields for the replica: the client's, with ``peer`` noted in X-Forwarded-For."""
    chain = f"{head.forwarded_for}, {peer}" if head.forwarded_for else peer
    return [*head.fields, ("x-forwarded-for", chain)]


def returned_fields(raw: Iterable[tuple[bytes, bytes]]) -> Fields:
    """The header fields for the client: the replica's, without those about its own connection."""
    fields: Fields = []
    named: set[bytes] = set()
    for name, value in raw:
        lower = name.lower()
        if lower not in _NOT_RETURNED:
            fields.append((lower, value))
        elif lower == b"connection":
            named |= _connection_options(value)
    return [field for field in fields if field[0] not in named] if named else fields


def _connection_options(value: bytes) -> set[bytes]:
    options = {option.strip().lower() for option in value.split(b",")}
    return options - {b"keep-alive", b"close", b""}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
