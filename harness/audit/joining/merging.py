"""Several files about one thing: what they say of it, together.

A PgBouncer is a container of a compose file and an ini file that is mounted into it; a Deployment
is a base and its overlays. Values that a file states hold over defaults, and defaults over what
is not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from harness.audit.joining.products import overlaid
from harness.audit.parts import Pooler, Server, Target
from harness.audit.paths import common, folder_of, is_within
from harness.audit.reading import Deployment, Scale, Service
from harness.audit.values import Place, Value

Part = TypeVar("Part", bound=Pooler | Server)
_STRENGTH = {"file": 2, "default": 1, "unknown": 0}


def merged(first: Any, second: Any) -> Any:
    """``first`` with what only ``second`` says; both are of one class."""
    return _merged(first, second, stronger)


def completed_by(first: Any, file: Any) -> Any:
    """``first`` with what its own settings file says.

    What the file says and nobody can read (a number of workers that is counted when it runs) is
    not known: it is not the default that the file was written to replace.
    """
    return _merged(first, file, _said)


def _merged(first: Any, second: Any, chosen: Callable[[Value[Any], Value[Any]], Value[Any]]) -> Any:
    changes: dict[str, Any] = {}
    for each in fields(first):
        one, other = getattr(first, each.name), getattr(second, each.name)
        if isinstance(one, Value):
            changes[each.name] = chosen(one, other)
        elif isinstance(one, Target):
            changes[each.name] = _merged(one, other, chosen)
        elif isinstance(one, tuple) and not one:
            changes[each.name] = other
        elif isinstance(one, dict):
            changes[each.name] = {**other, **one}
        elif one in ("", None):
            changes[each.name] = other
        elif is_dataclass(one) and not isinstance(one, Place) and type(one) is type(other):
            changes[each.name] = _merged(one, other, chosen)
    return replace(first, **changes)


def stronger(one: Value[Any], other: Value[Any]) -> Value[Any]:
    """The one that a file states; the first where both do.

    Of two that are not known it is the one that a variable decides: that may be known later.
    """
    if one.origin == other.origin == "unknown" and one.variable is None:
        return other if other.variable is not None else one
    return other if _STRENGTH[other.origin] > _STRENGTH[one.origin] else one


def _said(one: Value[Any], other: Value[Any]) -> Value[Any]:
    is_said = other.is_known or other.place is not None
    return other if one.origin == "default" and is_said else stronger(one, other)


def mounted(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Containers and machines with the one file of settings that is theirs, where it is one.

    A part without hosts is a file of settings. Several such files are parts of their own: which
    belongs to which container, no file says.
    """
    named: dict[tuple[str, str], Part] = {}
    files: list[Part] = []
    for part in parts:
        if not part.hosts:
            files.append(part)
            continue
        key = part.name, _home(part.place)
        # An overlay of the same service is read after it.
        named[key] = merged(part, named[key]) if key in named else part
    running = list(named.values())
    if len(files) != 1:
        return (*running, *files)
    (file,) = files
    reading = _reading(running, file)
    found: list[Part] = []
    for each in running:
        if each not in reading:
            found.append(each)
            continue
        whole: Part = replace(merged(file, each), name=each.name, hosts=each.hosts)
        found.append(_as_of_its_version(whole, each))
    return (*found, *(() if reading else files))


_CHART = re.compile(r"(^|/)([\w.-]*-)?values[^/]*\.ya?ml$")
_NOT_IN_ITS_FILE = frozenset(
    {"users", "replicas", "open_files", "idle_session_timeout_s"}
    | {"max_prepared_statements", "prepared_by_default"}
)


def _reading(running: Sequence[Part], file: Part) -> list[Part]:
    """Those that may read a file of settings: of several poolers the nearest to it.

    Not one whose variables say all that there is to say, and no chart's: a chart has no files
    but those of its own folder.
    """
    if not isinstance(file, Pooler):
        return list(running)
    where = folder_of(file.place.file)
    lacking = [
        each
        for each in running
        if _lacks_settings(each)
        and (not _CHART.search(each.place.file) or is_within(where, folder_of(each.place.file)))
    ]
    nearest = max((common(where, each.place.file) for each in lacking), default=0)
    return [each for each in lacking if common(where, each.place.file) == nearest]


def _lacks_settings(pooler: Any) -> bool:
    values = (
        getattr(pooler, each.name) for each in fields(pooler) if each.name not in _NOT_IN_ITS_FILE
    )
    return any(isinstance(each, Value) and not each.is_known for each in values)


def _as_of_its_version(whole: Part, running: Part) -> Part:
    """A file does not know which version of the program reads it; an image does."""
    if not isinstance(whole, Pooler) or not isinstance(running, Pooler):
        return whole
    own = running.prepared_by_default
    is_said = own.is_known or own.place is not None
    if not is_said or whole.max_prepared_statements.origin != "default":
        return whole
    return replace(whole, max_prepared_statements=own)


def deployments_of(
    declared: Iterable[Deployment], scales: Iterable[Scale], services: Iterable[Service]
) -> tuple[Deployment, ...]:
    """Each deployment once, with what its overlays, autoscaler and Services say.

    Of several counts of replicas the greatest holds: that many there may be.
    """
    found: dict[tuple[str, str, str], Deployment] = {}
    for each in declared:
        home = _home(each.place)
        key = each.kind, each.name, home and (each.folder or home)
        found[key] = _overlaid(found[key], each) if key in found else each
    for scale in scales:
        key = scale.kind, scale.of, _home(scale.replicas.place)
        if key in found:
            greatest = _greatest(scale.replicas, found[key].replicas)
            found[key] = replace(found[key], replicas=greatest)
    named = [(each, each.deployments) for each in services]
    return tuple(
        replace(
            each,
            hosts=(*each.hosts, *(s.name for s, of in named if each.name in of)),
        )
        for each in found.values()
    )


_COMPOSE = re.compile(r"(^|/)(docker-)?compose[^/]*\.ya?ml$")


def _home(place: Place | None) -> str:
    """What tells things of one name apart: a compose file's are those of its folder's project."""
    file = place.file if place else ""
    return folder_of(file) if _COMPOSE.search(file) else ""


def _overlaid(base: Deployment, over: Deployment) -> Deployment:
    both: Deployment = merged(over, base)
    return replace(
        both,
        replicas=_greatest(over.replicas, base.replicas),
        environment=overlaid(base, over),
        environment_files=(*base.environment_files, *over.environment_files),
        place=base.place,
    )


def _greatest(one: Value[int], other: Value[int]) -> Value[int]:
    """What a file says over a default; of two that files say, the greater."""
    if one.origin == other.origin == "file":
        return max(one, other, key=lambda value: value.known or 0)
    found: Value[int] = stronger(one, other)
    return found
