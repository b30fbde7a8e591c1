"""Names on which the packages agree without importing each other."""

from __future__ import annotations

import typing

from auth_service import accounts
from auth_service.defects import DEFECTS
from auth_service.settings import DEFECT_NAMES, PoolSettings
from harness.incident import PoolConfig
from harness.incident.service import Defect, Implementation
from harness.measurements import pools
from harness.stack import stack
from scenarios import login_client


def test_defects_have_the_same_names_everywhere() -> None:
    assert set(DEFECT_NAMES) == set(DEFECTS) == set(typing.get_args(Defect))


def test_pool_implementations_have_the_same_names_everywhere() -> None:
    known = typing.get_args(PoolSettings.model_fields["implementation"].annotation)
    assert set(known) == set(typing.get_args(Implementation))


def test_a_retiring_replica_has_the_same_suffix_where_it_is_sampled_and_where_it_is_read() -> None:
    """Measurements may not depend on the stack, so the suffix is spelled twice."""
    assert pools.RETIRING == stack.RETIRING


def test_a_pool_has_the_same_settings_in_an_incident_and_in_the_service() -> None:
    assert set(PoolConfig.model_fields) == set(PoolSettings.model_fields)


def test_a_pool_has_the_same_defaults_in_an_incident_and_in_the_service() -> None:
    ours, theirs = PoolConfig(), PoolSettings()
    for name in ("size", "max_overflow", "timeout_s", "threads", "max_waiting", "min_size"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_the_load_knows_the_seeded_users_and_their_passwords() -> None:
    for number in (0, 7, 8, 19_999):
        assert login_client.username(number) == accounts.seeded_username(number)
        assert login_client.password(number) == accounts.seeded_password(number)
