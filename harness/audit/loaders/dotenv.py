"""``.env`` files, by python-dotenv's own parser."""

from __future__ import annotations

import io
import re

from dotenv.parser import parse_stream

from harness.audit.chain import Workload
from harness.audit.finding import Unread
from harness.audit.loaders.service import is_ours, pool_of
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value

_NAME = re.compile(r"^(\.env(\..+)?|.+\.env)$")


def recognises(file: SourceFile) -> bool:
    """By its name; a template (`.env.example`) is one as well."""
    return bool(_NAME.match(file.path.name))


def load(file: SourceFile) -> Reading:
    """The pool of an auth service that is given this environment."""
    settings: dict[str, tuple[str, Place]] = {}
    unread = []
    for binding in parse_stream(io.StringIO(file.text)):
        line = binding.original.line + _blank_lines(binding.original.string)
        if binding.error:
            unread.append(Unread(file.name, "a line is no KEY=VALUE", line))
        elif binding.key and binding.value is not None:
            settings[binding.key] = binding.value, Place(file.name, line, binding.key)
    if not is_ours(settings):
        return Reading(unread=tuple(unread))
    place = Place(file.name)
    workload = Workload(
        name=file.name,
        place=place,
        replicas=Value.unknown(f"{file.name} does not say how many processes read it", place),
        processes=Value.default(1, "the auth service", place),
        pools=(pool_of(settings, place),),
    )
    return Reading(workloads=(workload,), unread=tuple(unread))


def _blank_lines(text: str) -> int:
    """Lines that the parser counts to the binding behind them."""
    return len(text) - len(text.lstrip("\n"))
