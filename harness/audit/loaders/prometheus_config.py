"""Prometheus's own configuration: how often it scrapes, and evaluates its rules.

Format and defaults: https://prometheus.io/docs/prometheus/latest/configuration/configuration/
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.alerts.rules import seconds
from harness.audit.finding import Unread
from harness.audit.parts import Watch
from harness.audit.reading import Reading, read_at
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value
from harness.audit.yamls import Item, NotReadable, documents

PROMETHEUS = "Prometheus"
SCRAPE_S = EVALUATION_S = 60.0


def recognises(file: SourceFile) -> bool:
    """By its ``scrape_configs``, or the two intervals that only it has."""
    if file.path.suffix not in (".yaml", ".yml", ".json", ".tmpl", ".template"):
        return False
    text = f"\n{file.text}"
    if "\nglobal:" in text and "evaluation_interval" in text:
        return True
    return "\nscrape_configs:" in text or "\nrule_files:" in text


def load(file: SourceFile) -> Reading:
    """The interval of its scrapes: the shortest of all jobs', for no alert comes sooner."""
    try:
        found = documents(file.text)
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    if len(found) != 1:
        return Reading(unread=(Unread(file.name, "Prometheus's configuration is one document"),))
    (document,) = found
    general = document.get("global")
    here = Place(file.name, general.line if general else document.line, "global")
    scrape_s = _time(file, general, "scrape_interval", Value.default(SCRAPE_S, PROMETHEUS, here))
    jobs = [_time(file, job, "scrape_interval", scrape_s) for job in _jobs(document)]
    known = [each for each in jobs if each.is_known]
    evaluation = Value.default(EVALUATION_S, PROMETHEUS, here)
    watch = Watch(
        place=here,
        scrape_s=min(known, key=lambda each: each.known or 0.0) if known else scrape_s,
        evaluation_s=_time(file, general, "evaluation_interval", evaluation),
    )
    return Reading(watches=(watch,))


def _jobs(document: Item) -> Iterator[Item]:
    jobs = document.get("scrape_configs")
    yield from (jobs.items if jobs is not None else None) or ()


def _time(file: SourceFile, item: Item | None, key: str, default: Value[float]) -> Value[float]:
    said = item.get(key) if item is not None else None
    if said is None or said.text is None:
        return default
    return read_at(said.text, Place(file.name, said.line, key), key, seconds)
