"""What is thrown at the service: who logs in, how often, and with what patience."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from harness.incident.base import Model, Name, Share
from harness.incident.units import PerSecond, Seconds


def _network(value: str) -> str:
    return str(ip_network(value))


Network = Annotated[str, AfterValidator(_network)]
"""An address block, ``10.20.0.0/16``."""


class ClientPolicy(Model):
    """What a client does when a login does not succeed at once."""

    timeout_s: Seconds = Field(10.0, gt=0, alias="timeout")
    attempts: int = Field(1, ge=1, le=20)
    backoff_initial_s: Seconds = Field(1.0, alias="backoff_initial")
    backoff_max_s: Seconds = Field(8.0, alias="backoff_max")
    patience_s: Seconds = Field(30.0, gt=0, alias="patience")
    retry_budget: Share | None = None


class Phase(Model):
    """From ``at`` on, logins arrive at ``rate``, reached linearly within ``ramp``.

    ``wrong_passwords`` of them mistype. They come from addresses in ``networks`` (the load's own
    where none are named).
    """

    name: Name
    at_s: Seconds = Field(alias="at")
    rate_per_s: PerSecond = Field(alias="rate")
    ramp_s: Seconds = Field(0.0, alias="ramp")
    wrong_passwords: Share = 0.0
    networks: tuple[Network, ...] | None = Field(None, min_length=1)
    settle_s: Seconds | None = Field(None, alias="settle")
    plateau_s: Seconds | None = Field(None, alias="plateau")


class Load(Model):
    """Who logs in, how often, and with what patience."""

    arrivals: Literal["poisson", "uniform", "jittered"] = "poisson"
    client: ClientPolicy = ClientPolicy()
    start_lag_budget_s: Seconds = Field(0.1, alias="start_lag_budget")
    networks: tuple[Network, ...] = Field(("10.16.0.0/16",), min_length=1)
    phases: tuple[Phase, ...] = Field(min_length=1)

    def networks_of(self, phase: Phase) -> tuple[str, ...]:
        """The address blocks from which the phase's clients come."""
        return phase.networks or self.networks
