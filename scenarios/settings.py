"""The load process's settings: from its environment, and the flags that change while it runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    Json,
    ValidationError,
    field_validator,
)

from scenarios.client_policy import ClientPolicy


def _host_and_port(value: object) -> object:
    if not isinstance(value, str):
        return value
    host, colon, port = value.rpartition(":")
    if not host or not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError("must be HOST:PORT")
    return host, int(port)


HostPort = Annotated[tuple[str, int], BeforeValidator(_host_and_port)]
"""``HOST:PORT`` as its two parts."""

Model = TypeVar("Model", bound=BaseModel)

PREFIX = "POOLDRILL_"
EXIT_BAD_SETTINGS = 2


class SurgeSettings(BaseModel):
    """What is to be played, wherever the arrivals come from."""

    model_config = ConfigDict(frozen=True)

    target: str
    end_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    client: Json[ClientPolicy]
    seed: int = 0
    # Before `shard`, whose check looks at it.
    shards: Annotated[int, Field(ge=1)] = 1
    shard: Annotated[int, Field(ge=0)] = 0

    @field_validator("target")
    @classmethod
    def _is_a_base_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be http://HOST:PORT or https://HOST:PORT")
        _ = parts.port  # raises ValueError when it is no number
        return value

    def model_post_init(self, context: object) -> None:
        if self.shard >= self.shards:
            raise ValueError(f"shard {self.shard} of {self.shards}: they count from 0")


class LoadSettings(SurgeSettings):
    """What `ARCHITECTURE.md` lists under "The load process", typed and checked."""

    arrivals: FilePath
    t0_file: Path
    output: Path
    status: Path
    flags: Path | None = None
    exit_with_stdin: bool = False


def read_settings(environment: Mapping[str, str]) -> LoadSettings:
    """The settings in ``environment``; raises pydantic's ValidationError with all problems."""
    return read_model(LoadSettings, environment)


def read_model(model: type[Model], environment: Mapping[str, str]) -> Model:
    """``model`` from the variables of its fields; raises ValidationError with all problems."""
    found = {name: environment.get(PREFIX + name.upper()) for name in model.model_fields}
    return model.model_validate({name: text for name, text in found.items() if text})


def settings_or_exit() -> LoadSettings:
    """The process's settings; all problems on standard error and exit code 2 for bad ones."""
    return model_or_exit(LoadSettings)


def model_or_exit(model: type[Model]) -> Model:
    """``model`` from this process's environment, with the same end for a bad one."""
    try:
        return read_model(model, os.environ)
    except ValidationError as error:
        for problem in error.errors():
            first, *rest = (str(part) for part in problem["loc"]) if problem["loc"] else ("SHARD",)
            place = ": ".join([PREFIX + first.upper(), *rest])
            sys.stderr.write(f"{place}: {problem['msg']}\n")
        raise SystemExit(EXIT_BAD_SETTINGS) from None


def read_retries_allowed(flags: Path | None) -> bool:
    """Whether clients may try again: always, unless the flags say ``{"retries": false}``.

    An app whose remote configuration cannot be had keeps to what it was built with. So a file
    that is absent, unreadable or says something else forbids nothing.
    """
    if flags is None:
        return True
    try:
        found = json.loads(flags.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return True
    return not (isinstance(found, dict) and found.get("retries") is False)
