"""The fleet's connections against those that its database grants, in every overlay."""

from __future__ import annotations

import copy

from harness.incident import load_incident
from harness.sizing import Fleet
from tests.deploy.kustomized import Budget, Object, most_pods, named, settings_of


def budget_of(objects: list[Object]) -> Budget:
    granted = named(objects, "ConfigMap", "database-budget")["data"]
    pool = settings_of(objects).pool.max_connections
    assert pool is not None, "a pool without a limit fits no budget"
    return Budget(
        pods=most_pods(objects, named(objects, "StatefulSet", "auth")),
        pool=pool,
        reserved=int(granted["reserved_connections"]),
        max_connections=int(granted["max_connections"]),
    )


def test_the_pools_of_all_pods_fit_what_the_database_grants(objects: list[Object]) -> None:
    budget = budget_of(objects)
    assert budget.kept, budget


def autoscale(objects: list[Object], *, most: int) -> None:
    objects.append(
        {
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "auth"},
            "spec": {
                "scaleTargetRef": {"kind": "StatefulSet", "name": "auth"},
                "maxReplicas": most,
            },
        }
    )


def test_an_autoscaler_of_the_service_is_counted_with_its_most(
    built: dict[str, list[Object]],
) -> None:
    objects = copy.deepcopy(built["production-like"])
    autoscale(objects, most=7)
    assert budget_of(objects).kept  # 7 x 25 + 13 = 188 of 200
    objects.pop()
    autoscale(objects, most=8)
    assert not budget_of(objects).kept  # 8 x 25 + 13 = 213


def test_a_rollouts_surge_is_counted() -> None:
    """A Deployment starts successors first: 25 %, rounded up, unless it says otherwise."""
    deployment: Object = {
        "kind": "Deployment",
        "metadata": {"name": "auth"},
        "spec": {"replicas": 6},
    }
    assert most_pods([], deployment) == 8
    deployment["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 1}}
    assert most_pods([], deployment) == 7


def test_a_pool_that_was_raised_beyond_the_database_is_caught(
    built: dict[str, list[Object]],
) -> None:
    objects = copy.deepcopy(built["production-like"])
    named(objects, "ConfigMap", "auth")["data"]["AUTH_POOL__SIZE"] = "30"
    assert not budget_of(objects).kept


def test_the_undersized_overlay_is_the_incident_and_nothing_else(
    built: dict[str, list[Object]],
) -> None:
    """Against `small` it changes the pool's size alone, to that of the incident."""
    incident = load_incident("undersized-pool")
    defect, healthy = settings_of(built["undersized-pool"]), settings_of(built["small"])
    assert defect.model_copy(update={"pool": healthy.pool}) == healthy
    sized = defect.pool.model_copy(update={"size": healthy.pool.size})
    assert sized == healthy.pool
    assert (defect.pool.size, defect.pool.max_overflow, defect.pool.timeout_s) == (
        incident.service.pool.size,
        incident.service.pool.max_overflow,
        incident.service.pool.timeout_s,
    )
    assert healthy.pool.size == 20, "the incident's own fix"
    surge_per_s = max(phase.rate_per_s for phase in incident.load.phases)
    for settings, carries in ((defect, False), (healthy, True)):
        replicas = named(built["small"], "StatefulSet", "auth")["spec"]["replicas"]
        pool = settings.pool.max_connections
        assert pool is not None
        fleet = Fleet(surge_per_s, settings.work_ms / 1000, replicas=replicas, pool=pool)
        assert (fleet.utilisation < 1) is carries
