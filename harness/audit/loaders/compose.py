"""Compose files: programs with their environment, and infrastructure with what it is told.

Source: https://github.com/compose-spec/compose-spec/blob/main/spec.md. Profiles are passed over:
any of them may be started. What another file has (``extends`` of it, ``include``) is read there.
``${NAME:-default}`` as a whole text is a value that its variable decides; within a longer text it
stays as it is, and is known only where a reader of such texts takes it apart (database URLs).
"""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePath

from harness.audit.finding import Unread
from harness.audit.loaders.commands import Word, located, words_at
from harness.audit.loaders.containers import Container, incomplete, read, together
from harness.audit.reading import Reading, number, parsed
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Settings, Value, read_at
from harness.audit.yamls import Item, NotReadable, documents

KIND, COMPOSE = "service", "Compose"
_NAME = re.compile(r"^(docker-)?compose([.-].+)?\.ya?ml$")
_SERVICES = re.compile(r"^services:", re.MULTILINE)
_RUN = re.compile(r"^\s+(image|build):", re.MULTILINE)
_FOR_DOCKERFILES = frozenset(
    {"docker", "dockerfiles", "compose", "deploy", "deployment", "build", "infra", "ops", "ci"}
)
_TELLING = frozenset({"image", "build", "environment", "env_file", "command", "entrypoint"})
"""What makes a service more than a change of ports and volumes of one that another file has."""


def recognises(file: SourceFile) -> bool:
    """By its ``services``, and its name or what they are made of."""
    if file.path.suffix not in (".yml", ".yaml") or _SERVICES.search(file.text) is None:
        return False
    return bool(_NAME.match(file.path.name)) or _RUN.search(file.text) is not None


def load(file: SourceFile) -> Reading:
    """Every service whose part in the chain is known, and all programs."""
    try:
        (document,) = documents(file.text) or (Item(0, fields={}),)
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    except ValueError:
        return Reading(unread=(Unread(file.name, "a compose file is one document"),))
    services = dict(document.pairs("services"))
    return together(
        *(
            _read(file, name, extended)
            for name, service in services.items()
            if (extended := _extended(service, services)).fields is not None
            and (_TELLING & set(extended.fields) or _is_scaled(extended))
        )
    )


def _is_scaled(service: Item) -> bool:
    return service.get("deploy", "replicas") is not None or service.get("scale") is not None


def _read(file: SourceFile, name: str, service: Item) -> Reading:
    place = Place(file.name, service.key_line or service.line, name)
    container = Container(
        name=name,
        place=place,
        image=service.text_at("image"),
        words=(*_words(file, service, "entrypoint"), *_words(file, service, "command")),
        environment=_environment(file, service),
        hosts=_hosts(name, service),
        replicas=_replicas(service, place),
        cores=_cores(service, place),
        open_files=_open_files(service, place),
        mounts=_mounts(service),
        elsewhere=service.get("env_file") is not None,
    )
    found = read(
        container,
        kind=KIND,
        folder=_folder(file, service),
        environment_files=_environment_files(file, service),
        surge=_surge(service, place),
    )
    return found if service.get("image") or service.get("build") else incomplete(found)


def _extended(service: Item, services: dict[str, Item], depth: int = 0) -> Item:
    """With what it ``extends`` in the same file: its own holds, variable by variable."""
    extends = service.get("extends")
    if extends is None or depth > 8 or extends.get("file") is not None:
        return service
    base = services.get(extends.text or extends.text_at("service"))
    if base is None or base is service:
        return service
    base = _extended(base, services, depth + 1)
    fields = {**(base.fields or {}), **(service.fields or {})}
    variables = {**_variables(base), **_variables(service)}
    if variables:
        fields["environment"] = Item(service.line, fields=variables)
    return Item(service.line, fields=fields, key_line=service.key_line)


def _variables(service: Item) -> dict[str, Item]:
    """Both forms: a mapping, and a list of ``KEY=VALUE``. Without a value it is the shell's."""
    found = dict(service.pairs("environment"))
    for item in service.each("environment"):
        key, equals, value = (item.text or "").partition("=")
        found[key] = Item(item.line, text=value, is_null=not equals)
    return found


def _environment(file: SourceFile, service: Item) -> Settings:
    return {
        key: (
            f"${{{key}}}" if item.is_null else (item.text or "").replace("$$", "$"),
            Place(file.name, item.line, key),
        )
        for key, item in _variables(service).items()
    }


