"""What the harness hands to a replica is what the service reads."""

from __future__ import annotations

import pytest

from auth_service.settings import Settings, load
from harness.incident import HashConfig, ServiceConfig
from harness.stack.service import service_environment
from tests.auth_service.deployed_service import SOMEWHERE


def environment(config: ServiceConfig) -> dict[str, str]:
    return service_environment(config, name="replica-1", dsn=SOMEWHERE)


def test_the_default_is_accepted_and_means_the_default() -> None:
    settings = load(Settings, environment(ServiceConfig()))
    assert (settings.release, settings.hash.latency_ms, settings.teardown_ms) == (1, 0, 50)


def test_the_release_and_the_latency_arrive() -> None:
    config = ServiceConfig(release=3, hash=HashConfig(latency_s=0.2505))
    settings = load(Settings, environment(config))
    assert (settings.release, settings.hash.latency_ms) == (3, 250.5)


@pytest.mark.parametrize("teardown_s", [0.0, 0.05, 0.09])
def test_a_teardown_arrives_with_its_defect(teardown_s: float) -> None:
    config = ServiceConfig(teardown_s=teardown_s, defects=("session-over-teardown",))
    settings = load(Settings, environment(config))
    assert settings.teardown_ms == pytest.approx(teardown_s * 1000)


def test_a_teardown_stays_behind_without_its_defect() -> None:
    """The service would refuse it: a deploy that takes the defect away must still start."""
    settings = load(Settings, environment(ServiceConfig(teardown_s=0.09)))
    assert settings.teardown_ms == 50


def test_no_latency_is_no_variable() -> None:
    assert "AUTH_HASH__LATENCY_MS" not in environment(ServiceConfig())
