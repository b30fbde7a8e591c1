"""The load process's settings: from its environment, and the flags that change while it runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, FilePath, Json, ValidationError, field_validator

from scenarios.client_policy import ClientPolicy

PREFIX = "POOLDRILL_"
EXIT_BAD_SETTINGS = 2


class LoadSettings(BaseModel):
    """What `ARCHITECTURE.md` lists under "The load process", typed and checked."""

    model_config = ConfigDict(frozen=True)

    arrivals: FilePath
    target: str
    t0_file: Path
    end_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    client: Json[ClientPolicy]
    output: Path
    status: Path
    flags: Path | None = None
    seed: int = 0
    # Before `shard`, whose check looks at it.
    shards: Annotated[int, Field(ge=1)] = 1
    shard: Annotated[int, Field(ge=0)] = 0
    exit_with_stdin: bool = False

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


def read_settings(environment: Mapping[str, str]) -> LoadSettings:
    """The settings in ``environment``; raises pydantic's ValidationError with all problems."""
    names = LoadSettings.model_fields
    found = {name: environment.get(PREFIX + name.upper()) for name in names}
    return LoadSettings.model_validate({name: text for name, text in found.items() if text})


def settings_or_exit() -> LoadSettings:
    """The process's settings; all problems on standard error and exit code 2 for bad ones."""
    try:
        return read_settings(os.environ)
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
