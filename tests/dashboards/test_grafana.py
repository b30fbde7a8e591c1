"""The Grafana dashboards: whole, of Grafana's own schema, and every panel has something to show."""

from __future__ import annotations

import enum
import json
import re
import types
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from harness.alerts.engine import RuleEngine
from harness.alerts.expansion import counter_names, expand
from harness.alerts.expressions import LOOKBACK_S, parse, selectors
from harness.alerts.rules import load_rules
from harness.alerts.series import NAME, Labels, SeriesTable, labels_of
from harness.recording import read_recording
from tests.recordings import synthetic_recording

ROOT = Path(__file__).parent.parent.parent
GRAFANA = ROOT / "dashboards" / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
PROVISIONING = GRAFANA / "provisioning"
RULES = ROOT / "dashboards" / "prometheus" / "rules"
METRICS = (ROOT / "docs" / "metrics.md").read_text("utf-8")
COLUMNS = 24
VARIABLES = {"datasource", "instance", "pool"}
BUILT_IN = {"ALERTS", "up"}
"""What Prometheus adds by itself."""

SCHEMA_VERSION = 39
"""The least that Grafana need not migrate from the days of Angular."""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
PROMETHEUS_ANNOTATION = {"titleFormat", "textFormat", "tagKeys", "step"}
"""Fields of an annotation that are the data source's and not the schema's: see
https://grafana.com/docs/grafana/latest/datasources/prometheus/annotations/"""

Json = dict[str, Any]
Place = tuple[Path, Json]


@cache
def read(path: Path) -> Json:
    found: Json = json.loads(path.read_text("utf-8"))
    return found


def panels(path: Path) -> Iterator[Json]:
    """A dashboard's panels, rows and those nested in them included."""
    for panel in read(path)["panels"]:
        yield panel
        yield from panel.get("panels", ())


def shown(path: Path) -> Iterator[Json]:
    return (panel for panel in panels(path) if panel["type"] != "row")


def filled(text: str) -> str:
    """A query as Grafana sends it with "All" chosen; a variable that there is not stays."""
    text = text.replace("$__rate_interval", "1m")
    return re.sub(r"\$(instance|pool)\b", ".*", text)


def asked(path: Path) -> Iterator[str]:
    """Every query of a dashboard, annotations' included."""
    for panel in shown(path):
        yield from (filled(target["expr"]) for target in panel["targets"])
    yield from (filled(each["expr"]) for each in read(path)["annotations"]["list"])


every_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
PANELS: list[Place] = [(path, panel) for path in DASHBOARDS for panel in shown(path)]
every_panel = pytest.mark.parametrize(
    ("path", "panel"), PANELS, ids=[f"{path.stem}-{panel['id']}" for path, panel in PANELS]
)


# -- structure ---------------------------------------------------------------------------------


def test_there_are_four_dashboards_each_with_a_uid_of_its_own() -> None:
    assert [path.stem for path in DASHBOARDS] == [
        "database", "incident-overview", "load", "pool-anatomy",
    ]  # fmt: skip
    assert [read(path)["uid"] for path in DASHBOARDS] == [
        f"pooldrill-{path.stem}" for path in DASHBOARDS
    ]
    assert len({read(path)["title"] for path in DASHBOARDS}) == len(DASHBOARDS)


@every_dashboard
def test_a_dashboard_is_written_as_it_would_be_written_again(path: Path) -> None:
    text = json.dumps(read(path), indent=2, ensure_ascii=False)
    assert path.read_text("utf-8") == text + "\n"


@every_dashboard
def test_a_dashboard_says_when_it_looks_and_what_it_can_be_cut_by(path: Path) -> None:
    dashboard = read(path)
    assert "pooldrill" in dashboard["tags"]
    assert dashboard["schemaVersion"] >= SCHEMA_VERSION
    assert dashboard["time"] == {"from": "now-1h", "to": "now"}
    assert dashboard["refresh"] == "5s"
    assert "id" not in dashboard, "it is one Grafana's own"
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert variables.keys() == VARIABLES
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == (
        "datasource",
        "prometheus",
    )
    for name in VARIABLES - {"datasource"}:
        assert variables[name]["type"] == "query"
        assert variables[name]["datasource"] == DATASOURCE
        assert variables[name]["query"]["query"].startswith("label_values(")
    used = {name for text in expressions(path) for name in re.findall(r"\$(\w+)", text)}
    assert used == VARIABLES - {"datasource"} | {"__rate_interval"}


