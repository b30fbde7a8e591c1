"""The gateway's settings, from the environment (``GATEWAY_*``)."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from auth_service.gateway.state import Seconds, State, Upstreams
from auth_service.settings import ListenSettings


class GatewaySettings(ListenSettings):
    """Everything that ``python -m auth_service.gateway`` reads; read with ``settings.load``."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    # Decoded here, not by pydantic-settings, which would stop at text that is no JSON and keep
    # the other problems to itself.
    upstreams: Annotated[Upstreams, NoDecode]
    timeout_s: Seconds = 30.0
    connect_timeout_s: Seconds = 1.0
    control_host: str = Field("127.0.0.1", min_length=1)
    control_port: int = Field(0, ge=0, le=65535)

    @field_validator("upstreams", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise ValueError(f"is not JSON: {error}") from None
            if not isinstance(value, list):
                raise ValueError(
                    'must be a list: [{"name": "replica-1", "url": "http://HOST:PORT"}]'
                )
        return tuple(value) if isinstance(value, list) else value

    @property
    def state(self) -> State:
        """The state that the gateway starts with."""
        return State(upstreams=self.upstreams, timeout_s=self.timeout_s)
