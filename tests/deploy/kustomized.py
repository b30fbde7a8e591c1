"""An overlay as kubectl builds it, and what its objects say about the fleet."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from auth_service.settings import Settings, load

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
WORKLOADS = ("Deployment", "StatefulSet", "Job")

Object = dict[str, Any]


def kubectl() -> Path | None:
    """The environment's own, else the system's; None where there is none."""
    own = Path(sys.executable).with_name("kubectl")
    found = own if own.exists() else shutil.which("kubectl")
    return Path(found) if found else None


def build(directory: Path) -> list[Object]:
    """The objects of a kustomization; AssertionError with what kubectl says against it."""
    program = kubectl()
    assert program is not None
    # No $HOME, no $KUBECONFIG and no proxy: building an overlay asks nobody.
    ended = subprocess.run(
        [program, "kustomize", directory], capture_output=True, text=True, check=False, env={}
    )
    assert ended.returncode == 0, ended.stderr
    return list(yaml.safe_load_all(ended.stdout))


def named(objects: list[Object], kind: str, name: str) -> Object:
    """The object of that kind whose name is ``name``, or ``name`` and a generated suffix."""
    found = [
        each
        for each in objects
        if each["kind"] == kind and own_name(each["metadata"]["name"], kind) == name
    ]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


def own_name(name: str, kind: str) -> str:
    """Without the hash that kustomize appends to what it generates."""
    return name.rpartition("-")[0] if kind in ("ConfigMap", "Secret") else name


def settings_of(objects: list[Object]) -> Settings:
    """The service's settings, read by the service itself."""
    (container,) = containers(named(objects, "StatefulSet", "auth"))
    return load(Settings, environment(objects, container))


def workloads(objects: list[Object]) -> list[Object]:
    """Everything that makes pods."""
    return [each for each in objects if each["kind"] in WORKLOADS]


def containers(workload: Object) -> list[Object]:
    """Those of its pods, the initial ones included."""
    spec = workload["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def environment(objects: list[Object], container: Object) -> dict[str, str]:
    """What the container's process is given, with every reference looked up.

    A Secret that is not among the objects gives a database's address, the downward API ``auth-0``.
    """
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= _data(objects, "ConfigMap", source["configMapRef"]["name"])
    for variable in container.get("env", []):
        found[variable["name"]] = _value(objects, variable)
    return found


def _value(objects: list[Object], variable: Object) -> str:
    if "value" in variable:
        return str(variable["value"])
    source = variable["valueFrom"]
    if "fieldRef" in source:
        assert source["fieldRef"]["fieldPath"] == "metadata.name"
        return "auth-0"
    kind = "Secret" if "secretKeyRef" in source else "ConfigMap"
    reference = source["secretKeyRef" if kind == "Secret" else "configMapKeyRef"]
    if kind == "Secret" and reference["name"] == "auth-database":  # made by whoever deploys it
        assert reference["key"] == "url"
        return "postgresql://auth:secret@database.example:5432/auth"
    return _data(objects, kind, reference["name"])[reference["key"]]


def _data(objects: list[Object], kind: str, name: str) -> dict[str, str]:
    for each in objects:
        if (each["kind"], each["metadata"]["name"]) == (kind, name):
            if kind == "ConfigMap":
                return dict(each["data"])
            return {key: base64.b64decode(v).decode() for key, v in each["data"].items()}
    raise AssertionError(f"no {kind} {name}")


@dataclass(frozen=True)
class Budget:
    """The connections that a fleet may open at most, and those that its database grants it."""

    pods: int
    pool: int
    reserved: int
    max_connections: int

    @property
    def kept(self) -> bool:
        return self.pods * self.pool + self.reserved <= self.max_connections


def most_pods(objects: list[Object], workload: Object) -> int:
    """How many pods there may be at once: the autoscaler's most, and a rollout's surge on top."""
    spec, name = workload["spec"], workload["metadata"]["name"]
    replicas = int(spec.get("replicas", 1))
    for scaler in _of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) == (workload["kind"], name):
            replicas = int(scaler["spec"]["maxReplicas"])
    if workload["kind"] == "StatefulSet":  # a pod ends before its successor starts
        return replicas
    surge = spec.get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", "25%")
    if isinstance(surge, str):
        return replicas + -(-replicas * int(surge.removesuffix("%")) // 100)  # rounded up
    return replicas + int(surge)


def _of_kind(objects: list[Object], kind: str) -> Iterator[Object]:
    return (each for each in objects if each["kind"] == kind)
