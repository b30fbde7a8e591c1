"""Kubernetes' pods: what runs in them, how often, and with which environment.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.audit.loaders.commands import Word
from harness.audit.loaders.containers import Container, cores_of, incomplete, read, together
from harness.audit.reading import Reading, Scale, number
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Settings, Value, read_at
from harness.audit.yamls import FILLED_IN, Item

KUBERNETES = "Kubernetes"

SCALABLE = ("Deployment", "StatefulSet", "ReplicaSet", "Rollout")

SURGE_RATIO = 0.25
"""maxSurge of a Deployment that says none."""


@dataclass(frozen=True, slots=True)
class Within:
    """The file with what its objects say of each other."""

    file: SourceFile
    config_maps: Mapping[str, Settings]
    most: Mapping[tuple[str, str], Item]

    def place(self, item: Item, key: str = "") -> Place:
        """Where ``item`` stands."""
        return Place(self.file.name, item.line, key)


def name_of(item: Item) -> str:
    """The object's."""
    return item.text_at("metadata", "name")


def workload(within: Within, item: Item) -> Reading:
    """The containers of an object's pods: programs, databases, and what watches them."""
    kind, name = item.text_at("kind"), name_of(item)
    template = item if kind == "Pod" else pod_template(item)
    if template is None or not name:
        return _scaled_only(within, item)
    containers = template.each("spec", "containers")
    if not containers:
        return _scaled_only(within, item)
    replicas = _replicas(within, item, kind)
    read_ones = [
        _container(within, item, template, each, replicas, main=number_ == 0)
        for number_, each in enumerate(_programs_first(containers))
    ]
    found = together(*read_ones)
    whole = any(each.get("image") is not None for each in containers)
    return found if whole else incomplete(found)


def _scaled_only(within: Within, item: Item) -> Reading:
    """A patch that says only how often something runs."""
    count, kind = item.get("spec", "replicas"), item.text_at("kind")
    if count is None or kind not in SCALABLE:
        return Reading()
    return Reading(scales=(Scale(of=name_of(item), kind=kind, replicas=count_at(within, count)),))


def pod_template(item: Item) -> Item | None:
    """What an object makes its pods of."""
    return item.get("spec", "jobTemplate", "spec", "template") or item.get("spec", "template")


def _programs_first(containers: Iterable[Item]) -> list[Item]:
    """The pod's own program before what stands beside it."""
    return sorted(containers, key=lambda each: _role(each) != "program")


def _role(container: Item) -> str:
    words = tuple((word, Place("")) for word in _texts(container, "command"))
    return Container(
        name=container.text_at("name"),
        place=Place(""),
        image=container.text_at("image"),
        words=words,
    ).role


def _texts(item: Item, key: str) -> list[str]:
    return [each.text or "" for each in item.each(key)]


def _container(
    within: Within, item: Item, template: Item, container: Item, replicas: Value[int], *, main: bool
) -> Reading:
    """One container of the pod. Beside another, it is reached as its own machine."""
    kind, name, own = item.text_at("kind"), name_of(item), container.text_at("name")
    settings, files, elsewhere = _environment(within, container)
    alone = main or _role(container) != "program"
    hosts = _hosts(item, name, replicas) if main else ("localhost", "127.0.0.1")
    return read(
        Container(
            name=name if main else (own if alone and own else f"{name}/{own}"),
            place=within.place(container if not main else item, name),
            image=container.text_at("image"),
            words=(*_words(within, container, "command"), *_words(within, container, "args")),
            environment=settings,
            hosts=hosts,
            replicas=replicas,
            cores=cores_of(container, within.place(container)),
            mounts=_mounts(container, template),
            elsewhere=elsewhere,
        ),
        kind=kind,
        environment_files=files,
        surge=_surge(within, item, kind, replicas),
    )


def _words(within: Within, container: Item, key: str) -> tuple[Word, ...]:
    """Each item is one word; one of several lines is the script of a shell."""
    return tuple((each.text or "", within.place(each)) for each in container.each(key))


