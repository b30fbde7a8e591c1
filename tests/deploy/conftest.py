"""Every overlay as kubectl builds it."""

from __future__ import annotations

import copy
import os

import pytest

from tests.deploy.kustomized import KUBERNETES, OVERLAYS, Object, build, kubectl


@pytest.fixture(scope="session", autouse=True)
def kubectl_is_there() -> None:
    if kubectl() is None:
        reason = "kubectl is neither in the environment nor on PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def built() -> dict[str, list[Object]]:
    return {name: build(KUBERNETES / "overlays" / name) for name in OVERLAYS}


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest, built: dict[str, list[Object]]) -> list[Object]:
    return copy.deepcopy(built[request.param])
