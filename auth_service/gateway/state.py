"""What the gateway goes by: one immutable value, checked as a whole, replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    model_validator,
)


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be http://HOST:PORT or https://HOST:PORT")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user or a password")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must end after the port: the path comes from the request")
    if parts.port == 0:  # reading .port also refuses what is no port number
        raise ValueError("port 0 is no address")
    return f"{parts.scheme}://{parts.netloc}"


def _network(value: object) -> IPv4Network | IPv6Network:
    if isinstance(value, (IPv4Network, IPv6Network)):
        return value
    if not isinstance(value, str):
        raise ValueError('must be an address or a network as text, such as "10.0.0.0/8"')
    return ip_network(value)


# The name becomes a header and a metric label; "-" alone means "no upstream" in both.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Weight = Annotated[float, Field(ge=0, le=1_000_000)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Network = Annotated[
    IPv4Network | IPv6Network, PlainValidator(_network), PlainSerializer(str, return_type=str)
]


class Frozen(BaseModel):
    """Immutable, takes no unknown field, and guesses no types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Upstream(Frozen):
    """A replica as the gateway knows it: users stick to the ``name``, requests go to ``url``."""

    name: Name
    url: BaseUrl
    weight: Weight = 1.0
    backup: bool = False


class Shedding(Frozen):
    """Whom to turn away with 503: those above a number in flight, or above a rate; null: off."""

    max_in_flight: Annotated[int, Field(ge=1)] | None = None
    rate_per_s: Annotated[float, Field(gt=0)] | None = None


class Redirect(Frozen):
    """Whether everybody goes to the backup."""

    to_backup: bool = False


class Blocked(Frozen):
    """Client addresses and networks that are refused with 403."""

    addresses: tuple[Network, ...] = ()


def _usable(upstreams: tuple[Upstream, ...]) -> tuple[Upstream, ...]:
    # Not by Field(min_length=1), which also complains of a list whose items are all refused.
    if not upstreams:
        raise ValueError("must name at least one upstream")
    names = [upstream.name for upstream in upstreams]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"each name once, but repeated: {', '.join(twice)}")
    return upstreams


Upstreams = Annotated[tuple[Upstream, ...], AfterValidator(_usable)]


class State(Frozen):
    """Everything that decides where a request goes and how long it may take.

    A request reads it once and keeps what it read: a change is for the requests that come after it.
    """

    upstreams: Upstreams
    timeout_s: Seconds = 30.0
    shedding: Shedding = Shedding()
    redirect: Redirect = Redirect()
    blocked: Blocked = Blocked()

    @model_validator(mode="after")
    def _redirect_needs_a_backup(self) -> Self:
        if self.redirect.to_backup and not any(
            upstream.backup and upstream.weight > 0 for upstream in self.upstreams
        ):
            raise ValueError(
                "redirect.to_backup needs an upstream with backup true and a weight above 0"
            )
        return self

    @cached_property
    def by_name(self) -> Mapping[str, Upstream]:
        """The upstreams by their names."""
        return {upstream.name: upstream for upstream in self.upstreams}

    @cached_property
    def serving(self) -> tuple[tuple[str, float], ...]:
        """Name and weight of the upstreams that users are spread over now; empty: no upstream.

        The backups serve when called for, or when no other upstream has a weight above 0.
        """
        alive = [upstream for upstream in self.upstreams if upstream.weight > 0]
        primaries = [upstream for upstream in alive if not upstream.backup]
        chosen = (
            primaries
            if primaries and not self.redirect.to_backup
            else [upstream for upstream in alive if upstream.backup]
        )
        return tuple((upstream.name, upstream.weight) for upstream in chosen)

    def replaced(self, **fields: Any) -> State:
        """A state that differs in ``fields``; raises pydantic's ``ValidationError`` if unsound."""
        # Field by field: dict(self) would hand over the cached properties too.
        own = {name: getattr(self, name) for name in State.model_fields}
        return State.model_validate({**own, **fields})

    def patched(self, name: str, fields: Mapping[str, Any]) -> State:
        """A state in which the upstream ``name`` differs in ``fields``; ``KeyError`` if unknown."""
        changed = Upstream.model_validate({**dict(self.by_name[name]), **fields})
        return self.replaced(
            upstreams=tuple(
                changed if upstream.name == name else upstream for upstream in self.upstreams
            )
        )
