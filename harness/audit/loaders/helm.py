"""Helm's ``values.yaml``, as far as it is plain: the names that charts have by convention.

What a chart makes of its values, only its templates say, which are programs and not read: but for
the one command that they start, where it is a plain list.
Source: https://helm.sh/docs/chart_template_guide/values_files/, the chart that ``helm create``
makes, and https://github.com/bitnami/charts/tree/main/bitnami/postgresql
"""

from __future__ import annotations

import re
from pathlib import PurePath

from harness.audit.finding import Unread
from harness.audit.loaders import postgresql
from harness.audit.loaders.commands import Word
from harness.audit.loaders.containers import Container, cores_of, read, together
from harness.audit.loaders.embedded import embedded, is_embedded, placed
from harness.audit.loaders.ingress import edge_of
from harness.audit.loaders.pgbouncer import SETTINGS, pooler_of
from harness.audit.parts import Server
from harness.audit.reading import Reading, truth
from harness.audit.sources import SourceFile
from harness.audit.sources import read as read_file
from harness.audit.values import Place, Settings, Value, read_at
from harness.audit.yamls import FILLED_IN, Item, NotReadable, documents

KIND = "Helm chart"
CHART = "Chart.yaml"
ELSEWHERE = "the chart's templates may say it, which are not read"
_NAME = re.compile(r"values([._-].+)?\.ya?ml|.+[._-]values\.ya?ml")
_OURS = re.compile(
    r"^\s*(replicaCount|replicas|autoscaling|image|env|extraEnv\w*|postgresql|pgbouncer):", re.M
)
_CHART_NAME = re.compile(r"^name:\s*[\"']?([\w.-]+)", re.MULTILINE)
_RUNS = re.compile(r"^kind:\s*(Deployment|StatefulSet|DaemonSet|Rollout)\b", re.MULTILINE)
_ITEM = re.compile(r"\s*-\s+(\S.*)")
_REFERENCE = re.compile(r"\{\{-?\s*\.Values\.([\w.]+)\s*(?:\|\s*quote\s*)?-?\}\}")
_ON = ("true", "yes", "on")
_POOLER_WORDS = {"pool_size": "default_pool_size", "max_client_connections": "max_client_conn"}
"""What charts call PgBouncer's settings, whose own names are shorter or longer."""

_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
_ENVIRONMENTS = ("env", "envs", "envVars", "environment", "extraEnv", "extraEnvs", "extraEnvVars")


def recognises(file: SourceFile) -> bool:
    """By its name and what charts call their values; those in ``ci`` are for a chart's tests."""
    if file.path.parent.name == "ci":
        return False
    return bool(_NAME.fullmatch(file.path.name)) and _OURS.search(file.text) is not None


def load(file: SourceFile) -> Reading:
    """The chart's own program, its components, and the databases that come with it."""
    try:
        found = documents(file.text)
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    if not found or found[0].fields is None:
        return Reading()
    values = found[0]
    chart = _chart(file, values)
    parts = [_program(file, chart, values, _commanded(file, values))]
    for key, item in values.pairs():
        if key in ("postgresql", "postgres"):
            parts.append(_postgresql(file, chart, item))
        elif key.lower() in ("pgbouncer", "pooler"):
            parts.append(_pgbouncer(file, chart, item))
        elif item.get("image") is not None or _has_count(item):
            parts.append(_program(file, f"{chart}-{key}", item))
    return together(*parts)


def _chart(file: SourceFile, values: Item) -> str:
    """What its objects are called: as the values say, as the chart is, or as the folder is."""
    for key in ("fullnameOverride", "nameOverride"):
        if values.text_at(key):
            return values.text_at(key)
    beside = read_file(file.path.with_name(CHART), CHART)
    named = _CHART_NAME.search(beside.text) if isinstance(beside, SourceFile) else None
    return named[1] if named is not None else file.path.resolve().parent.name


def _has_count(item: Item) -> bool:
    return any(item.get(key) is not None for key in ("replicaCount", "replicas"))


def _program(
    file: SourceFile, name: str, values: Item, commanded: tuple[Word, ...] = ()
) -> Reading:
    """One with an image, a number of replicas or variables; none that is switched off."""
    told = [key for key in ("image", "replicaCount", "replicas", *_ENVIRONMENTS) if values.get(key)]
    told += [key for key in ("autoscaling",) if values.get(key) is not None]
    if not told or _is_off(values):
        return Reading()
    place = Place(file.name, values.line, name)
    environment: dict[str, tuple[str, Place]] = {}
    environment.update(_variables(file, values))
    for key in _ENVIRONMENTS:
        environment.update(_environment(file, values, key))
    reading = read(
        Container(
            name=name,
            place=place,
            image=_image(values),
            words=_words(file, values, "command") + _words(file, values, "args") or commanded,
            environment=environment,
            hosts=(name,),
            replicas=_replicas(values, place),
            cores=cores_of(values, place),
            elsewhere=True,
        ),
        kind=KIND,
        surge=Value.unknown(ELSEWHERE, place),
    )
    return together(reading, _edge(file, name, values))


def _is_off(values: Item) -> bool:
    return values.text_at("enabled").lower() in ("false", "no", "off")


def _image(values: Item) -> str:
    image = values.get("image")
    if image is None:
        return ""
    if image.text is not None:
        return image.text
    tag = image.text_at("tag")
    return image.text_at("repository") + (f":{tag}" if tag else "")


def _environment(file: SourceFile, values: Item, key: str) -> Settings:
    """Both forms: a mapping, and Kubernetes' list of names and values."""
    found = {}
    for name, item in values.pairs(key):
        text = item.text if item.text is not None else item.text_at("value") or FILLED_IN
        found[name] = text, Place(file.name, item.line, name)
    for item in values.each(key):
        text = FILLED_IN if item.get("valueFrom") is not None else item.text_at("value")
        where = item.get("value") or item
        found[item.text_at("name")] = text, Place(file.name, where.line, item.text_at("name"))
    return {name: said for name, said in found.items() if name}


