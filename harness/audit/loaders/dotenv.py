"""``.env`` files, by python-dotenv's own parser."""

from __future__ import annotations

import io
import os
import re

from dotenv.parser import parse_stream

from harness.audit.finding import Unread
from harness.audit.loaders.secrets import without_secrets
from harness.audit.loaders.service import UPSTREAMS, gateway_of
from harness.audit.reading import Environment, Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place

_NAME = re.compile(r"^(\.env([.-].+)?|.+\.env|env\.(example|sample|template|dist))$")

NOT_VARIABLES = (".py", ".ts", ".js", ".patch", ".diff")


def recognises(file: SourceFile) -> bool:
    """By its name; a template (`.env.example`) is one as well."""
    return bool(_NAME.match(file.path.name)) and not file.path.name.endswith(NOT_VARIABLES)


def load(file: SourceFile) -> Reading:
    """Its variables, the last of each name."""
    settings: dict[str, tuple[str, Place]] = {}
    unread = []
    for binding in parse_stream(io.StringIO(file.text)):
        line = binding.original.line + _blank_lines(binding.original.string)
        if binding.error:
            unread.append(Unread(file.name, "a line is no KEY=VALUE", line))
        elif binding.key and binding.value is not None:
            settings[binding.key] = binding.value, Place(file.name, line, binding.key)
    place = Place(file.name)
    environment = Environment(
        name=os.path.normpath(file.name), place=place, settings=without_secrets(settings)
    )
    gateways = (gateway_of(settings, file.name, place),) if UPSTREAMS in settings else ()
    return Reading(
        environments=(environment,) if settings else (), gateways=gateways, unread=tuple(unread)
    )


def _blank_lines(text: str) -> int:
    """Lines that the parser counts to the binding behind them."""
    return len(text) - len(text.lstrip("\n"))
