"""Every incident and benign control on real parts: with its defect it reproduces, without it not.

The runs go two at a time, which is what two cores carry; each test waits for its own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ExitCode
from harness.incident import library, load_incident
from tests.harness.run.small import ROOT
from tests.untrusted import TRIES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]

AT_ONCE = 2
RUN_TIMEOUT_S = 300.0

LIBRARY = {name: load_incident(name) for name in library()}


def named(kind: str) -> list[Any]:
    """The incidents of that kind, each with the marker of the program that it needs."""
    return [
        pytest.param(name, marks=[pytest.mark.pgbouncer] if incident.pgbouncer else [])
        for name, incident in sorted(LIBRARY.items())
        if incident.kind == kind
    ]


INCIDENTS, BENIGN = named("incident"), named("benign")

AS_IT_IS: tuple[str, ...] = ()
WITHOUT_DEFECT = ("--without", "defect")
STARVED = ("--set", "service.pool.size=1")
"""What a benign control may not survive, or its checks could not fail."""


@dataclass(frozen=True)
class Ended:
    """A run that has ended: exit code, verdict, and what it said besides."""

    code: int
    verdict: dict[str, Any]
    said: str
    out: Path

    @property
    def not_passed(self) -> list[str]:
        checks = self.verdict["checks"]
        return [
            f"{c['id']} {c['outcome']}: {c['measured']}, expected {c['expected']} {c['why']}"
            for c in checks
            if c["outcome"] != "pass"
        ]


def replay(incident: str, options: tuple[str, ...], out: Path) -> Ended:
    """``pooldrill run`` of ``incident``, as a user calls it."""
    argv = [sys.executable, "-m", "harness", "run", incident, "--out", str(out), "--json", *options]
    ended = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
    )
    try:
        verdict = json.loads(ended.stdout)
    except ValueError:
        verdict = {}
    if "checks" not in verdict:
        verdict = {"checks": [], "outcome": "none"}
    return Ended(ended.returncode, verdict, ended.stderr, out)


def trusted(incident: str, options: tuple[str, ...], out: Path) -> Ended:
    """A replay, and another where it is *invalid*; the last try counts, whatever it is."""
    for number in range(1, TRIES + 1):
        ended = replay(incident, options, out / str(number))
        if ended.code != ExitCode.INVALID:
            break
    return ended


Replayed = Callable[[str, tuple[str, ...]], Ended]


def asked_for(item: pytest.Function) -> list[tuple[str, tuple[str, ...]]]:
    """The runs that a test asks for: the one of its parameters, or the whole library."""
    if not hasattr(item, "callspec"):
        return [(name, AS_IT_IS) for name in sorted(LIBRARY)]
    return [(item.callspec.params["name"], item.callspec.params["options"])]


@pytest.fixture(scope="module")
def replayed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replayed]:
    """Every run that the chosen tests of this module ask for, begun at once, two at a time."""
    out = tmp_path_factory.mktemp("runs")
    chosen = dict.fromkeys(
        each
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and "replayed" in item.fixturenames
        for each in asked_for(item)
    )
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs: dict[tuple[str, tuple[str, ...]], Future[Ended]] = {
            (name, options): pool.submit(trusted, name, options, out / f"{name}-{number}")
            for number, (name, options) in enumerate(chosen)
        }
        yield lambda name, options: runs[name, options].result()


@pytest.mark.parametrize("name", [*INCIDENTS, *BENIGN])
@pytest.mark.parametrize("options", [AS_IT_IS], ids=["as-it-is"])
def test_it_happens_as_its_definition_says(
    name: str, options: tuple[str, ...], replayed: Replayed
) -> None:
    run = replayed(name, options)
    assert (run.code, run.not_passed) == (0, []), run.said


@pytest.mark.parametrize("name", INCIDENTS)
@pytest.mark.parametrize("options", [WITHOUT_DEFECT], ids=["without-defect"])
def test_without_its_defect_it_does_not_reproduce(
    name: str, options: tuple[str, ...], replayed: Replayed
) -> None:
    run = replayed(name, options)
    assert run.code == 1, (run.not_passed, run.said)
    assert "did not reproduce" in " ".join(run.not_passed)


@pytest.mark.parametrize("name", BENIGN)
@pytest.mark.parametrize("options", [STARVED], ids=["starved"])
def test_a_benign_control_that_is_starved_harms_users_and_says_so(
    name: str, options: tuple[str, ...], replayed: Replayed
) -> None:
    run = replayed(name, options)
    assert run.code == 1, (run.not_passed, run.said)
    failed = " ".join(run.not_passed)
    assert "reproduction.users_affected fail" in failed or "benign.slo_holds fail" in failed


@pytest.mark.prometheus
@pytest.mark.pgbouncer
def test_our_rules_page_for_every_incident_and_for_no_control(replayed: Replayed) -> None:
    """On these very runs; the guide has their scores over several seeds."""
    folders = [replayed(name, AS_IT_IS).out for name in sorted(LIBRARY)]
    argv = [sys.executable, "-m", "harness", "alerts", "score", "dashboards/prometheus/rules"]
    argv += [part for folder in folders for part in ("--recordings", str(folder))]
    argv += ["--require", "recall(all) >= 1", "--require", "silent on benign", "--json"]
    argv += ["--require", "lead(PoolBusy, outgrown-pool) >= 60s"]
    argv += ["--require", "lead(PoolShrunk, flash-sale-deploy) >= 60s"]
    ended = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr
    data = json.loads(ended.stdout)
    assert len(data["recordings"]) == len(LIBRARY)
    assert [each["met"] for each in data["requirements"]] == [True] * 4
    assert {rule["alert"]: rule["why"] for rule in data["rules"] if rule["status"] != "ok"} == {}


def incident_of_the_docs() -> str:
    """The definition that CONTRIBUTING.md shows."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    return str(block)


@pytest.mark.parametrize(
    ("options", "code"), [(AS_IT_IS, 0), (WITHOUT_DEFECT, 1)], ids=["as-it-is", "without-defect"]
)
def test_an_incident_is_one_yaml_file_and_no_python(
    options: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    """The one in CONTRIBUTING.md, copied from the page, runs, reproduces, and does not without."""
    path = tmp_path / "lunch-break.yaml"
    path.write_text(incident_of_the_docs(), "utf-8")
    run = trusted(str(path), options, tmp_path / "runs")
    assert run.code == code, (run.not_passed, run.said)
