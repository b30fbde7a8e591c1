"""Prometheus and Alertmanager: rules at the lines of their expressions, and how soon they speak."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import alertmanager, prometheus_config, prometheus_rules
from harness.audit.sources import SourceFile
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

ROOT = Path(__file__).parents[4] / "dashboards"
RULES = """\
groups:
  - name: pool
    interval: 15s
    rules:
      - record: pool:used:ratio
        expr: sum(used) / sum(most)
      - alert: Waiting
        expr: |
          max(pending) > 3
        for: 1m30s
  - name: other
    rules:
      - alert: Timeouts
        expr: rate(timeouts_total[1m]) > 0
"""


def test_rules_stand_at_their_expressions() -> None:
    found = read(prometheus_rules, "rules.yml", RULES)
    waiting, timeouts = found.alerts
    assert (waiting.name, waiting.place.line, waiting.for_s.known) == ("Waiting", 8, 90)
    assert waiting.expression.strip() == "max(pending) > 3"
    assert (waiting.interval_s.known, timeouts.interval_s.known) == (15, None)
    assert (timeouts.for_s.known, timeouts.for_s.origin) == (0, "default")
    (recording,) = found.recordings
    assert (recording.name, recording.place.line) == ("pool:used:ratio", 6)


def test_the_operators_object_is_one_as_well() -> None:
    indented = "".join(f"  {line}\n" for line in RULES.splitlines())
    text = f"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec:\n{indented}"
    found = read(prometheus_rules, "rule.yaml", text)
    assert [alert.name for alert in found.alerts] == ["Waiting", "Timeouts"]
    other = text.replace("PrometheusRule", "ConfigMap")
    assert not prometheus_rules.recognises(source("rule.yaml", other))


def test_what_is_not_promql_is_unread() -> None:
    text = RULES.replace("max(pending) > 3", f"max({SECRET} > ")
    found = read(prometheus_rules, "rules.yml", text)
    (unread,) = found.unread
    assert (unread.line, "not PromQL" in unread.why) == (8, True)
    assert SECRET not in texts(found)


@pytest.mark.parametrize("said", ["soon", "1.5m", "{{ .Values.wait }}"])
def test_no_duration_is_unknown(said: str) -> None:
    found = read(prometheus_rules, "rules.yml", RULES.replace("1m30s", f'"{said}"'))
    assert not found.alerts[0].for_s.is_known


def test_our_own_rules_are_understood() -> None:
    names = []
    for path in sorted((ROOT / "prometheus" / "rules").glob("*.yml")):
        file = SourceFile(path, path.name, path.read_text("utf-8"))
        assert prometheus_rules.recognises(file)
        found = prometheus_rules.load(file)
        assert found.unread == ()
        names += [alert.name for alert in found.alerts]
    assert {"PoolPending", "PoolTimeouts", "PoolsExceedTheServer"} <= set(names)


def test_the_shortest_scrape_is_how_soon_an_alert_can_come() -> None:
    text = (
        "global:\n  scrape_interval: 30s\n  evaluation_interval: 20s\nscrape_configs:\n"
        "  - job_name: slow\n    scrape_interval: 5m\n  - job_name: app\n"
    )
    (watch,) = read(prometheus_config, "prometheus.yml", text).watches
    assert (watch.scrape_s.known, watch.evaluation_s.known) == (30, 20)
    assert not watch.group_wait_s.is_known
    quick = text + "    scrape_interval: 5s\n"
    (watch,) = read(prometheus_config, "prometheus.yml", quick).watches
    assert watch.scrape_s.known == 5
    assert watch.scrape_s.place is not None
    assert watch.scrape_s.place.line == 8


def test_prometheuss_defaults_hold() -> None:
    (watch,) = read(prometheus_config, "prometheus.yml", "scrape_configs: []\n").watches
    assert (watch.scrape_s.known, watch.evaluation_s.known) == (60, 60)
    assert watch.scrape_s.origin == "default"


ROUTES = """\
route:
  receiver: all
  group_wait: 2m
  routes:
    - receiver: page
      group_wait: 10s
    - receiver: later
      routes: [{receiver: ticket}]
receivers: [{name: all}]
"""


def test_the_shortest_group_wait_holds() -> None:
    (watch,) = read(alertmanager, "alertmanager.yml", ROUTES).watches
    assert watch.group_wait_s.known == 10
    assert watch.group_wait_s.place is not None
    assert watch.group_wait_s.place.line == 6
    (watch,) = read(alertmanager, "a.yml", "route: {receiver: a}\nreceivers: []\n").watches
    assert (watch.group_wait_s.known, watch.group_wait_s.origin) == (30, "default")


def test_our_own_alertmanager_and_prometheus_are_understood() -> None:
    path = ROOT / "alertmanager" / "alertmanager.yml"
    (watch,) = read(alertmanager, path.name, path.read_text("utf-8")).watches
    assert watch.group_wait_s.known == 30
    path = ROOT / "prometheus" / "prometheus.yml"
    (watch,) = read(prometheus_config, path.name, path.read_text("utf-8")).watches
    assert (watch.scrape_s.known, watch.evaluation_s.known) == (1, 5)


@pytest.mark.parametrize(
    ("loader", "text"),
    [
        (prometheus_rules, "groups: &g [*g]\nrules: expr\n - alert: x\n"),
        (prometheus_config, "scrape_configs: [\n"),
        (prometheus_config, "scrape_configs: []\n---\nscrape_configs: []\n"),
        (alertmanager, "route: [\nreceivers:\n"),
        (alertmanager, "route: yes\nreceivers: []\n"),
    ],
)
def test_half_a_file_is_unread(loader: object, text: str) -> None:
    assert isinstance(loader, type(prometheus_rules))
    (unread,) = read(loader, "broken.yml", text).unread
    assert unread.why


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ci.yml", "on: push\njobs:\n  test:\n    rules: []\n"),
        ("openapi.yaml", "openapi: 3.0.0\npaths: {}\n"),
        ("routes.yml", "route:\n  path: /\n"),
        ("rules.md", RULES),
    ],
)
def test_other_files_are_not_recognised(name: str, text: str) -> None:
    for loader in (prometheus_rules, prometheus_config, alertmanager):
        assert not loader.recognises(source(name, text))


def test_no_secret_is_repeated() -> None:
    rules = RULES.replace("1m30s", SECRET).replace("15s", SECRET)
    config = (
        f"global:\n  scrape_interval: {SECRET}\n"
        f"scrape_configs:\n - basic_auth: {{password: {SECRET}}}\n"
    )
    routes = ROUTES.replace("2m", SECRET) + f"global: {{smtp_auth_password: {SECRET}}}\n"
    assert SECRET not in texts(read(prometheus_rules, "r.yml", rules))
    assert SECRET not in texts(read(prometheus_config, "p.yml", config))
    assert SECRET not in texts(read(alertmanager, "a.yml", routes))


@given(st.text(max_size=150))
def test_no_text_makes_them_fall(text: str) -> None:
    prometheus_rules.load(source("r.yml", f"groups:\n - rules:\n   - {{alert: a, expr: {text}}}"))
    prometheus_config.load(source("p.yml", f"global: {text}"))
    alertmanager.load(source("a.yml", f"route: {text}\nreceivers: []"))
    for loader in (prometheus_rules, prometheus_config, alertmanager):
        loader.load(source("x.yml", text))
