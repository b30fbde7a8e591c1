"""The rules that we page by: each is tested, has its runbook, and is silenced by no lesser one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from harness.incident import library

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS = ROOT / "dashboards" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
ALERTMANAGER = ROOT / "dashboards" / "alertmanager" / "alertmanager.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
PAGES = sorted(page for page in RUNBOOKS.glob("*.md") if page.name != "README.md")
RUNBOOK_URL = re.compile(r'\{\{ or \$externalLabels\.runbooks "docs/runbooks" \}\}/([a-z-]+)\.md')
LAYERS = {"code", "configuration", "database", "login", "pgbouncer", "pool"}


@cache
def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def rules_of(path: Path) -> list[dict[str, Any]]:
    return [rule for group in read(path)["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for path in RULES for rule in rules_of(path) if "alert" in rule}


def page_of(alert: str) -> Path:
    found = RUNBOOK_URL.fullmatch(ALERTS[alert]["annotations"]["runbook_url"])
    assert found, "the page is relative to wherever the runbooks are published"
    return RUNBOOKS / f"{found[1]}.md"


def promtool(*arguments: str | Path) -> None:
    ended = subprocess.run(
        ["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


# -- rules and their unit tests ----------------------------------------------------------------


@pytest.mark.prometheus
def test_prometheus_accepts_the_rules() -> None:
    promtool("check", "rules", *RULES)


@pytest.mark.prometheus
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_rules_unit_tests_pass(path: Path) -> None:
    promtool("test", "rules", path)


def test_each_file_of_rules_has_its_file_of_unit_tests() -> None:
    assert [path.name for path in UNIT_TESTS] == [path.name for path in RULES]
    for path in UNIT_TESTS:
        assert read(path)["rule_files"] == [f"../rules/{path.name}"]


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_fires_in_one_unit_test_and_is_silent_in_another(alert: str) -> None:
    """What Prometheus calls a test may hold several; a silent one must be of its own series."""
    fires, silent = 0, 0
    for path in UNIT_TESTS:
        for test in read(path)["tests"]:
            expected = [
                case["exp_alerts"]
                for case in test.get("alert_rule_test", ())
                if case["alertname"] == alert
            ]
            fires += any(expected)
            silent += bool(expected) and not any(expected)
    assert fires, "no unit test in which it fires"
    assert silent, "no unit test in which it stays silent"


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_says_how_urgent_it_is_and_of_what_layer(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"page", "warning"}
    assert rule["labels"]["layer"] in LAYERS
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert all(rule["annotations"].values())


# -- runbooks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_leads_to_a_page_that_names_it(alert: str) -> None:
    page = page_of(alert)
    assert f"| `{alert}` |" in page.read_text("utf-8")
    index = (RUNBOOKS / "README.md").read_text("utf-8")
    assert f"| `{alert}` | [{page.stem}]({page.name}) |" in index


def test_every_page_has_an_alert_that_leads_to_it() -> None:
    assert sorted({page_of(alert) for alert in ALERTS}) == PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_was_followed_in_a_drill_of_the_library(page: Path) -> None:
    drills = page.read_text("utf-8").split("## Followed in a drill")[1]
    names = set(re.findall(r"^\| \[([a-z0-9-]+)\]\(\.\./incidents/\1\.md\)", drills, re.MULTILINE))
    assert names
    assert names <= set(library())
    for name in names:
        assert f"pooldrill run {name} --seed 1\n" in drills


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_figures_of_drills_stand_on_the_incidents_own_pages(page: Path) -> None:
    """They are written anew from time to time; then the runbook must follow."""
    text = page.read_text("utf-8")
    told = {name: incident_page(name) for name in re.findall(r"\.\./incidents/([a-z0-9-]+)", text)}
    for row in re.findall(r"^\| \[([a-z0-9-]+)\]\(\.\./incidents/\1\.md\) \|(.*)\|$", text, re.M):
        for figure in [cell.strip() for cell in row[1].split("|")][1:]:
            assert not figure[:1].isdigit() or figure in told[row[0]], f"{row[0]}: no {figure}"
    for figure in re.findall(r"\d[\d.]*–[\d.]*\d", text):
        assert any(figure in each for each in told.values()), f"no page has {figure}"


def incident_page(name: str) -> str:
    return (ROOT / "docs" / "incidents" / f"{name}.md").read_text("utf-8")


def queries(page: Path) -> Iterator[str]:
    """The PromQL of a page: a query begins at its block's margin and ends with a line that does."""
    blocks = re.findall(r"^( *)```promql\n(.*?)^\1```", page.read_text("utf-8"), re.DOTALL | re.M)
    for _, block in blocks:
        lines = [line for line in dedent(block).splitlines() if not line.startswith("#")]
        yield from re.split(r"\n(?![\s)])", "\n".join(lines))


@pytest.mark.prometheus
def test_queries_on_the_pages_can_be_asked(tmp_path: Path) -> None:
    asked = [query for page in PAGES for query in queries(page)]
    assert len(asked) > len(PAGES)
    rules = [{"record": f"query:{number}", "expr": expr} for number, expr in enumerate(asked)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", file)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_metrics_in_queries_are_those_that_there_are(page: Path) -> None:
    known = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    recorded = {rule.get("record") for path in RULES for rule in rules_of(path)}
    for query in queries(page):
        for name in re.findall(r"\b(?:auth|db_client|gateway|pg|pgbouncer)_[a-z_]+\b", query):
            assert re.sub(r"_(bucket|sum|count)$", "", name) in known, name
        for name in re.findall(r"\b[a-z]+:[a-z_]+:[a-z0-9_]+\b", query):
            assert name in recorded, name


# -- Alertmanager ------------------------------------------------------------------------------


def test_alertmanager_routes_lead_to_receivers() -> None:
    config = read(ALERTMANAGER)
    receivers = {receiver["name"] for receiver in config["receivers"]}
    routes = config["route"]["routes"]
    assert {config["route"]["receiver"], *(route["receiver"] for route in routes)} == receivers


def test_a_page_goes_to_the_pager_and_later_to_the_escalation() -> None:
    routes = read(ALERTMANAGER)["route"]["routes"]
    pages = [route for route in routes if route["matchers"] == ['severity="page"']]
    assert [route["receiver"] for route in pages] == ["pager", "pager-escalation"]
    assert pages[0]["continue"]


def inhibitions() -> Iterator[tuple[set[str], set[str]]]:
    """Which alerts silence which, as sets of names."""
    for rule in read(ALERTMANAGER)["inhibit_rules"]:
        sides = []
        for side in ("source_matchers", "target_matchers"):
            (matcher,) = rule[side]
            sides.append(set(re.sub(r"^alertname=~?|\"", "", matcher).split("|")))
        yield sides[0], sides[1]


def test_inhibitions_name_alerts_that_there_are() -> None:
    for sources, targets in inhibitions():
        assert sources | targets <= ALERTS.keys()
        assert not sources & targets


def test_a_page_about_users_is_silenced_by_another_one_only() -> None:
    for sources, targets in inhibitions():
        layers = {ALERTS[source]["labels"]["layer"] for source in sources}
        assert "configuration" not in layers
        if any(ALERTS[target]["labels"]["layer"] == "login" for target in targets):
            assert layers == {"login"}
