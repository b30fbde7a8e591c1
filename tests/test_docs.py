"""What the documentation says is so."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from harness import errors
from harness.alerts.rules import load_rules
from harness.document import INDEX, index, read_figures
from harness.incident import Incident, library, load_incident
from harness.recording import TABLES, Recording, RunInfo, TimelineEvent
from harness.report.figures import Figures
from harness.report.page import render_page
from harness.report.scorecard import place_in_page, score_markdown
from harness.verdicts import judge

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
)
INCIDENTS = ROOT / "docs" / "incidents"
QUICK = {"list", "show", "schema", "doctor"}
"""Commands whose examples are run here; `run` is run by the slow tests."""


def all_errors() -> list[type[errors.PooldrillError]]:
    found = [errors.PooldrillError]
    for one in found:
        found += one.__subclasses__()
    return found


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.code)
def test_every_error_code_stands_in_the_docs_with_its_exit_code(
    error: type[errors.PooldrillError],
) -> None:
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    assert re.search(rf"^\| {error.code} \| {int(error.exit_code)} \|", page, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def commands() -> list[tuple[str, str]]:
    """Every `pooldrill …` line in a shell block of the docs, with its page."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = line.removeprefix("$ ").strip().removeprefix(".venv/bin/")
                if words.startswith("pooldrill "):
                    found.append((page.name, words))
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_in_the_docs_are_understood(page: str, line: str) -> None:
    """Quick ones run; of the others, every option they use is in the command's help."""
    words = shlex.split(line, comments=True)[1:]
    words = words[: words.index(">")] if ">" in words else words
    python = [sys.executable, "-m", "harness"]
    if words[0] in QUICK:
        ended = subprocess.run([*python, *words], cwd=ROOT, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return
    command = " ".join(words[: 2 if words[0] == "alerts" else 1])
    shown = help_of(command)
    assert shown, f"{page}: no command {command}"
    for option in (word for word in words[1:] if word.startswith("--")):
        assert option in shown, f"{page}: {line}"


@cache
def help_of(command: str) -> str:
    """What ``--help`` says of a command; empty where there is none."""
    shown = subprocess.run(
        [sys.executable, "-m", "harness", *command.split(), "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "TERM": "dumb"},
    )
    return shown.stdout if shown.returncode == 0 else ""


def test_every_metric_of_the_service_and_the_gateway_stands_in_the_reference() -> None:
    """Names are read from the code that makes them, so that a new one cannot be forgotten."""
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    made = set()
    for path in (ROOT / "auth_service").rglob("*.py"):
        text = path.read_text("utf-8")
        made |= set(re.findall(r'"((?:auth|gateway|db_client)_[a-z_]+)"', text))
    for path in (ROOT / "harness" / "recorder").rglob("*.py"):
        made |= set(re.findall(r'"(pg_[a-z_]+)"', path.read_text("utf-8")))
    names = made - {"gateway_timeout"}  # a problem's code
    assert len(names) > 20
    missing = sorted(name for name in names if name not in page)
    assert missing == []


def test_every_make_target_in_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"`?make ([a-z-]+)`", page.read_text("utf-8")):
            assert target in targets, f"{page.name} speaks of make {target}"


def test_every_incident_is_on_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in library():
        assert name in readme


# -- the incidents' pages ----------------------------------------------------------------------


def page_of(name: str) -> str:
    path = INCIDENTS / f"{name}.md"
    assert path.exists(), f"no docs/incidents/{name}.md: `pooldrill document {name} RUN…` writes it"
    return path.read_text("utf-8")


def figures_of(name: str) -> Figures:
    """Raises an error with its remedy where there are none."""
    return read_figures(INCIDENTS, name)


@pytest.mark.parametrize("name", library())
def test_every_incident_has_a_page_that_nobody_has_edited(name: str) -> None:
    """The page is what its definition and its figures give: no figure on it is typed by hand."""
    page = page_of(name)
    assert page == render_page(load_incident(name), figures_of(name)), (
        f"docs/incidents/{name}.md is not what its figures give: "
        f"`pooldrill document {name} --from-figures` writes it again"
    )


@pytest.mark.parametrize("name", library())
def test_the_figures_of_a_page_are_those_that_its_definition_asks_for(name: str) -> None:
    """A check that was added or dropped since the runs makes the page stale."""
    incident, figures = load_incident(name), figures_of(name)
    recorded = any(versions.prometheus for versions in figures.versions)
    for run in figures.runs:
        ids = [check.id for check in run.checks]
        assert sorted(ids) == sorted(checks_of(incident, prometheus=recorded)), f"seed {run.seed}"


@pytest.mark.parametrize("name", library())
def test_the_runs_of_a_page_passed_and_the_one_without_the_defect_did_not(name: str) -> None:
    figures = figures_of(name)
    assert {run.outcome for run in figures.runs} == {"pass"}
    assert {check.outcome for run in figures.runs for check in run.checks} == {"pass"}
    without = figures.without_defect
    if load_incident(name).kind == "benign":
        assert without is None
        return
    assert without is not None, f"{name} was not run without its defect"
    assert without.outcome == "fail"
    assert without.failed


def test_the_index_of_the_incidents_is_what_their_figures_give() -> None:
    path = INCIDENTS / INDEX
    assert path.exists(), "no docs/incidents/README.md: `pooldrill document` writes it"
    assert path.read_text("utf-8") == index(INCIDENTS)


def test_no_page_is_left_of_an_incident_that_is_gone() -> None:
    found = {path.stem for path in INCIDENTS.glob("*") if path.name != INDEX}
    assert found <= set(library())


def checks_of(incident: Incident, *, prometheus: bool) -> list[str]:
    """The ids of the checks that a run of ``incident`` is judged by.

    They are those of a run in which nothing was measured but every decoy was played.
    """
    decoys = tuple(
        TimelineEvent(0.0, "decoy", event.do, state)
        for event in incident.timeline
        if event.kind == "decoy"
        for state in ("begin", "end")
    )
    tables = {name: pl.DataFrame(schema=schema) for name, schema in TABLES.items()}
    recording = Recording(
        directory=Path(),
        info=RunInfo(incident.name, seed=1, status="complete"),
        incident=incident,
        events=decoys,
        environment={"prometheus": "2"} if prometheus else {},
        **tables,
    )
    return [check.id for check in judge(recording).checks]


GUIDE = ROOT / "docs" / "guides" / "alert-design.md"


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("ours", ROOT / "dashboards" / "prometheus" / "rules"),
        ("shapes", ROOT / "docs" / "guides" / "alert-shapes.yml"),
    ],
)
def test_the_scores_of_the_guide_are_those_of_the_rules_as_they_are(name: str, rules: Path) -> None:
    """A rule that was changed has no score until it is scored again."""
    data = json.loads(GUIDE.with_suffix(f".{name}.json").read_text("utf-8"))
    page = GUIDE.read_text("utf-8")
    assert place_in_page(page, name, score_markdown(data)) == page, "the page was edited by hand"
    scored = {rule["alert"]: (rule["expr"], rule["for_s"]) for rule in data["rules"]}
    assert scored == {rule.alert: (rule.expr, rule.for_s) for rule in load_rules([rules]).alerts}