def expressions(path: Path) -> Iterator[str]:
    for panel in shown(path):
        yield from (target["expr"] for target in panel["targets"])


@every_panel
def test_a_panel_says_what_it_is_and_how_to_read_it(path: Path, panel: Json) -> None:
    assert panel["title"]
    says = panel["description"]
    assert says[0].isupper()
    assert says.endswith(".")
    assert ". " not in says, "one sentence"
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == DATASOURCE
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["expr"]
        assert target["legendFormat"]
        assert target["datasource"] == DATASOURCE
    ids = [target["refId"] for target in panel["targets"]]
    assert len(set(ids)) == len(ids)
    if panel["type"] == "heatmap":
        assert [target["format"] for target in panel["targets"]] == ["heatmap"]
        assert panel["options"]["calculate"] is False, "the buckets are Prometheus's"


@every_panel
def test_thresholds_rise_from_a_base(path: Path, panel: Json) -> None:
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    assert steps or panel["type"] == "heatmap"
    values = [step["value"] for step in steps]
    assert values[:1] in ([], [None])
    assert values[1:] == sorted(set(values[1:]))


@every_panel
def test_an_override_finds_a_series(path: Path, panel: Json) -> None:
    """By the legends as they are written: a label's value may be anything."""
    names = [re.sub(r"\{\{\w+\}\}", "x", target["legendFormat"]) for target in panel["targets"]]
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        if matcher["id"] == "byRegexp" and "warning" not in matcher["options"]:
            assert any(re.fullmatch(matcher["options"].strip("^$"), name) for name in names)


@every_dashboard
def test_panels_have_ids_of_their_own_and_do_not_overlap(path: Path) -> None:
    ids = [panel["id"] for panel in panels(path)]
    assert len(set(ids)) == len(ids)
    titles = [(panel["type"], panel["title"]) for panel in panels(path)]
    assert len(set(titles)) == len(titles)
    places = [panel["gridPos"] for panel in read(path)["panels"]]
    for place in places:
        assert place["w"] > 0
        assert place["h"] > 0
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= COLUMNS
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_the_overview_begins_with_figures() -> None:
    overview = GRAFANA / "dashboards" / "incident-overview.json"
    top = [panel for panel in shown(overview) if panel["gridPos"]["y"] == 0]
    assert {panel["type"] for panel in top} == {"stat"}
    assert sum(panel["gridPos"]["w"] for panel in top) == COLUMNS


# -- queries -----------------------------------------------------------------------------------


@every_dashboard
def test_queries_are_promql_over_metrics_that_there_are(path: Path) -> None:
    documented = set(re.findall(r"`([a-z][a-z0-9_]+)`", METRICS))
    known = documented | BUILT_IN | {rule.record for rule in load_rules([RULES]) if rule.record}
    names = {selector.metric for query in asked(path) for selector in selectors(parse(query))}
    for variable in read(path)["templating"]["list"]:
        if variable["type"] == "query":
            names |= set(re.findall(r"^label_values\((\w+)", variable["query"]["query"]))
    assert names
    for name in names:
        assert name is not None, "a selector without a name"
        assert name in known or re.sub(r"_(bucket|sum|count)$", "", name) in known, name


@every_dashboard
def test_what_the_service_shows_can_be_cut_by_instance_and_pool(path: Path) -> None:
    documented = METRICS.split("## The service")[0]
    for text in expressions(path):
        for selector in selectors(parse(filled(text))):
            name = selector.metric or ""
            if name.startswith(("auth_", "db_client_", "process_")):
                assert 'instance=~".*"' in selector.text, text
            bare = re.sub(r"_(bucket|sum|count)$", "", name)
            if f"`{name}`" in documented or f"`{bare}`" in documented:
                assert 'db_client_connection_pool_name=~".*"' in selector.text, text


