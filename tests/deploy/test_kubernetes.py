"""The manifests: built by kubectl, held against published schemas and the service's settings."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from auth_service.gateway.settings import GatewaySettings
from auth_service.process import OVERRUN_S
from auth_service.settings import BadSettings, load
from tests.deploy.kustomized import (
    KUBERNETES,
    OVERLAYS,
    Object,
    build,
    containers,
    environment,
    named,
    settings_of,
    workloads,
)

RELEASES = ("1.34", "1.37")
"""The oldest release that the manifests are for (preStop's sleep) and the newest one published."""

ROOT = KUBERNETES.parents[1]


def test_the_overlays_are_those_of_the_readme() -> None:
    readme = (KUBERNETES / "README.md").read_text("utf-8")
    assert OVERLAYS == ["production-like", "small", "undersized-pool"]
    assert all(f"overlays/{name}" in readme for name in OVERLAYS)


@pytest.mark.parametrize("release", RELEASES)
def test_every_object_keeps_to_the_published_schema(objects: list[Object], release: str) -> None:
    """Strictly: a field that the schema does not know is refused as well."""
    assert len(objects) > 10
    for each in objects:
        kubernetes_validate.validate(each, release, strict=True)


def misspell(auth: Object) -> None:
    auth["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}


def replicas_as_text(auth: Object) -> None:
    auth["spec"]["replicas"] = "three"


def without_selector(auth: Object) -> None:
    del auth["spec"]["selector"]


@pytest.mark.parametrize("broken", [misspell, replicas_as_text, without_selector])
def test_a_broken_manifest_is_caught(
    built: dict[str, list[Object]], broken: Callable[[Object], None]
) -> None:
    auth = copy.deepcopy(named(built["small"], "StatefulSet", "auth"))
    broken(auth)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(auth, RELEASES[-1], strict=True)


def test_an_overlay_that_does_not_build_is_caught(tmp_path: Path) -> None:
    """A patch of what is not there, as after a renaming in the base."""
    copied = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, copied)
    overlay = copied / "overlays" / "undersized-pool" / "kustomization.yaml"
    overlay.write_text(overlay.read_text("utf-8").replace("name: auth", "name: auht"), "utf-8")
    with pytest.raises(AssertionError, match="auht"):
        build(overlay.parent)


# -- the settings ------------------------------------------------------------------------------


def test_the_service_and_the_gateway_take_their_settings(objects: list[Object]) -> None:
    """Unknown variables, wrong values and contradictions are refused by the settings themselves."""
    settings = settings_of(objects)
    assert (settings.host, settings.port, settings.replica) == ("0.0.0.0", 8000, "auth-0")
    (container,) = containers(named(objects, "Deployment", "gateway"))
    gateway = load(GatewaySettings, environment(objects, container))
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": gateway.port, "control": gateway.control_port}


def test_a_setting_that_the_service_does_not_know_is_caught(
    built: dict[str, list[Object]],
) -> None:
    objects = copy.deepcopy(built["small"])
    named(objects, "ConfigMap", "auth")["data"]["AUTH_POOL__SIZES"] = "20"
    with pytest.raises(BadSettings, match="AUTH_POOL__SIZES"):
        settings_of(objects)


def test_no_pod_is_given_variables_named_after_services(objects: list[Object]) -> None:
    """A Service `gateway` sets GATEWAY_PORT=tcp://…, which the gateway would refuse as its port."""
    for workload in workloads(objects):
        assert workload["spec"]["template"]["spec"]["enableServiceLinks"] is False
    (container,) = containers(named(objects, "Deployment", "gateway"))
    linked = environment(objects, container) | {"GATEWAY_PORT": "tcp://10.96.0.7:80"}
    with pytest.raises(BadSettings, match="GATEWAY_PORT"):
        load(GatewaySettings, linked)


def test_the_gateway_knows_every_replica_by_its_stable_name(objects: list[Object]) -> None:
    auth, service = named(objects, "StatefulSet", "auth"), named(objects, "Service", "auth")
    assert (service["spec"]["clusterIP"], auth["spec"]["serviceName"]) == ("None", "auth")
    # What is not ready, as every full pool is, keeps its name and does not hold up its own fix.
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert auth["spec"]["podManagementPolicy"] == "Parallel"
    upstreams = json.loads(named(objects, "ConfigMap", "gateway")["data"]["GATEWAY_UPSTREAMS"])
    expected = [
        {"name": f"auth-{number}", "url": f"http://auth-{number}.auth:8000"}
        for number in range(auth["spec"]["replicas"])
    ]
    assert upstreams == expected


@pytest.mark.parametrize(
    ("kind", "name", "variable"),
    [("StatefulSet", "auth", "AUTH_DRAIN_S"), ("Deployment", "gateway", "GATEWAY_DRAIN_S")],
)
def test_a_pod_is_not_killed_while_it_drains(
    objects: list[Object], kind: str, name: str, variable: str
) -> None:
    spec = named(objects, kind, name)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    drain_s = float(environment(objects, container)[variable])
    pause_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert spec["terminationGracePeriodSeconds"] > pause_s + drain_s + OVERRUN_S


def test_probes_ask_what_is_served(objects: list[Object]) -> None:
    for kind, name, ready in (
        ("StatefulSet", "auth", "/readyz"),
        ("Deployment", "gateway", "/healthz"),
    ):
        (container,) = containers(named(objects, kind, name))
        ports = {port["name"] for port in container["ports"]}
        for probe, path in (
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", ready),
        ):
            assert container[probe]["httpGet"]["path"] == path
            assert container[probe]["httpGet"]["port"] in ports


# -- what every pod must be --------------------------------------------------------------------


def test_pods_have_no_rights_that_they_do_not_need(objects: list[Object]) -> None:
    """The Pod Security Standards' `restricted`, which the namespace enforces, and more."""
    namespace = named(objects, "Namespace", "pooldrill")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in workloads(objects):
        spec = workload["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for container in containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_images_are_pinned_and_ours_are_of_this_version(objects: list[Object]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for workload in workloads(objects):
        for container in containers(workload):
            name, _, tag = container["image"].partition(":")
            assert tag not in ("", "latest"), container["image"]
            if name != "postgres":
                assert (name.startswith("pooldrill"), tag) == (True, project["version"])


def test_our_pods_run_as_the_user_of_our_image(objects: list[Object]) -> None:
    """Whose home the image has; as a number, so that the node can see that it is not root."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    for workload in workloads(objects):
        if workload["metadata"]["name"] != "postgres":
            user = workload["spec"]["template"]["spec"]["securityContext"]
            assert f"\nUSER {user['runAsUser']}:{user['runAsGroup']}\n" in dockerfile


def test_every_pod_says_what_it_needs(objects: list[Object]) -> None:
    for workload in workloads(objects):
        for container in containers(workload):
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"])
            assert "memory" in resources["limits"]


def test_selectors_and_policies_meet_pods(objects: list[Object]) -> None:
    """A label that was misspelt would leave a Service empty, and a policy without effect."""
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in workloads(objects)]
    selectors: list[Any] = []
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "Service":
            selectors.append(spec["selector"])
        elif each["kind"] == "PodDisruptionBudget":
            selectors.append(spec["selector"]["matchLabels"])
        elif each["kind"] == "NetworkPolicy":
            selectors.append(spec["podSelector"].get("matchLabels", {}))
    assert len(selectors) > 5
    for selector in selectors:
        assert any(selector.items() <= pod.items() for pod in labels), selector


def test_what_is_not_allowed_is_refused_in_the_whole_namespace(objects: list[Object]) -> None:
    policy = named(objects, "NetworkPolicy", "nothing-else")["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert all(
        each["metadata"].get("namespace") == "pooldrill"
        for each in objects
        if each["kind"] != "Namespace"
    )


def test_load_waits_to_be_asked_for(objects: list[Object]) -> None:
    for name in ("locust-master", "locust-worker", "load-worker"):
        assert named(objects, "Deployment", name)["spec"]["replicas"] == 0
    (container,) = containers(named(objects, "Deployment", "load-worker"))
    assert container["command"] == ["pooldrill", "load-worker", "$(LOAD_MASTER)"]
    assert ":" in environment(objects, container)["LOAD_MASTER"]


def test_locust_logs_in_at_the_service_that_is_deployed_here(objects: list[Object]) -> None:
    (master,) = containers(named(objects, "Deployment", "locust-master"))
    (worker,) = containers(named(objects, "Deployment", "locust-worker"))
    target, leader = urlsplit(master["command"][-1]), worker["command"][-1]
    services = {
        each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "Service"
    }
    assert [port["port"] for port in services[target.hostname]["ports"]] == [target.port or 80]
    assert [port["port"] for port in services[leader]["ports"]] == [5557], "Locust's default"
    for container in (master, worker):
        module = container["command"][2]
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists()


def test_a_job_is_the_same_in_overlays_that_are_applied_over_each_other(
    built: dict[str, list[Object]],
) -> None:
    """A Job's pods cannot be changed: `kubectl apply` of the second overlay would be refused."""
    jobs = [named(built[name], "Job", "accounts") for name in ("small", "undersized-pool")]
    assert jobs[0] == jobs[1]


@pytest.mark.prometheus
def test_prometheus_understands_what_is_done_to_the_pods_labels(
    objects: list[Object], tmp_path: Path
) -> None:
    """Debian's Prometheus is built without Kubernetes: the pods are left out, the rest is checked.

    The labels that the relabelling reads are Kubernetes' for annotations that the pods have.
    """
    config = yaml.safe_load((KUBERNETES / "prometheus-scrape.yml").read_text("utf-8"))
    (job,) = config["scrape_configs"]
    assert job.pop("kubernetes_sd_configs")[0]["namespaces"]["names"] == ["pooldrill"]
    read = {
        label.removeprefix("__meta_kubernetes_pod_annotation_prometheus_io_")
        for relabel in job["relabel_configs"]
        for label in (*relabel["source_labels"], relabel.get("target_label", ""))
        if label.startswith("__meta_kubernetes_pod_annotation_")
    }
    for kind, name in (("StatefulSet", "auth"), ("Deployment", "gateway")):
        workload = named(objects, kind, name)
        annotations = workload["spec"]["template"]["metadata"]["annotations"]
        assert {key.removeprefix("prometheus.io/") for key in annotations} == read
        (container,) = containers(workload)
        ports = {str(port["containerPort"]) for port in container["ports"]}
        assert annotations["prometheus.io/port"] in ports
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(config), "utf-8")
    done = subprocess.run(
        ["promtool", "check", "config", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
