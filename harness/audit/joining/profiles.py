"""Spring's profiles: what a program has for one that a deployment does not activate.

Files for production are taken to be what runs. A deployment that activates another profile, of
which the program has something, runs with what nobody has read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.audit.reading import Code
from harness.audit.values import Settings, Value, replaced

ACTIVE = "SPRING_PROFILES_ACTIVE"
PRODUCTION = frozenset({"prod", "production"})


def of_profile(code: Code, environment: Settings) -> Code:
    """The code as a deployment of this environment runs it."""
    text, place = environment.get(ACTIVE, ("", code.place))
    active = {name.strip() for name in text.split(",")} - {""}
    about = set(code.profiles) & (active | PRODUCTION)
    if not active or "$" in text or active & PRODUCTION or not about:
        return code
    why = "another profile is active, and what is said for that is not read"

    def unread(value: Value[Any]) -> Value[Any]:
        return Value.unknown(why, place, value.variable)

    return replace(code, pools=tuple(replaced(each, unread) for each in code.pools))
