"""Recordings to be rendered, simulated once for all tests here."""

from __future__ import annotations

import pytest

from harness.recording import Recording, read_recording
from harness.verdicts import Verdict, judge
from tests.recordings import synthetic_recording

Run = tuple[Recording, Verdict]

SHORT = {"load.client.patience": "12s", "load.phases[0].plateau": "4s", "replay.plateau": "6s"}
"""A quarter less to simulate; nothing that is tested here depends on it."""


def _run(tmp_path_factory: pytest.TempPathFactory, **options: object) -> Run:
    directory = tmp_path_factory.mktemp("runs") / "20240507T085000Z-undersized-pool-1"
    synthetic_recording(directory, overrides=SHORT, **options)  # type: ignore[arg-type]
    recording = read_recording(directory)
    return recording, judge(recording)


@pytest.fixture(scope="session")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The incident as it happened."""
    return _run(tmp_path_factory)


@pytest.fixture(scope="session")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Nothing happened: the pool was large enough."""
    return _run(tmp_path_factory, pool_size=20)


@pytest.fixture(scope="session")
def unmeasured(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Neither the pools nor the database were sampled."""
    return _run(tmp_path_factory, without_metrics=("db_client_", "pg_"))


@pytest.fixture(scope="session")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A signal ended the run in the middle of the outage."""
    return _run(tmp_path_factory, partial_at_s=45.0)