def _words(file: SourceFile, service: Item, key: str) -> tuple[Word, ...]:
    """A command in both forms. ``$$`` is a ``$`` for the container."""
    command = service.get(key)
    if command is None:
        return ()
    if command.items is None:
        words = words_at((command.text or "").replace("$$", "$"), Place(file.name, command.line))
        return located(words, file.text)
    return tuple(
        ((item.text or "").replace("$$", "$"), Place(file.name, item.line))
        for item in command.items
    )


def _hosts(name: str, service: Item) -> tuple[str, ...]:
    aliases = [
        alias.text or ""
        for _, network in service.pairs("networks")
        for alias in network.each("aliases")
    ]
    names = (name, service.text_at("container_name"), service.text_at("hostname"), *aliases)
    return tuple(dict.fromkeys(filter(None, names)))


def _replicas(service: Item, place: Place) -> Value[int]:
    if service.text_at("deploy", "mode") == "global":
        return Value.unknown("one runs on each node (deploy.mode)", place)
    for path in (("deploy", "replicas"), ("scale",)):
        if (item := service.get(*path)) is not None:
            key = ".".join((place.key, *path))
            return read_at(item.text or "", Place(place.file, item.line, key), key, _count)
    return Value.default(1, COMPOSE, place)


def _surge(service: Item, place: Place) -> Value[float]:
    """Swarm starts new ones first only where it is told to, one by one unless it is told more."""
    update = service.get("deploy", "update_config")
    if update is None or update.text_at("order") != "start-first":
        return Value.default(0.0, COMPOSE, place)
    if (item := update.get("parallelism")) is None:
        return Value.at(1.0, Place(place.file, update.line, "update_config"))
    return read_at(item.text or "", Place(place.file, item.line, "parallelism"), "", number)


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise ValueError(text)
    return count


def _cores(service: Item, place: Place) -> Value[float]:
    limit = service.get("deploy", "resources", "limits", "cpus") or service.get("cpus")
    if limit is None:
        return Value.unknown("nothing limits its processors", place)
    return read_at(limit.text or "", Place(place.file, limit.line, "cpus"), "cpus", number)


def _open_files(service: Item, place: Place) -> Value[float]:
    limit = service.get("ulimits", "nofile")
    limit = limit.get("soft") if limit is not None and limit.fields is not None else limit
    if limit is None:
        return Value.unknown("ulimits.nofile is not said", place)
    said = {"nofile": (limit.text or "", Place(place.file, limit.line, "nofile"))}
    return parsed(said, "nofile", number)


def _mounts(service: Item) -> tuple[str, ...]:
    """Sources and targets of volumes and configs, in both forms."""
    found: list[str] = []
    for item in (*service.each("volumes"), *service.each("configs")):
        found += (item.text or "").split(":")
        found += (item.text_at("source"), item.text_at("target"))
    return tuple(filter(None, found))


def _folder(file: SourceFile, service: Item) -> str:
    """What its image is built from; "" where that is not a folder here.

    Where several are built from one folder, each from a Dockerfile in a part of it, that part is
    the program's: unless by its name it is one for such files.
    """
    build = service.get("build")
    if build is None:
        return ""
    context = build.text if build.text is not None else build.text_at("context") or "."
    if not context or "$" in context or "://" in context or context.startswith("git@"):
        return ""
    folder = _beside(file, context)
    own = posixpath.dirname(posixpath.normpath(build.text_at("dockerfile")))
    if not own or own.startswith((".", "/")) or own.split("/")[0] in _FOR_DOCKERFILES:
        return folder
    return posixpath.normpath(posixpath.join(folder, own))


def _environment_files(file: SourceFile, service: Item) -> tuple[str, ...]:
    """Its image's own variables first: those of its Dockerfile."""
    image: tuple[str, ...] = ()
    if folder := _folder(file, service):
        dockerfile = service.text_at("build", "dockerfile")
        context = service.text_at("build", "context") or "."
        path = _beside(file, posixpath.join(context, dockerfile)) if dockerfile else ""
        image = (path or posixpath.join(folder, "Dockerfile"),)
    said = service.get("env_file")
    if said is None:
        return image
    texts = (
        [said.text or ""]
        if said.items is None
        else [item.text or item.text_at("path") for item in said.items]
    )
    return (*image, *(_beside(file, text) for text in texts if text))


def _beside(file: SourceFile, path: str) -> str:
    return posixpath.normpath(posixpath.join(PurePath(file.name).parent.as_posix(), path))