def _variables(file: SourceFile, values: Item, depth: int = 0) -> Settings:
    """Mappings of names that only variables have, whatever they are called.

    A chart makes a ConfigMap of them, with ``range``, and its container's environment of that.
    """
    found: dict[str, tuple[str, Place]] = {}
    for key, item in values.pairs():
        inner = dict(item.pairs())
        if inner and all(_VARIABLE.fullmatch(name) and each.text for name, each in inner.items()):
            found.update(_environment(file, values, key))
        elif depth == 0 and item.get("image") is None and not _has_count(item):
            found.update(_variables(file, item, 1))
    return found


def _words(file: SourceFile, values: Item, key: str) -> tuple[Word, ...]:
    return tuple((each.text or "", Place(file.name, each.line)) for each in values.each(key))


def _commanded(file: SourceFile, values: Item) -> tuple[Word, ...]:
    """The command of the chart's only template that has one, with the values that it refers to."""
    found = []
    for path in sorted(file.path.parent.glob("templates/*.y*ml")):
        template = read_file(path, str(PurePath(file.name).parent / "templates" / path.name))
        if isinstance(template, SourceFile) and _RUNS.search(template.text):
            words = _list_of(template, "command", values, file)
            words += _list_of(template, "args", values, file)
            found += [words] if words else []
    return tuple(found[0]) if len(found) == 1 else ()


def _list_of(template: SourceFile, key: str, values: Item, file: SourceFile) -> list[Word]:
    """The items of the first list of that name, one a line."""
    words: list[Word] = []
    lines = enumerate(template.text.splitlines(), 1)
    for _, line in lines:
        if re.fullmatch(rf"\s*{key}:\s*", line):
            break
    for number, line in lines:
        item = _ITEM.fullmatch(line)
        if item is None:
            break
        place = Place(template.name, number)
        text = item[1].strip().strip("\"'")
        if (found := _REFERENCE.search(text)) is not None:
            value = values.get(*found[1].split("."))
            if value is not None and value.text is not None:
                place = Place(file.name, value.line)
                text = _REFERENCE.sub(lambda _, said=value.text: said, text, count=1)
        words.append((text, place))
    return words


def _replicas(values: Item, place: Place) -> Value[int]:
    """The most of its autoscaler, where that is switched on."""
    scaled = values.get("autoscaling") or values.get("hpa")
    if scaled is not None and (most := scaled.get("maxReplicas")) is not None:
        on = scaled.get("enabled")
        where = Place(place.file, most.line, "autoscaling.maxReplicas")
        enabled = True if on is None else read_at(on.text or "", where, "enabled", truth).known
        if enabled is None:
            return Value.unknown("whether it is autoscaled is filled in elsewhere", where)
        if enabled:
            return read_at(most.text or "", where, "maxReplicas", int)
    for key in ("replicaCount", "replicas"):
        if (count := values.get(key)) is not None:
            return read_at(count.text or "", Place(place.file, count.line, key), key, int)
    return Value.unknown(ELSEWHERE, place)


def _edge(file: SourceFile, name: str, values: Item) -> Reading:
    ingress = values.get("ingress")
    if ingress is None or ingress.text_at("enabled").lower() not in _ON:
        return Reading()
    controller = ingress.text_at("className") or ingress.text_at("ingressClassName")
    place = Place(file.name, ingress.line, "ingress")
    annotations = ingress.get("annotations")
    return Reading(gateways=(edge_of(f"ingress {name}", place, annotations, controller, (name,)),))


def _postgresql(file: SourceFile, chart: str, values: Item) -> Reading:
    """Bitnami's chart: a file's text in the values holds over the defaults of PostgreSQL."""
    primary = values.get("primary")
    if _is_off(values) or (primary is None and values.get("auth") is None):
        return Reading()
    place = Place(file.name, values.line, "postgresql")
    settings: dict[str, tuple[str, Place]] = {}
    unread: tuple[Unread, ...] = ()
    for key in ("configuration", "extendedConfiguration"):
        text = primary.get(key) if primary is not None else None
        if text is not None and text.text and not is_embedded(file):
            said = placed(postgresql.load(embedded(file, "postgresql.conf", text)), text)
            unread += said.unread
            for part in said.server_files:
                settings |= {line[0]: (line[1], line[2]) for line in part.lines}
    server: Server = postgresql.server_of(
        settings, name="postgresql", place=place, hosts=("postgresql", f"{chart}-postgresql")
    )
    return Reading(servers=(server,), unread=unread)


def _pgbouncer(file: SourceFile, chart: str, values: Item) -> Reading:
    """Settings by PgBouncer's own names, or the same in a chart's spelling (``poolMode``).

    One that is switched on stands before the database whatever its values are called.
    """
    if _is_off(values):
        return Reading()
    settings = {}
    for part in (values, values.get("config"), values.get("config", "pgbouncer")):
        for key, item in part.pairs() if part is not None else ():
            name = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", key).lower()
            name = _POOLER_WORDS.get(name, name)
            if name in SETTINGS and item.text is not None:
                settings[name] = item.text, Place(file.name, item.line, key)
    if not settings and values.text_at("enabled").lower() not in _ON:
        return Reading()
    place = Place(file.name, values.line, "pgbouncer")
    pooler = pooler_of(
        settings,
        name="pgbouncer",
        place=place,
        hosts=("pgbouncer", f"{chart}-pgbouncer"),
        incomplete=ELSEWHERE,
    )
    return Reading(poolers=(pooler,))
