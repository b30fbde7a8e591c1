"""The mappings that come with the project: each loads, speaks of metrics of ours, and applies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.alerts.naming import Mapping, Names, load_mapping
from harness.alerts.series import NAME, Grid, Labels, SeriesTable, labels_of

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "dashboards" / "prometheus" / "mappings").glob("*.yaml"))
METRICS = (ROOT / "docs" / "metrics.md").read_text("utf-8")
PART = re.compile(r"_(bucket|sum|count)$")
"""Of a histogram, whose name stands there without it."""

GRID = Grid(0.0, 15.0, 2)
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def series() -> Iterator[tuple[str, dict[str, str]]]:
    """A small stack: every metric of ours that a mapping could speak of, with its labels."""
    gauges = re.findall(r"^\| `((?:db_client|auth)_connections?_[a-z_]+)` \| (\w+)", METRICS, re.M)
    for replica in ("replica-1", "replica-2"):
        yield "up", {"job": "auth", "instance": replica}
        for pool in ("primary", "reporting"):
            own = {"job": "auth", "instance": replica, "db_client_connection_pool_name": pool}
            for name, kind in gauges:
                if name == "db_client_connection_count":
                    yield name, {**own, "state": "used"}
                    yield name, {**own, "state": "idle"}
                elif kind == "histogram":
                    yield f"{name}_sum", own
                    yield f"{name}_count", own
                    yield f"{name}_bucket", {**own, "le": "0.5"}
                    yield f"{name}_bucket", {**own, "le": "+Inf"}
                else:
                    yield name, own
    gateway = {"job": "gateway", "instance": "gateway"}
    for replica in ("replica-1", "replica-2", "-"):
        for code in ("200", "401", "499", "503"):
            yield "gateway_requests_total", {**gateway, "replica": replica, "code": code}
    for replica in ("replica-1", "replica-2"):
        own = {**gateway, "replica": replica}
        yield "gateway_request_duration_seconds_sum", own
        yield "gateway_request_duration_seconds_count", own
        yield "gateway_request_duration_seconds_bucket", {**own, "le": "+Inf"}
    for target in ("postgres", "exporter"):
        yield "up", {"job": "postgres", "instance": target}
    bouncer = {"job": "pgbouncer", "instance": "pgbouncer"}
    yield "up", bouncer
    yield "pgbouncer_config_max_client_connections", bouncer
    yield "pgbouncer_config_max_user_connections", bouncer
    for state in ("active", "idle", "used"):
        for user in ("auth", "reports"):
            own = {**bouncer, "database": "auth", "user": user}
            yield f"pgbouncer_pools_server_{state}_connections", own


def stack() -> SeriesTable:
    labels = tuple(labels_of({**own, NAME: name}) for name, own in series())
    shape = (len(labels), GRID.count)
    return SeriesTable(GRID, labels, np.ones(shape), np.ones(shape, dtype=bool))


def values(*mappings: Mapping) -> dict[Labels, float]:
    after = Names(mappings).apply(stack())
    return dict(zip(after.labels, after.values[:, 0].tolist(), strict=True))


def named(name: str, /, **labels: str) -> Labels:
    return labels_of({**labels, NAME: name})


def by_name(stem: str) -> Mapping:
    return load_mapping(next(path for path in FILES if path.stem == stem))


@each_file
def test_each_file_loads_and_speaks_of_metrics_that_are_documented(path: Path) -> None:
    found = load_mapping(path)
    assert found.series
    for entry in found.series:
        name = entry.source
        known = f"`{name}`" in METRICS or f"`{PART.sub('', name)}`" in METRICS
        assert known, f"{path.name}: {name} does not stand in docs/metrics.md"


@each_file
def test_each_file_applies_to_a_stack_and_every_entry_finds_something(path: Path) -> None:
    mapping = load_mapping(path)
    names = {dict(labels)[NAME] for labels in values(mapping)}
    assert {entry.to for entry in mapping.series} <= names
    table = stack()
    for entry in mapping.series:
        assert any(entry.renamed(labels) for labels in table.labels), entry


def test_all_of_them_go_together() -> None:
    assert len(values(*(load_mapping(path) for path in FILES))) > len(stack().labels)


def test_hikaricp_has_one_label_and_counts_all_connections() -> None:
    found = values(by_name("hikaricp-micrometer"))
    own = {"job": "auth", "instance": "replica-1", "pool": "primary"}
    assert found[named("hikaricp_connections", **own)] == 2
    for gauge in ("active", "idle", "pending", "max", "min"):
        assert found[named(f"hikaricp_connections_{gauge}", **own)] == 1
    for timer in ("acquire", "usage", "creation"):
        assert named(f"hikaricp_connections_{timer}_seconds_bucket", **own, le="0.5") in found
    requests = [dict(each) for each in found if dict(each)[NAME].startswith("http_server_")]
    counted = [each for each in requests if each[NAME].endswith("_count")]
    assert {(each["status"], each["outcome"]) for each in counted} == {
        ("200", "SUCCESS"),
        ("401", "CLIENT_ERROR"),
        ("499", "CLIENT_ERROR"),
        ("503", "SERVER_ERROR"),
    }
    assert {(each["job"], each["instance"]) for each in requests} == {
        ("auth", "replica-1"),
        ("auth", "replica-2"),
    }


def test_older_opentelemetry_names_are_in_milliseconds() -> None:
    found = values(by_name("sqlalchemy-otel"))
    own = {"job": "auth", "instance": "replica-1", "pool_name": "primary"}
    assert found[named("db_client_connections_usage", **own, state="used")] == 1
    wait = "db_client_connections_wait_time_milliseconds"
    assert found[named(f"{wait}_sum", **own)] == 1000
    assert found[named(f"{wait}_count", **own)] == 1
    assert found[named(f"{wait}_bucket", **own, le="500")] == 1


def test_psycopg_pool_adds_up_what_it_counts_together() -> None:
    found = values(by_name("psycopg-pool"))
    own = {"job": "auth", "instance": "replica-1", "pool": "primary"}
    assert found[named("psycopg_pool_pool_size", **own)] == 3
    assert found[named("psycopg_pool_requests_errors_total", **own)] == 3
    assert found[named("psycopg_pool_connections_num_total", **own)] == 2


def test_exporters_are_up_when_their_target_is() -> None:
    mappings = [by_name("postgres-exporter"), by_name("pgbouncer-exporter-spreaker")]
    found = {each for each in values(*mappings) if dict(each)[NAME] in ("pg_up", "pgbouncer_up")}
    assert found == {
        named("pg_up", job="postgres", instance="postgres"),
        named("pg_up", job="postgres", instance="exporter"),
        named("pgbouncer_up", job="pgbouncer", instance="pgbouncer"),
    }


def test_pgbouncer_databases_count_their_users_together() -> None:
    own = {"job": "pgbouncer", "instance": "pgbouncer", "database": "auth"}
    theirs = values(by_name("pgbouncer-exporter"))
    assert theirs[named("pgbouncer_databases_current_connections", **own, name="auth")] == 6
    spreaker = values(by_name("pgbouncer-exporter-spreaker"))
    name = "pgbouncer_databases_database_current_connections"
    assert spreaker[named(name, **own, backend_database="auth")] == 6
    assert "pgbouncer_config_max_client_conn" in {dict(each)[NAME] for each in spreaker}
