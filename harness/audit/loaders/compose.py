"""Compose files: programs with their environment, and infrastructure with what it is told.

Source: https://github.com/compose-spec/compose-spec/blob/main/spec.md. Profiles are passed over:
any of them may be started. What a service ``extends`` in another file is not seen here:
`compose_files` reads its file again, with that one.
``${NAME:-default}`` as a whole text is a value that its variable decides; within a longer text it
stays as it is, and is known only where a reader of such texts takes it apart (database URLs).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import PurePath

from harness.audit.finding import Unread
from harness.audit.loaders import traefik
from harness.audit.loaders.commands import Word, located, runtime_of, words_at
from harness.audit.loaders.containers import Container, incomplete, read, together
from harness.audit.loaders.extending import Extending, variables
from harness.audit.reading import ComposeFile, Reading, number, of_stage, parsed
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Settings, Value, read_at
from harness.audit.yamls import Item, NotReadable, documents

KIND, COMPOSE = "service", "Compose"
_NAME = re.compile(r"^(docker-)?compose([.-].+)?\.ya?ml$")
_SERVICES = re.compile(r"^services:", re.MULTILINE)
_PARTS = re.compile(r"^(services|include|networks|volumes):", re.MULTILINE)
"""What a file may have of which the services are in others."""

_RUN = re.compile(r"^\s+(image|build|extends):", re.MULTILINE)
_FOR_DOCKERFILES = frozenset(
    {"docker", "dockerfiles", "compose", "deploy", "deployment", "build", "infra", "ops", "ci"}
)
_TELLING = frozenset({"image", "build", "environment", "env_file", "command", "entrypoint"})
"""What makes a service more than a change of ports and volumes of one that another file has."""


def recognises(file: SourceFile) -> bool:
    """By its ``services``, and its name or what they are made of."""
    if file.path.suffix not in (".yml", ".yaml"):
        return False
    if _NAME.match(file.path.name):
        return _PARTS.search(file.text) is not None
    return _SERVICES.search(file.text) is not None and _RUN.search(file.text) is not None


def load(file: SourceFile) -> Reading:
    """Every service whose part in the chain is known, and all programs."""
    try:
        (document,) = documents(file.text) or (Item(0, fields={}),)
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    except ValueError:
        return Reading(unread=(Unread(file.name, "a compose file is one document"),))
    own = ComposeFile(
        source=file, services=dict(document.pairs("services")), includes=_includes(document)
    )
    return replace(with_others(own, Extending({})), compose_files=(own,))


def with_others(own: ComposeFile, extending: Extending, templates: Collection[str] = ()) -> Reading:
    """What a file says where others are read as well; ``templates`` are services nobody starts."""
    services = {
        name: extending.service(own, name) for name in own.services if name not in templates
    }
    built = {
        each.text_at("image"): each for each in services.values() if each.get("build") is not None
    }
    return together(
        *(
            _read(own.source, name, service, built)
            for name, service in services.items()
            if service.fields is not None
            and (_TELLING & set(service.fields) or _is_scaled(service))
        )
    )


def _includes(document: Item) -> tuple[tuple[str, int], ...]:
    """Both forms: a path, and a mapping with one or several."""
    said = document.each("include")
    paths = [path for item in said for path in (item, item.get("path"), *item.each("path"))]
    return tuple((path.text, path.line) for path in paths if path is not None and path.text)


def _is_scaled(service: Item) -> bool:
    return service.get("deploy", "replicas") is not None or service.get("scale") is not None


def _read(file: SourceFile, name: str, service: Item, built: Mapping[str, Item]) -> Reading:
    """``built`` are the services that build an image, by its name: others may start from it."""
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
    image = _image(container, service, built)
    found = read(
        container,
        kind=KIND,
        folder=_folder(file, image),
        image_file="".join(_of_image(file, image)),
        environment_files=(*_of_image(file, image), *_environment_files(file, service)),
        surge=_surge(service, place),
    )
    if not (service.get("image") or service.get("build")):
        found = incomplete(found)
    edge = traefik.told(container.words, container.environment, place)
    if found.deployments:  # another's labels may lead to what is no part of the chain
        edge = replace(edge, gateways=traefik.labelled(_labels(file, service), container.hosts))
    return together(found, edge)


def _image(container: Container, service: Item, built: Mapping[str, Item]) -> Item:
    """The service that builds its image. What is started from it without a server is not the
    program: a listener of the same project, or its tests."""
    other = built.get(container.image)
    if service.get("build") is not None or other is None:
        return service
    started = runtime_of(container.words, container.place, "", container.environment)
    return other if started is not None and started.serves.is_known else service


def _labels(file: SourceFile, service: Item) -> Settings:
    """Its own, and those that Swarm has of it."""
    both = {**variables(service, ("labels",)), **variables(service, ("deploy", "labels"))}
    return {key: (item.text or "", _at(file, item, key)) for key, item in both.items()}


def _environment(file: SourceFile, service: Item) -> Settings:
    return {
        key: (
            f"${{{key}}}" if item.is_null else (item.text or "").replace("$$", "$"),
            _at(file, item, key),
        )
        for key, item in variables(service).items()
    }


def _words(file: SourceFile, service: Item, key: str) -> tuple[Word, ...]:
    """A command in both forms. ``$$`` is a ``$`` for the container."""
    command = service.get(key)
    if command is None:
        return ()
    if command.items is None:
        words = words_at((command.text or "").replace("$$", "$"), _at(file, command))
        return words if command.file else located(words, file.text)
    return tuple(((item.text or "").replace("$$", "$"), _at(file, item)) for item in command.items)


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
            there = Place(item.file or place.file, item.line, key)
            return read_at(item.text or "", there, key, _count)
    return Value.default(1, COMPOSE, place)


def _surge(service: Item, place: Place) -> Value[float]:
    """Swarm starts new ones first only where it is told to, one by one unless it is told more."""
    update = service.get("deploy", "update_config")
    if update is None or update.text_at("order") != "start-first":
        return Value.default(0.0, COMPOSE, place)
    if (item := update.get("parallelism")) is None:
        return Value.at(1.0, Place(update.file or place.file, update.line, "update_config"))
    there = Place(item.file or place.file, item.line, "parallelism")
    return read_at(item.text or "", there, "", number)


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise ValueError(text)
    return count


def _cores(service: Item, place: Place) -> Value[float]:
    limit = service.get("deploy", "resources", "limits", "cpus") or service.get("cpus")
    if limit is None:
        return Value.unknown("nothing limits its processors", place)
    there = Place(limit.file or place.file, limit.line, "cpus")
    return read_at(limit.text or "", there, "cpus", number)


def _open_files(service: Item, place: Place) -> Value[float]:
    limit = service.get("ulimits", "nofile")
    limit = limit.get("soft") if limit is not None and limit.fields is not None else limit
    if limit is None:
        return Value.unknown("ulimits.nofile is not said", place)
    there = Place(limit.file or place.file, limit.line, "nofile")
    said = {"nofile": (limit.text or "", there)}
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
    said = build.get("context") or build
    context = said.text if said.text is not None else "."
    if not context or "$" in context or "://" in context or context.startswith("git@"):
        return ""
    folder = _beside(said.file or file.name, context)
    own = posixpath.dirname(posixpath.normpath(build.text_at("dockerfile")))
    if not own or own.startswith((".", "/")) or own.split("/")[0] in _FOR_DOCKERFILES:
        return folder
    return posixpath.normpath(posixpath.join(folder, own))


def _of_image(file: SourceFile, service: Item) -> tuple[str, ...]:
    """Where its image's own variables are: its Dockerfile, or the stage of it that is built."""
    folder = _folder(file, service)
    if not folder:
        return ()
    dockerfile = service.text_at("build", "dockerfile")
    context = service.text_at("build", "context") or "."
    beside = service.get("build", "context") or service.get("build") or service
    path = posixpath.join(context, dockerfile) if dockerfile else ""
    path = path and _beside(beside.file or file.name, path)
    path = path or posixpath.normpath(posixpath.join(folder, "Dockerfile"))
    return (of_stage(path, service.text_at("build", "target")),)


def _environment_files(file: SourceFile, service: Item) -> tuple[str, ...]:
    said = service.get("env_file")
    if said is None:
        return ()
    items = [said, *(each.get("path") or each for each in said.each())]
    return tuple(_beside(each.file or file.name, each.text) for each in items if each.text)


def _at(file: SourceFile, item: Item, key: str = "") -> Place:
    return Place(item.file or file.name, item.line, key)


def _beside(file: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(PurePath(file).parent.as_posix(), path))
