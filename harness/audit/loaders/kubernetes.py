"""Kubernetes' objects: what runs, how often, with which environment, and behind which edge.

Objects are read one by one, whatever file they stand in. Those of Kustomize's overlays are partial:
they say nothing by default. Source: https://kubernetes.io/docs/reference/kubernetes-api/ and
https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from harness.audit.finding import Unread
from harness.audit.loaders import dotenv, prometheus_rules
from harness.audit.loaders.containers import together
from harness.audit.loaders.embedded import embedded, is_embedded, placed, read_embedded
from harness.audit.loaders.ingress import ingress
from harness.audit.loaders.operators import OPERATED
from harness.audit.loaders.pods import (
    SCALABLE,
    Within,
    count_at,
    name_of,
    pod_template,
    whole_count,
    workload,
)
from harness.audit.loaders.secrets import without_secrets
from harness.audit.loaders.service import UPSTREAMS, gateway_of
from harness.audit.reading import Environment, Reading, Scale, Service
from harness.audit.sources import SourceFile
from harness.audit.sources import read as read_file
from harness.audit.values import Place, Settings, Value, read_at
from harness.audit.yamls import Item, NotReadable, documents

_KINDS = re.compile(r"^[\s-]*kind:|\"kind\":", re.MULTILINE)

_TEMPLATE = re.compile(r"^\s*(?:-\s*)?\{\{", re.MULTILINE)

_CHART_S = re.compile(
    r"^kind:\s*(Deployment|StatefulSet|DaemonSet|ReplicaSet|Rollout|CronJob|Job|ConfigMap|Ingress"
    r"|HorizontalPodAutoscaler)\b",
    re.MULTILINE,
)

_VARIABLE_NAME = re.compile(r"[A-Za-z_][\w.-]*")


def recognises(file: SourceFile) -> bool:
    """By an object's version and kind; Kustomize's file by its name."""
    if file.path.suffix not in (".yaml", ".yml", ".json"):
        return False
    if _is_kustomization(file):
        return True
    return "apiVersion" in file.text and _KINDS.search(file.text) is not None


def load(file: SourceFile) -> Reading:
    """What all objects of the file say."""
    if "{{" in file.text and "templates" in PurePosixPath(file.name).parts:
        return _template(file)
    try:
        objects = list(_objects(documents(file.text)))
    except NotReadable as error:
        if _TEMPLATE.search(file.text):
            return _template(file)
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    within = _within(file, objects)
    found = []
    if any(each.text_at("kind") == "PrometheusRule" for each in objects):
        found.append(prometheus_rules.load(file))
    for each in objects:
        kind = each.text_at("kind")
        if kind in OPERATED and each.text_at("apiVersion").startswith(OPERATED[kind][0]):
            found.append(OPERATED[kind][1](file, each))
        elif (loader := _LOADERS.get(kind)) is not None:
            found.append(loader(within, each))
        elif not kind and _is_kustomization(file):
            found.append(_kustomization(within, each))
    return _with_services(together(*found), objects)


def _within(file: SourceFile, objects: Iterable[Item]) -> Within:
    objects = list(objects)
    return Within(
        file,
        config_maps={
            name: _variables(file, each)
            for each in objects
            if each.text_at("kind") == "ConfigMap" and (name := name_of(each))
        },
        most={
            (each.text_at("spec", "scaleTargetRef", "kind"), target): most
            for each in objects
            if (target := each.text_at("spec", "scaleTargetRef", "name"))
            and (most := each.get("spec", "maxReplicas")) is not None
        },
    )


def _is_kustomization(file: SourceFile) -> bool:
    return file.path.stem.lower() == "kustomization"


def _template(file: SourceFile) -> Reading:
    """Not silent about what decides something here; others of a chart are no matter."""
    found = _CHART_S.search(file.text)
    if found is None:
        return Reading()
    why = "a Helm template: its values and its command are read, no more"
    return Reading(unread=(Unread(file.name, why, file.text[: found.start()].count("\n") + 1),))


def _objects(items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        if item.text_at("kind").endswith("List") and item.get("items") is not None:
            yield from _objects(item.each("items"))
        elif item.fields is not None:
            yield item


def _autoscaler(within: Within, item: Item) -> Reading:
    """The most that there will be, which holds on the day of the surge. KEDA's is 100."""
    target = item.get("spec", "scaleTargetRef")
    if target is None or not target.text_at("name"):
        return Reading()
    most = item.get("spec", "maxReplicas") or item.get("spec", "maxReplicaCount")
    place = within.place(most or item, "maxReplicas")
    if most is None:
        count: Value[int] = Value.default(100, "KEDA", place)
        if item.text_at("kind") != "ScaledObject":
            return Reading()
    else:
        count = read_at(most.text or "", place, "maxReplicas", whole_count)
    kind = target.text_at("kind") or "Deployment"
    return Reading(scales=(Scale(of=target.text_at("name"), kind=kind, replicas=count),))


def _variables(file: SourceFile, item: Item) -> dict[str, tuple[str, Place]]:
    """A ConfigMap's entries that can be variables: names, with texts of one line."""
    return {
        key: (each.text or "", Place(file.name, each.line, key))
        for key, each in item.pairs("data")
        if _VARIABLE_NAME.fullmatch(key) and not _is_file(each)
    }


