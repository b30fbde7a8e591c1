"""Environments: what a program finds in its variables, and values that these decide."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from harness.audit.paths import common, folder_of, is_within, name_of, parts_of
from harness.audit.reading import Code, Deployment, Environment, Setting, is_stage
from harness.audit.values import Place, Settings, Value, Variable, read_at, replaced

T = TypeVar("T")

_REFERENCE = re.compile(r"\$\{(\w+)(?::?-([^${}]*))?\}|\$\((\w+)\)")


def environment_of(
    deployment: Deployment, codes: Sequence[Code], files: Sequence[Environment]
) -> Settings:
    """What its processes find: its own variables over its files, placeholders filled in."""
    named = _named(files)
    beside = files_around(folder_of(deployment.place.file), files)
    found: dict[str, tuple[str, Place]] = {}
    for code in codes:
        found.update(files_around(code.folder, files))
    for name in deployment.environment_files:
        found.update(named.get(name, {}))
    found.update(deployment.environment)
    whole = {**beside, **found}
    return {
        key: (interpolated(text, whole, key, beside), place) for key, (text, place) in found.items()
    }


def _named(files: Iterable[Environment]) -> dict[str, dict[str, tuple[str, Place]]]:
    """Files of variables by their names; an overlay adds to what its base has by that name."""
    named: dict[str, dict[str, tuple[str, Place]]] = {}
    for each in files:
        named.setdefault(each.name, {}).update(each.settings)
    return named


def interpolated(text: str, environment: Settings, key: str, beside: Settings | None = None) -> str:
    """With references to other variables at their values; those that nothing names stay.

    ``X: ${X:-5}`` asks for what stands ``beside`` under its own name.
    """
    own = beside or {}

    def fill(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        known = own if name == key else environment
        if name in known:
            return known[name][0]
        return match[2] if match[2] is not None else match[0]

    for _ in range(3):  # a variable that names another, and no endless circle
        text, before = _REFERENCE.sub(fill, text), text
        if text == before:
            break
    return text


def settled(part: T, files: Sequence[Environment]) -> T:
    """A part of the chain that stands by itself, as the variables near its file decide it.

    These are the ``.env`` files around, and what all other files of variables agree upon: a
    ConfigMap's, for instance, which a server's manifest names and this part no longer does.
    """
    place: Place = part.place  # type: ignore[attr-defined]
    agreed: dict[str, tuple[str, Place]] = {}
    torn: set[str] = set()
    for name, settings in _named(files).items():
        if name_of(name).startswith(".env") or is_stage(name):
            continue
        for key, (text, where) in settings.items():
            if key in agreed and agreed[key][0] != text:
                torn.add(key)
            agreed[key] = text, where
    around = files_around(folder_of(place.file), files)
    environment = {key: at for key, at in agreed.items() if key not in torn} | around
    return replaced(part, lambda value: value.resolved(environment))


_TEMPLATES = (".example", ".sample", ".template", ".dist")


def files_around(folder: str, files: Sequence[Environment]) -> dict[str, tuple[str, Place]]:
    """The ``.env`` files of the folder and those above, the nearest last.

    A template (``.env.example``) counts only where there is no other.
    """
    around = [
        each
        for each in files
        if name_of(each.name).startswith(".env") and is_within(folder, folder_of(each.name))
    ]
    real = [each for each in around if not each.name.endswith(_TEMPLATES)]
    found: dict[str, tuple[str, Place]] = {}
    for each in sorted(real or around, key=lambda each: len(parts_of(each.name))):
        found.update(each.settings)
    return found


class Resolver:
    """Values as environment and declared settings decide them."""

    def __init__(self, environment: Settings, settings: Sequence[Setting], folder: str) -> None:
        self._environment = environment
        self._settings = settings
        self._folder = folder

    def __call__(self, value: Value[Any]) -> Value[Any]:
        variable = value.variable
        if variable is None or not variable.attribute:
            return value.resolved(self._environment)
        setting = setting_of(variable, self._settings, self._folder)
        if setting is None:
            return value
        held = {setting.variable: self._environment.get(setting.variable)}
        said = held[setting.variable]
        if said is None and setting.text:  # a default, which may name other variables
            said = (interpolated(setting.text, self._environment, setting.name), setting.place)
        if not said:
            name = setting.variable or setting.name
            return Value.unknown(f"{name} is filled in elsewhere", setting.place)
        return read_at(*said, setting.variable, variable.read, partial=variable.partial)


def setting_of(variable: Variable[Any], settings: Sequence[Setting], folder: str) -> Setting | None:
    """The setting that a variable's name means, by its owner, and by whose file stands nearest.

    What an object is made with holds over what its class says. None where one file declares several
    of that name, and which is meant is not shown.
    """
    found = [each for each in settings if each.name.lower() == variable.name.lower()]
    owned = [each for each in found if variable.owner in each.owners]
    nearest = max((common(folder, each.place.file) for each in owned or found), default=0)
    near = [e for e in owned or found if common(folder, e.place.file) == nearest]
    near = [each for each in near if each.given] or near
    said = {(each.variable, each.text) for each in near if each.place.file == near[0].place.file}
    return near[0] if len(said) == 1 else None
