"""A bystander's settings, from its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

PREFIX = "POOLDRILL_BYSTANDER_"
EXIT_BAD_SETTINGS = 2

RatePerS = Annotated[float, Field(gt=0, le=200)]


class Settings(BaseModel):
    """What every kind is told."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    kind: Literal["packet-loss", "noisy-log", "database-noise", "chatty-client"]
    announce: Path | None = None
    exit_with_stdin: bool = False
    seed: int = 0


class KindSettings(Settings):
    """What one kind is told; a variable that it has no use for is refused."""

    model_config = ConfigDict(extra="forbid")


class PacketLossSettings(KindSettings):
    """``share`` of the packets on the path is dropped."""

    kind: Literal["packet-loss"]
    share: float = Field(gt=0, lt=1)


class NoisyLogSettings(KindSettings):
    """Lines a second."""

    kind: Literal["noisy-log"]
    rate_per_s: RatePerS


class DatabaseNoiseSettings(KindSettings):
    """A query runs for ``share`` of the time."""

    kind: Literal["database-noise"]
    share: float = Field(gt=0, le=0.9)
    database_url: SecretStr

    @field_validator("database_url")
    @classmethod
    def _is_an_address(cls, value: SecretStr) -> SecretStr:
        if urlsplit(value.get_secret_value()).scheme not in ("postgresql", "postgres"):
            raise ValueError("must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        return value


class ChattyClientSettings(KindSettings):
    """Requests a second, and the gateway that they go to."""

    kind: Literal["chatty-client"]
    rate_per_s: RatePerS
    target: str

    @field_validator("target")
    @classmethod
    def _is_a_base_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be http://HOST:PORT or https://HOST:PORT")
        _ = parts.port  # raises ValueError when it is no number
        return value.rstrip("/")


KINDS: Mapping[str, type[KindSettings]] = {
    "packet-loss": PacketLossSettings,
    "noisy-log": NoisyLogSettings,
    "database-noise": DatabaseNoiseSettings,
    "chatty-client": ChattyClientSettings,
}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in ``environment``, of the class that belongs to the kind.

    Raises pydantic's ValidationError with all problems; of an unknown kind, with those that do
    not depend on it.
    """
    found = {
        name.removeprefix(PREFIX).lower(): text
        for name, text in environment.items()
        if name.startswith(PREFIX) and text
    }
    return KINDS.get(found.get("kind", ""), Settings).model_validate(found)


def settings_or_exit() -> Settings:
    """The process's settings; all problems on standard error and exit code 2 for bad ones."""
    try:
        return read_settings(os.environ)
    except ValidationError as error:
        for problem in error.errors():
            variable = PREFIX + str(problem["loc"][0]).upper()
            sys.stderr.write(f"{variable}: {problem['msg']}\n")
        raise SystemExit(EXIT_BAD_SETTINGS) from None