def _is_file(item: Item) -> bool:
    return item.block or "\n" in (item.text or "").strip()


def _config_map(within: Within, item: Item) -> Reading:
    """Its variables, and its files by their own loaders."""
    settings = _variables(within.file, item)
    files = [
        read_embedded(within.file, key, each) for key, each in item.pairs("data") if _is_file(each)
    ]
    own = _environment_of(name_of(item), within.place(item, name_of(item)), settings)
    return together(own, *files)


def _environment_of(name: str, place: Place, settings: Settings, *, part: bool = False) -> Reading:
    gateway = UPSTREAMS in settings and not part
    return Reading(
        environments=(Environment(name=name, place=place, settings=without_secrets(settings)),)
        if name and settings
        else (),
        gateways=(gateway_of(settings, name, place),) if gateway else (),
    )


def _with_services(reading: Reading, objects: Iterable[Item]) -> Reading:
    """With the Services: of the pods in the same file by their labels.

    Where none has the labels, their values are taken for names, as is the custom.
    """
    objects = list(objects)
    labels = {
        name_of(each): {key: value.text for key, value in template.pairs("metadata", "labels")}
        for each in objects
        if (template := pod_template(each)) is not None
    }
    services = []
    for each in objects:
        selector = {key: value.text for key, value in each.pairs("spec", "selector")}
        if each.text_at("kind") != "Service" or not selector:
            continue
        chosen = [name for name, of in labels.items() if selector.items() <= of.items()]
        names = chosen or [
            text for key, text in selector.items() if text and key.rpartition("/")[2] in _NAMING
        ]
        services.append(Service(name=name_of(each), deployments=tuple(dict.fromkeys(names))))
    return replace(reading, services=(*reading.services, *services))


_NAMING = frozenset({"app", "name", "k8s-app", "component", "run", "service"})


def _kustomization(within: Within, item: Item) -> Reading:
    """Generated ConfigMaps, counts of replicas, and patches that stand in the file."""
    found = [_generated(within, each) for each in item.each("configMapGenerator")]
    for each in item.each("replicas"):
        count = each.get("count")
        if count is not None:
            value = count_at(within, count)
            scales = tuple(
                Scale(of=each.text_at("name"), kind=kind, replicas=value) for kind in SCALABLE
            )
            found.append(Reading(scales=scales))
    patches = (*item.each("patches"), *item.each("patchesJson6902"))
    return together(
        *found,
        *(_patch(within, each.get("patch"), each.get("target")) for each in patches),
        *(_patch(within, each, None) for each in item.each("patchesStrategicMerge")),
    )


def _generated(within: Within, item: Item) -> Reading:
    settings: dict[str, tuple[str, Place]] = {}
    for literal in item.each("literals"):
        key, equals, text = (literal.text or "").partition("=")
        if equals:
            bare = text[1:-1] if len(text) > 1 and text[0] == text[-1] in "\"'" else text
            settings[key] = bare, within.place(literal, key)
    for path in (*item.each("envs"), *([one] if (one := item.get("env")) is not None else [])):
        settings.update(_file_of_variables(within.file, path.text or ""))
    part = item.text_at("behavior") == "merge"
    name = item.text_at("name")
    return _environment_of(name, within.place(item, name), settings, part=part)


def _file_of_variables(file: SourceFile, path: str) -> Settings:
    """What a generated ConfigMap takes from a file below the kustomization, as Kustomize has it."""
    if not path or ".." in PurePosixPath(path).parts or PurePosixPath(path).is_absolute():
        return {}
    name = posixpath.normpath(posixpath.join(PurePosixPath(file.name).parent.as_posix(), path))
    found = read_file(file.path.parent / path, name)
    if not isinstance(found, SourceFile):
        return {}
    return {
        key: said
        for environment in dotenv.load(found).environments
        for key, said in environment.settings.items()
    }


def _patch(within: Within, patch: Item | None, target: Item | None) -> Reading:
    """One that stands in the file: a partial object, or the list of what is replaced."""
    text = (patch.text or "") if patch is not None else ""
    if patch is None or "\n" not in text or is_embedded(within.file):
        return Reading()
    if not text.lstrip().startswith(("-", "[")):
        return placed(load(embedded(within.file, "patch.yaml", patch)), patch)
    try:
        operations = documents(text)
    except NotReadable as error:
        unread = Reading(unread=(Unread(within.file.name, str(error), error.line),))
        return placed(unread, patch)
    scales = [
        Scale(
            of=target.text_at("name"), kind=target.text_at("kind"), replicas=count_at(within, value)
        )
        for operation in (each for one in operations for each in one.items or ())
        if target is not None
        and operation.text_at("path") == "/spec/replicas"
        and (value := operation.get("value")) is not None
    ]
    return placed(Reading(scales=tuple(scales)), patch)


_LOADERS: Mapping[str, Callable[[Within, Item], Reading]] = {
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Pod"), workload
    ),
    **dict.fromkeys(("Job", "CronJob", "ReplicationController"), workload),
    **dict.fromkeys(("HorizontalPodAutoscaler", "ScaledObject"), _autoscaler),
    "ConfigMap": _config_map,
    "Ingress": ingress,
    **dict.fromkeys(("Kustomization", "Component"), _kustomization),
}