@every_dashboard
def test_annotations_are_our_alerts_and_on_demand_the_others(path: Path) -> None:
    ours, others = read(path)["annotations"]["list"]
    names = "|".join(rule.alert for rule in load_rules(sorted(RULES.glob("*.yml"))) if rule.alert)
    assert ours["expr"] == f'ALERTS{{alertstate="firing", alertname=~"{names}"}}'
    assert others["expr"] == f'ALERTS{{alertstate="firing", alertname!~"{names}"}}'
    assert (ours["enable"], others["enable"]) == (True, False)
    assert ours["datasource"] == others["datasource"] == DATASOURCE


# -- Grafana's schema --------------------------------------------------------------------------


def faults(value: Any, hint: Any, where: str) -> Iterator[str]:
    """Where a model of Grafana's is not what its own type hints say; enumerations included."""
    if type(value).__module__.startswith("grafana_foundation_sdk."):
        for name, inner in get_type_hints(type(value)).items():
            yield from faults(getattr(value, name), inner, f"{where}.{name}")
    elif get_origin(hint) in (Union, types.UnionType):
        arms = [arm for arm in get_args(hint) if (arm is types.NoneType) == (value is None)]
        found = [list(faults(value, arm, where)) for arm in arms]
        if all(found):
            yield from found[0] if found else [f"{where}: {value!r} is not {hint}"]
    elif get_origin(hint) is list and isinstance(value, list):
        for index, each in enumerate(value):
            yield from faults(each, get_args(hint)[0], f"{where}[{index}]")
    elif get_origin(hint) is dict and isinstance(value, dict):
        for key, each in value.items():
            yield from faults(each, get_args(hint)[1], f"{where}[{key!r}]")
    elif not fits(value, hint):
        yield f"{where}: {value!r} is not {hint}"


def fits(value: Any, hint: Any) -> bool:
    if hint is object or hint is Any:
        return True
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in [member.value for member in hint]
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, (int, float))
    return isinstance(hint, type) and isinstance(value, hint)


def lost(ours: Any, theirs: Any, where: str) -> Iterator[str]:
    """What of ours Grafana's models did not take up: a field they do not know, most likely."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from lost(value, theirs[key], f"{where}.{key}")
            elif value is not None:
                yield f"{where}.{key}"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(one, other, f"{where}[{index}]")
    elif ours != theirs:
        yield where


def modelled(dashboard: Json) -> list[str]:
    """What Grafana's published models have against a dashboard."""
    register_default_plugins()
    model = Dashboard.from_json(dashboard)
    theirs = json.loads(json.dumps(model, cls=JSONEncoder))
    return [*faults(model, Dashboard, "dashboard"), *lost(dashboard, theirs, "dashboard")]


def without_foreign_fields(dashboard: Json) -> Json:
    copy: Json = json.loads(json.dumps(dashboard))
    for annotation in copy["annotations"]["list"]:
        for field in PROMETHEUS_ANNOTATION:
            annotation.pop(field, None)
    return copy


@every_dashboard
def test_grafana_knows_every_field_and_its_values(path: Path) -> None:
    assert modelled(without_foreign_fields(read(path))) == []


def test_what_grafana_does_not_know_is_found() -> None:
    """The models take anything: it is the comparison that finds what is wrong."""
    dashboard = without_foreign_fields(read(DASHBOARDS[0]))
    panel = next(each for each in dashboard["panels"] if each["type"] == "timeseries")
    panel["fieldConfig"]["defaults"]["custom"]["lineInterpolation"] = "curly"
    panel["options"]["legend"]["plaecment"] = "bottom"
    panel["gridPos"]["w"] = "wide"
    panel["targets"][0]["expression"] = "up"
    found = modelled(dashboard)
    for part in ("curly", "plaecment", "wide", "expression"):
        assert any(part in each for each in found), found
    assert len(found) == 4


# -- provisioning ------------------------------------------------------------------------------