def _environment(
    within: Within, container: Item
) -> tuple[dict[str, tuple[str, Place]], tuple[str, ...], bool]:
    """Variables, ConfigMaps that have others, and whether some of these stand in other files.

    A variable that a ConfigMap of another file has by another name refers to that name.
    """
    settings: dict[str, tuple[str, Place]] = {}
    files: list[str] = []
    for source in container.each("envFrom"):
        name = source.text_at("configMapRef", "name")
        if name:
            files.append(name)
            settings.update(within.config_maps.get(name, {}))
    for variable in container.each("env"):
        key = variable.text_at("name")
        where = within.place(variable.get("value") or variable, key)
        reference = variable.get("valueFrom", "configMapKeyRef")
        if reference is None:
            text = FILLED_IN if variable.get("valueFrom") else variable.text_at("value")
            settings[key] = text, where
            continue
        name, its_key = reference.text_at("name"), reference.text_at("key")
        if its_key in within.config_maps.get(name, {}):
            settings[key] = within.config_maps[name][its_key]
            continue
        files.append(name)
        if its_key != key:
            settings[key] = (f"$({its_key})" if re.fullmatch(r"\w+", its_key) else FILLED_IN), where
    missing = any(name not in within.config_maps for name in files)
    return settings, tuple(dict.fromkeys(filter(None, files))), missing


def _hosts(item: Item, name: str, replicas: Value[int]) -> tuple[str, ...]:
    """Its own name, and those of a StatefulSet's pods."""
    headless = item.text_at("spec", "serviceName")
    if not headless:
        return (name,)
    pods = range(min(replicas.known or 1, 100))
    return (name, *(f"{name}-{pod}.{headless}" for pod in pods))


def _mounts(container: Item, template: Item) -> tuple[str, ...]:
    """Paths of ConfigMaps and Secrets that are mounted: files of settings may be there."""
    configured = {
        volume.text_at("name")
        for volume in template.each("spec", "volumes")
        if any(volume.get(kind) is not None for kind in ("configMap", "secret", "projected"))
    }
    return tuple(
        posixpath.join(each.text_at("mountPath"), each.text_at("subPath"))
        for each in container.each("volumeMounts")
        if each.text_at("name") in configured
    )


def _replicas(within: Within, item: Item, kind: str) -> Value[int]:
    place = within.place(item, name_of(item))
    if kind == "DaemonSet":
        return Value.unknown("one runs on each node", place)
    paths = {"Job": ("parallelism",), "CronJob": ("jobTemplate", "spec", "parallelism")}
    count = item.get("spec", *paths.get(kind, ("replicas",)))
    return Value.default(1, KUBERNETES, place) if count is None else count_at(within, count)


def count_at(within: Within, item: Item) -> Value[int]:
    """A number of pods."""
    return read_at(item.text or "", within.place(item, "replicas"), "replicas", whole_count)


def whole_count(text: str) -> int:
    """A number of none or more. Raises `ValueError`."""
    count = int(text)
    if count < 0:
        raise ValueError(text)
    return count


def _surge(within: Within, item: Item, kind: str, replicas: Value[int]) -> Value[float]:
    """Pods that a rolling update adds, of all that there may be as far as this file says."""
    place = within.place(item, name_of(item))
    if kind not in ("Deployment", "Rollout"):
        return Value.default(0.0, f"a {kind}", place)
    strategy = item.get("spec", "strategy")
    most = within.most.get((kind, name_of(item)))
    count = replicas if most is None else count_at(within, most)
    if strategy is not None and strategy.text_at("type") == "Recreate":
        return Value.at(0.0, within.place(strategy, "strategy"))
    if strategy is not None and strategy.get("blueGreen") is not None:
        return count.map(float)
    said = item.get("spec", "strategy", "rollingUpdate", "maxSurge") or item.get(
        "spec", "strategy", "canary", "maxSurge"
    )
    if said is None:
        if count.known is None:
            return Value.unknown("it is a quarter of its replicas", place)
        return Value.default(math.ceil(SURGE_RATIO * count.known), KUBERNETES, place)
    where = within.place(said, "maxSurge")
    if (text := said.text or "").endswith("%"):
        if count.known is None:
            return Value.unknown("maxSurge is a part of its replicas", where)
        most_pods = count.known
        return read_at(
            text, where, "maxSurge", lambda said: math.ceil(number(said[:-1]) / 100 * most_pods)
        )
    return read_at(text, where, "maxSurge", number)
