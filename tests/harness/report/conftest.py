"""Recordings to be rendered, simulated once for all tests here."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from harness.recording import Recording, read_recording
from harness.verdicts import Verdict, judge
from tests.recordings import synthetic_recording

Run = tuple[Recording, Verdict]

SHORT = {"load.client.patience": "15s", "load.phases[0].plateau": "4s", "replay.plateau": "5s"}
"""A third less to simulate; nothing that is tested here depends on it."""


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
def unmeasured(passed: Run) -> Run:
    """The incident as it happened, but neither the pools nor the database were sampled."""
    lost = pl.col("metric").str.starts_with("db_client_") | pl.col("metric").str.starts_with("pg_")
    recording = replace(passed[0], samples=passed[0].samples.filter(~lost))
    return recording, judge(recording)


@pytest.fixture(scope="session")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A signal ended the run in the middle of the outage."""
    return _run(tmp_path_factory, partial_at_s=45.0)