def provisioned(path: str) -> Json:
    found: Json = yaml.safe_load((PROVISIONING / path).read_text("utf-8"))
    assert found["apiVersion"] == 1
    return found


def test_the_data_source_is_the_default_and_the_one_that_dashboards_choose_first() -> None:
    (source,) = provisioned("datasources/prometheus.yml")["datasources"]
    assert source["type"] == "prometheus"
    assert source["isDefault"] is True
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == "5s"
    for path in DASHBOARDS:
        (variable,) = (v for v in read(path)["templating"]["list"] if v["type"] == "datasource")
        chosen = variable["current"]
        assert (chosen["value"], chosen["text"]) == (source["uid"], source["name"])


def test_dashboards_come_from_files_and_are_changed_there_only() -> None:
    (provider,) = provisioned("dashboards/pooldrill.yml")["providers"]
    assert provider["type"] == "file"
    assert provider["folder"] == "Pooldrill"
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"


# -- every panel over a recorded incident ------------------------------------------------------

REPLICAS = [{"job": "auth", "instance": f"replica-{number}"} for number in (1, 2)]
POOLS = [{**replica, "db_client_connection_pool_name": "primary"} for replica in REPLICAS]
GATEWAY = [{"job": "gateway", "instance": "gateway"}]
UPSTREAMS = [{**GATEWAY[0], "replica": replica["instance"]} for replica in REPLICAS]
POSTGRES = [{"job": "postgres", "instance": "postgres"}]
DATABASE = [{**POSTGRES[0], "datname": "auth"}]
PGBOUNCER = [{"job": "pgbouncer", "instance": "pgbouncer"}]
PGBOUNCER_POOL = [{**PGBOUNCER[0], "database": "auth", "user": "auth"}]
BOUNDS_S = ("0.005", "0.05", "0.5", "5.0", "+Inf")

BESIDES = {
    "db_client_connection_idle_max": POOLS,
    "db_client_connection_create_time_seconds": POOLS,
    "db_client_connection_use_time_seconds_bucket": POOLS,
    "db_client_connection_wait_time_seconds_bucket": POOLS,
    "auth_connection_wait_max_seconds": POOLS,
    "auth_connection_longest_wait_seconds": POOLS,
    "auth_connection_longest_use_seconds": POOLS,
    "auth_connection_cancellations_total": POOLS,
    "auth_connection_refusals_total": POOLS,
    "auth_connection_create_failures_total": POOLS,
    "auth_connections_opening": POOLS,
    "auth_connections_leaked": POOLS,
    "auth_threads_waiting": POOLS,
    "auth_threads_max": POOLS,
    "auth_login_duration_seconds": REPLICAS,
    "auth_connections_not_returned_total": REPLICAS,
    "auth_database_errors_total": [{**each, "reason": "unreachable"} for each in REPLICAS],
    "auth_hashes_pending": REPLICAS,
    "process_cpu_seconds_total": REPLICAS,
    "process_resident_memory_bytes": REPLICAS,
    "gateway_request_duration_seconds": UPSTREAMS,
    "gateway_upstream_weight": [{**each, "backup": "false"} for each in UPSTREAMS],
    "gateway_distinct_clients": GATEWAY,
    "pg_settings_superuser_reserved_connections": POSTGRES,
    "pg_settings_reserved_connections": POSTGRES,
    "pg_stat_activity_lock_waiters": DATABASE,
    "pg_stat_database_numbackends": DATABASE,
    "pg_stat_database_xact_commit": DATABASE,
    "pg_stat_database_xact_rollback": DATABASE,
    "pgbouncer_pools_client_active_connections": PGBOUNCER_POOL,
    "pgbouncer_pools_client_waiting_connections": PGBOUNCER_POOL,
    "pgbouncer_pools_client_maxwait_seconds": PGBOUNCER_POOL,
    "pgbouncer_pools_server_active_connections": PGBOUNCER_POOL,
    "pgbouncer_pools_server_idle_connections": PGBOUNCER_POOL,
    "pgbouncer_pools_server_used_connections": PGBOUNCER_POOL,
    "pgbouncer_config_max_client_connections": PGBOUNCER,
}
"""What the simulation does not show, with the labels of docs/metrics.md."""

