"""Variables without their secrets: no rule has a use for one, and what is gone nobody repeats."""

from __future__ import annotations

import re

from harness.audit.values import Settings
from harness.audit.yamls import FILLED_IN

_SECRETIVE = re.compile(r"pass(?!ive|ed|es|ing)|pwd|secret|token|credential|_key$|apikey", re.I)
_IN_URL = re.compile(r"(://[^:/@\s]*):[^\s/?#]*@")
_AS_PARAMETER = re.compile(
    r"(?P<key>\b(?:password|passwd|pwd|pass)\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&;]+)", re.IGNORECASE
)


def without_secrets(settings: Settings) -> Settings:
    """The variables, of which those that are secrets by their names are filled in elsewhere.

    URLs keep their hosts, databases and users, and lose their passwords.
    """
    return {key: (_without_secret(key, text), place) for key, (text, place) in settings.items()}


def _without_secret(key: str, text: str) -> str:
    if "://" not in text and _SECRETIVE.search(key):
        return FILLED_IN
    return _AS_PARAMETER.sub(r"\g<key>x", _IN_URL.sub(r"\1@", text))
