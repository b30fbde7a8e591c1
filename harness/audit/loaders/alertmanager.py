"""Alertmanager's configuration: how long a group of alerts is held back before anybody hears.

Format and defaults: https://prometheus.io/docs/alerting/latest/configuration/
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

ALERTMANAGER = "Alertmanager"
GROUP_WAIT_S = 30.0


def recognises(file: SourceFile) -> bool:
    """By its route and its receivers."""
    if file.path.suffix not in (".yaml", ".yml", ".tmpl", ".template"):
        return False
    text = f"\n{file.text}"
    return "\nroute:" in text and "\nreceivers:" in text


def load(file: SourceFile) -> Reading:
    """The shortest ``group_wait`` of all routes: which an alert takes, its labels decide."""
    try:
        found = documents(file.text)
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    if len(found) != 1:
        return Reading(unread=(Unread(file.name, "Alertmanager's configuration is one document"),))
    route = found[0].get("route")
    if route is None or route.fields is None:
        return Reading(unread=(Unread(file.name, "its route is not understood", found[0].line),))
    place = Place(file.name, route.line, "route")
    default = Value.default(GROUP_WAIT_S, ALERTMANAGER, place)
    waits = list(_waits(file, route, default))
    known = [each for each in waits if each.is_known]
    shortest = min(known, key=lambda each: each.known or 0.0) if known else waits[0]
    return Reading(watches=(Watch(place=place, group_wait_s=shortest),))


def _waits(file: SourceFile, route: Item, above: Value[float]) -> Iterator[Value[float]]:
    """Each route's, which its children have where they say none."""
    said = route.get("group_wait")
    if said is not None and said.text is not None:
        place = Place(file.name, said.line, "group_wait")
        above = read_at(said.text, place, "group_wait", seconds)
    yield above
    routes = route.get("routes")
    for each in (routes.items if routes is not None else None) or ():
        yield from _waits(file, each, above)
