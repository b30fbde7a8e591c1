"""Public rules that cannot work are told from those that merely stayed silent."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from harness.alerts.lab import Asking, score
from harness.alerts.score import Diagnosis
from harness.recording import SAMPLES
from tests.recordings import synthetic_recording

HERE = Path(__file__).parent
MAPPINGS = HERE.parents[2] / "dashboards" / "prometheus" / "mappings"
SERVERS = 8
"""PgBouncer's server connections; the two pools before it may hold ten."""

QUIET = {f"load.phases.{phase}.rate": "2/s" for phase in ("baseline", "surge")}
"""Neither rule minds the load, and little of it is simulated sooner."""


def behind_pgbouncer(run: Path) -> Path:
    """The run with samples as if its pools had connected to a PgBouncer of session mode.

    It has a limit for clients and, as by default, none for users.
    """
    samples = pl.read_parquet(run / "samples.parquet")
    opened = (
        samples.filter(pl.col("metric") == "db_client_connection_count")
        .group_by("time_s", maintain_order=True)
        .agg(pl.col("value").sum())
    )
    rows = []
    for time_s, clients in opened.iter_rows():
        # Whoever monitors has a connection too.
        active = min(SERVERS, clients + 1)
        pools = {
            "client_active": active,
            "client_waiting": clients + 1 - active,
            "server_active": active,
            "server_idle": 0.0,
            "server_used": 0.0,
        }
        values = {f"pools_{name}_connections": value for name, value in pools.items()}
        values |= {"config_max_client_connections": 200.0, "config_max_user_connections": 0.0}
        rows.append((time_s, "pgbouncer", "up", "", 1.0))
        for name, value in values.items():
            labels = 'database="auth",user="auth"' if name.startswith("pools_") else ""
            rows.append((time_s, "pgbouncer", f"pgbouncer_{name}", labels, value))
    added = pl.DataFrame(rows, schema=SAMPLES, orient="row")
    pl.concat([samples, added]).write_parquet(run / "samples.parquet")
    return run


@pytest.mark.prometheus
def test_public_pgbouncer_rules_are_dead_and_stuck(tmp_path: Path) -> None:
    runs = [
        behind_pgbouncer(synthetic_recording(tmp_path / "behind-pgbouncer", overrides=QUIET)),
        synthetic_recording(tmp_path / "without", overrides=QUIET),
    ]
    asking = Asking(
        rules=[HERE / "public" / "pgbouncer.yml"],
        recordings=runs,
        mappings=[MAPPINGS / "pgbouncer-exporter-spreaker.yaml"],
    )

    scores = {each.rule.alert: each for each in score(asking).scores}

    assert scores["PgbouncerMaxConnections"].diagnosis == Diagnosis(
        "dead",
        "label mismatch: sum(pgbouncer_pools_client_active_connections + "
        "pgbouncer_pools_client_waiting_connections) has the labels (none), "
        "pgbouncer_config_max_client_conn has (instance, job), so nothing is compared",
    )
    saturation = scores["PgbouncerServerConnectionSaturationCritical"]
    assert saturation.diagnosis == Diagnosis(
        "stuck",
        "it holds at every evaluation of every recording that has its series; "
        "pgbouncer_config_max_user_connections is 0 throughout, "
        "which may mean that there is no limit",
    )
    assert [outcome.state for outcome in saturation.outcomes] == ["fired", "silent"]


@pytest.mark.prometheus
def test_without_the_mapping_the_limit_has_another_name(tmp_path: Path) -> None:
    run = behind_pgbouncer(synthetic_recording(tmp_path / "behind-pgbouncer", overrides=QUIET))
    asking = Asking(
        rules=[HERE / "public" / "pgbouncer.yml"],
        recordings=[run],
        alerts=["PgbouncerMaxConnections"],
    )
    (scored,) = score(asking).scores
    assert scored.diagnosis == Diagnosis(
        "dead", "missing metric: pgbouncer_config_max_client_conn is in no recording"
    )
