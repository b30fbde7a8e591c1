"""The same thing measured under several seeds, in the words of one table cell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.incident import Incident
from harness.report import words
from harness.report.words import DID_NOT_HAPPEN, NOT_MEASURED

Measured = float | int | str | None

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def measured(values: Sequence[Measured]) -> str:
    """Numbers from the least to the most; texts, and what was not measured, each once."""
    numbers = [value for value in values if isinstance(value, int | float)]
    parts = [between(*map(_words, (min(numbers), max(numbers))))] if numbers else []
    parts += [NOT_MEASURED if v is None else v for v in values if v is None or isinstance(v, str)]
    return ", ".join(dict.fromkeys(parts))


def expected(texts: Sequence[str]) -> str:
    """What checks asked for. Texts that differ in their numbers only become one with ranges."""
    texts = [text.replace(">=", "≥").replace("<=", "≤") for text in texts]
    shapes = {_NUMBER.sub("#", text) for text in texts}
    if len(shapes) > 1:
        return ", ".join(dict.fromkeys(texts))
    columns = zip(*(_NUMBER.findall(text) for text in texts), strict=True)
    ranges = [between(min(column, key=float), max(column, key=float)) for column in columns]
    return _NUMBER.sub(lambda _: ranges.pop(0), texts[0])


def percent(ratios: Sequence[float | None]) -> str:
    """Shares as percentages, from the least to the most."""
    known = [ratio for ratio in ratios if ratio is not None]
    if len(known) < len(ratios) or not known:
        return NOT_MEASURED
    least, most = (words.percent(ratio).removesuffix(" %") for ratio in (min(known), max(known)))
    return f"{between(least, most)} %"


def clock(incident: Incident, instants_s: Sequence[float | None]) -> str:
    """Incident seconds on the incident's clock, from the earliest to the latest."""
    known = [at_s for at_s in instants_s if at_s is not None]
    if not known:
        return DID_NOT_HAPPEN
    told = between(*(words.clock(incident, at_s) for at_s in (min(known), max(known))))
    if len(known) == len(instants_s):
        return told
    return f"{told}, in {len(known)} of {len(instants_s)} runs"


def between(least: str, most: str) -> str:
    """``3–5``, or one of the two where they are the same; a minus sign gets room."""
    if least == most:
        return least
    return f"{least} to {most}" if "-" in least + most else f"{least}–{most}"


def _words(value: float) -> str:
    if isinstance(value, int) or abs(value) >= 1e4:
        return words.number(value)
    return f"{value:,.4g}".replace(",", "\u202f")