SPELT = {
    ("error", "pool_exhausted"): ("failure", "pool_exhausted"),
    ("success", ""): ("success", "ok"),
}
"""How the service spells a login's outcome and reason where the simulation does otherwise."""


def spelt(labels: Labels) -> Labels:
    """A series' labels as the service has them."""
    own = dict(labels)
    if own[NAME] != "auth_logins_total":
        return labels
    outcome, reason = SPELT[own["outcome"], own.get("reason", "")]
    return labels_of({**own, "outcome": outcome, "reason": reason})


def with_the_rest(table: SeriesTable) -> SeriesTable:
    """``table`` with the metrics that a simulated recording lacks: steady gauges and counters."""
    labels = []
    for name, owners in BESIDES.items():
        for owner in owners:
            bare = re.sub(r"_bucket$", "", name)
            if bare != name or f"`{name}` | histogram" in METRICS:
                buckets = [{**owner, NAME: f"{bare}_bucket", "le": bound} for bound in BOUNDS_S]
                labels += [labels_of(each) for each in buckets]
            else:
                labels.append(labels_of({**owner, NAME: name}))
    names = {dict(each)[NAME] for each in labels}
    assert not names & table.names(), "the simulation shows it by now"
    counters = counter_names(names)
    seconds = np.arange(table.grid.count) * table.grid.step_s
    rows = []
    for each in map(dict, labels):
        if each[NAME] not in counters:
            rows.append(np.full_like(seconds, 2.0))
        else:  # of a histogram's buckets each holds more than the one below it
            rows.append(seconds * (1 + (BOUNDS_S.index(each["le"]) if "le" in each else 0)))
    values = np.array(rows)
    return SeriesTable(
        table.grid,
        (*map(spelt, table.labels), *labels),
        np.concatenate([table.values, values]),
        np.concatenate([table.present, np.ones_like(values, dtype=bool)]),
    )


READER = """\
groups:
  - name: reader
    rules:
      - record: alerts:firing:count
        expr: count(ALERTS{alertstate="firing"})
"""
"""The engine keeps alerts as series where a rule reads them."""


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuleEngine]:
    """A simulated incident at its length in a Prometheus, and what our rules made of it."""
    folder = tmp_path_factory.mktemp("grafana")
    reader = folder / "reader.yml"
    reader.write_text(READER)
    rules = load_rules([RULES, reader])
    # A fleet of less than half the size is simulated in less than half the time.
    rates = {"load.phases.baseline.rate": "12/s", "load.phases.surge.rate": "56/s"}
    recording = read_recording(synthetic_recording(folder / "run", pool_size=2, overrides=rates))
    table = with_the_rest(expand(recording).table)
    with RuleEngine([table], gap_s=rules.window_s + LOOKBACK_S) as engine:
        engine.evaluate(rules, interval_s=15)
        yield engine


@pytest.mark.prometheus
@every_panel
def test_a_panel_has_something_to_show(incident: RuleEngine, path: Path, panel: Json) -> None:
    for target in panel["targets"]:
        answer = incident.ask(filled(target["expr"]), 0, step_s=15)
        there = answer.there & np.isfinite(answer.values)
        assert there.any(), target["expr"]
        series = [dict(labels) for labels in answer.labels]
        told = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
        for label in told:
            assert all(label in each for each in series), f"no label {label}"
        # What a legend does not tell apart has one name on the screen.
        assert len({tuple(each[label] for label in told) for each in series}) == len(series)


@pytest.mark.prometheus
@every_dashboard
def test_an_annotation_marks_the_incidents_alerts(incident: RuleEngine, path: Path) -> None:
    ours, others = (filled(each["expr"]) for each in read(path)["annotations"]["list"])
    fired = {dict(labels)["alertname"] for labels in incident.ask(ours, 0, step_s=15).labels}
    assert {"PoolTimeouts", "LoginsFailAtTheEdge"} <= fired
    assert not incident.ask(others, 0, step_s=15).labels