SCALE = ROOT / "docs" / "guides" / "production-scale.md"


@pytest.mark.parametrize(
    "line", [line for page, line in commands() if page == SCALE.name and "--into" in line]
)
def test_the_tables_of_the_scale_guide_are_what_its_commands_write(
    line: str, tmp_path: Path
) -> None:
    """Each command is run on a copy of the page, and must find its table there as it makes it."""
    copied = tmp_path / SCALE.name
    copied.write_bytes(SCALE.read_bytes())
    words = shlex.split(line)[1:]
    place = words.index("--into") + 1
    page, _, name = words[place].partition("#")
    assert ROOT / page == SCALE
    words[place] = f"{copied}#{name}"
    ended = subprocess.run(
        [sys.executable, "-m", "harness", *words], capture_output=True, text=True, check=False
    )
    assert ended.returncode in (0, 1), ended.stderr
    assert copied.read_text("utf-8") == SCALE.read_text("utf-8"), f"run: {line}"


def test_every_table_of_the_scale_guide_has_its_command() -> None:
    page = SCALE.read_text("utf-8")
    tables = re.findall(r"<!-- fleets: (\S+) -->", page)
    written = re.findall(r"--into docs/guides/production-scale\.md#(\S+)", page)
    assert tables == written == ["overload", "growth", "fan-in"]


def test_the_guide_stands_on_every_incident_and_control_under_three_seeds() -> None:
    data = json.loads(GUIDE.with_suffix(".ours.json").read_text("utf-8"))
    recordings = Counter(each["incident"] for each in data["recordings"])
    assert recordings == dict.fromkeys(library(), 3)
    assert {each["source"] for each in data["recordings"]} == {"replay"}
    assert [requirement["met"] for requirement in data["requirements"]] == [True, True]
