"""`pooldrill document`: which runs may stand on a page, and what is written of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness import document as documenting
from harness.document import JUDGED, Sources, differences, document, index, read_figures, rewrite
from harness.errors import PooldrillError, UsageError
from harness.incident import dump_incident, library, load_incident, read_incident
from harness.report.page import render_page
from harness.verdicts.counterfactual import Matrix
from harness.whatif import WhatIf, planned
from tests.harness.report.pages import figures, matrix, row
from tests.recordings import UNDERSIZED_YAML, synthetic_recording

SHORT = {"load.client.patience": "15s", "load.phases[0].plateau": "4s", "replay.plateau": "5s"}
"""A third less to simulate; nothing that is tested here depends on it."""


@dataclass(frozen=True)
class Runs:
    """A definition's file, runs of it with two seeds, and one without its defect."""

    definition: Path
    first: Path
    second: Path
    without_defect: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    incident = read_incident(UNDERSIZED_YAML, file="incident.yaml", overrides=SHORT)
    definition = folder / "undersized-pool.yaml"
    definition.write_text(dump_incident(incident), "utf-8")
    yaml = definition.read_text("utf-8")
    return Runs(
        definition,
        synthetic_recording(folder / "first", yaml=yaml),
        synthetic_recording(folder / "second", yaml=yaml, seed=2),
        synthetic_recording(folder / "without", yaml=yaml, pool_size=20),
    )


@pytest.fixture
def sources(runs: Runs, tmp_path: Path) -> Sources:
    """What a page can be written from."""
    return Sources(
        str(runs.definition),
        (runs.first,),
        without_defect=runs.without_defect,
        out=tmp_path / "pages",
    )


def refusal(sources: Sources) -> str:
    with pytest.raises(UsageError) as refused:
        document(sources)
    assert not sources.out.exists()
    return refused.value.message


def tried(sources: Sources, folder: Path, *names: str, **overrides: str) -> Path:
    """The folder of counterfactuals, as `pooldrill whatif` leaves it, without its recordings."""
    incident = load_incident(sources.incident, overrides)
    rows = planned(WhatIf(incident, sources.incident, overrides=overrides))
    for one in rows:
        if one.name in names:
            (folder / one.name).mkdir(parents=True)
            (folder / one.name / "incident.yaml").write_text(dump_incident(one.incident), "utf-8")
    found = matrix(*(row(name, directory=str(folder / name)) for name in names))
    path = folder / "whatif.json"
    path.write_text(json.dumps(found.model_dump(mode="json")), "utf-8")
    return path


@pytest.fixture
def no_runs(sources: Sources) -> Sources:
    """Nothing to be judged: it is refused, with whatever else is wrong."""
    return replace(sources, runs=(), without_defect=None)


def test_it_writes_the_page_and_the_figures_that_are_on_it(sources: Sources, runs: Runs) -> None:
    written = document(replace(sources, runs=(runs.second, runs.first)))
    names = ["undersized-pool.json", "undersized-pool.md", "README.md"]
    assert written == tuple(sources.out / name for name in names)
    found = read_figures(sources.out, "undersized-pool")
    assert [run.seed for run in found.runs] == [1, 2]
    assert found.without_defect is not None
    assert "reproduction.users_affected" in found.without_defect.failed
    page = (sources.out / "undersized-pool.md").read_text("utf-8")
    assert page == render_page(load_incident(sources.incident), found)


def test_the_same_runs_give_the_same_bytes(sources: Sources, tmp_path: Path) -> None:
    here, there = document(sources), document(replace(sources, out=tmp_path / "other"))
    assert [path.read_bytes() for path in here] == [path.read_bytes() for path in there]


def test_a_page_is_written_again_from_its_figures_alone(sources: Sources, runs: Runs) -> None:
    written = document(sources)
    before = [path.read_bytes() for path in written]
    (sources.out / "undersized-pool.md").write_text("stale", "utf-8")
    assert set(rewrite(str(runs.definition), sources.out)) == set(written[1:])
    assert [path.read_bytes() for path in written] == before


def test_the_matrix_stands_on_the_page(sources: Sources, tmp_path: Path) -> None:
    path = tried(sources, tmp_path / "whatif", "nothing", "set-pool", "without-defect")
    document(replace(sources, whatif=path))
    found = read_figures(sources.out, "undersized-pool").matrix
    assert found is not None
    assert [one.name for one in found.rows] == ["nothing", "set-pool", "without-defect"]
    assert str(tmp_path) not in (sources.out / "undersized-pool.json").read_text("utf-8")
    assert "## Under other actions" in (sources.out / "undersized-pool.md").read_text("utf-8")


def changed(runs: Runs, tmp_path: Path, old: str, new: str) -> str:
    """The definition as it might be later."""
    text = runs.definition.read_text("utf-8")
    assert text.count(old) == 1
    path = tmp_path / "later.yaml"
    path.write_text(text.replace(old, new), "utf-8")
    return str(path)


def test_a_run_of_a_definition_that_has_changed_is_refused(
    sources: Sources, runs: Runs, tmp_path: Path
) -> None:
    later = changed(runs, tmp_path, "pool_timeouts_at_least: 100", "pool_timeouts_at_least: 90")
    said = refusal(replace(sources, incident=later))
    for directory in (runs.first, runs.without_defect):
        assert f"{directory}: the definition differs now: expect.pool_timeouts_at_least" in said
    assert "is 100, now 90" in said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("users: 20000", "users: 300"),
        ("title: Logins fail", "title: No login succeeds"),
        ("says: Database connectivity suspected", "says: The database is suspected"),
    ],
    ids=["raised by the run", "words", "words of an event"],
)
def test_what_a_run_does_not_play_may_differ(
    old: str, new: str, sources: Sources, runs: Runs, tmp_path: Path
) -> None:
    document(replace(sources, incident=changed(runs, tmp_path, old, new)))


def test_an_overridden_run_is_refused(sources: Sources, runs: Runs) -> None:
    said = refusal(replace(sources, runs=(runs.first, runs.without_defect)))
    assert f"{runs.without_defect}: the definition differs now: service.pool.size is 20" in said
    assert f"{runs.without_defect}: it did not pass" in said


def test_a_run_with_the_defect_is_none_without_it(sources: Sources, runs: Runs) -> None:
    said = refusal(replace(sources, without_defect=runs.first))
    assert f"{runs.first}: the definition differs now: service.pool.size is 5, now 20" in said
    assert f"{runs.first}: without the defect a run must fail, its outcome is pass" in said


def copy_of(run: Path, to: Path) -> Path:
    return Path(shutil.copytree(run, to))


def partial(run: Path) -> None:
    path = run / "run.json"
    info = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(info | {"status": "partial", "why": "stopped"}), "utf-8")


def foreign(run: Path) -> None:
    path = run / "incident.yaml"
    text = path.read_text("utf-8").replace("name: undersized-pool", "name: other-pool")
    path.write_text(text, "utf-8")


def damaged(run: Path) -> None:
    (run / "samples.parquet").unlink()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (partial, "it did not pass, its outcome is invalid (reproduction.users_affected, "),
        (foreign, "a run of other-pool"),
        (damaged, "samples.parquet: missing"),
    ],
)
def test_a_run_that_cannot_be_published_is_refused(
    damage: Callable[[Path], None], why: str, sources: Sources, runs: Runs, tmp_path: Path
) -> None:
    run = copy_of(runs.first, tmp_path / "run")
    damage(run)
    said = refusal(replace(sources, runs=(run, runs.second)))
    assert why in said
    assert str(run) in said
    assert str(runs.second) not in said


def test_an_untrustworthy_run_without_the_defect_is_refused(
    sources: Sources, runs: Runs, tmp_path: Path
) -> None:
    """It failed, but perhaps because nobody was watching."""
    run = copy_of(runs.without_defect, tmp_path / "run")
    (run / "environment.json").write_text('{"prometheus": "2.42"}', "utf-8")
    said = refusal(replace(sources, without_defect=run))
    assert f"{run}: it cannot be trusted (recording.prometheus_agrees)" in said


def test_two_runs_of_one_seed_are_refused(sources: Sources, runs: Runs) -> None:
    said = refusal(replace(sources, runs=(runs.first, runs.first)))
    assert f"{runs.first}: seed 1 is that of {runs.first} too" in said


def test_everything_that_is_wrong_is_said_at_once(no_runs: Sources, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    said = refusal(replace(no_runs, without_defect=nowhere, whatif=nowhere))
    assert "no run was given" in said
    assert f"{nowhere}: no such run directory" in said
    assert f"{nowhere}: cannot be read" in said


def test_an_incident_needs_its_run_without_the_defect(no_runs: Sources) -> None:
    assert "--without-defect" in refusal(no_runs)


def test_a_benign_control_has_no_run_without_the_defect(sources: Sources) -> None:
    said = refusal(replace(sources, incident="batch-job"))
    assert "a benign control has no defect" in said


def test_a_matrix_of_another_definition_is_refused(no_runs: Sources, tmp_path: Path) -> None:
    path = tried(no_runs, tmp_path / "whatif", "nothing", **{"service.pool.timeout": "1s"})
    said = refusal(replace(no_runs, whatif=path))
    assert (
        f"{path}: nothing: the definition differs now: service.pool.timeout is 1s, now 3s" in said
    )


def written(found: Matrix, folder: Path) -> Path:
    path = folder / "whatif.json"
    path.write_text(json.dumps(found.model_dump(mode="json")), "utf-8")
    return path


def test_a_foreign_matrix_is_refused(no_runs: Sources, tmp_path: Path) -> None:
    other = matrix(row("nothing")).model_copy(update={"incident": "retry-storm"})
    assert "a matrix of retry-storm" in refusal(replace(no_runs, whatif=written(other, tmp_path)))
    unknown = matrix(row("pray"), row("restart"))
    said = refusal(replace(no_runs, whatif=written(unknown, tmp_path)))
    assert "pray is no row of the incident; there are: nothing, set-pool," in said
    assert "restart: its definition" in said
    (tmp_path / "whatif.json").write_text("{}", "utf-8")
    assert "no matrix of" in refusal(replace(no_runs, whatif=tmp_path / "whatif.json"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no figures can be read"),
        ("{", "does not hold figures"),
        ('{"schema": 2}', "does not hold figures"),
        (figures().model_copy(update={"incident": "retry-storm"}).to_json(), "of retry-storm"),
    ],
)
def test_figures_that_cannot_be_taken_are_refused(
    content: str | None, why: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "undersized-pool.json").write_text(content, "utf-8")
    with pytest.raises(UsageError, match=why) as refused:
        rewrite("undersized-pool", tmp_path)
    assert "pooldrill document undersized-pool" in refused.value.remedy


def test_there_is_nothing_to_write_again_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no figures of any incident"):
        rewrite(None, tmp_path)


def test_a_folder_that_cannot_be_written_is_said(sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "pages").write_text("in the way", "utf-8")
    with pytest.raises(PooldrillError, match="cannot be written"):
        document(sources)


def test_the_index_lists_the_pages_that_are_there(tmp_path: Path) -> None:
    for name in ("outgrown-pool", "retry-storm"):
        found = figures().model_copy(update={"incident": name})
        (tmp_path / f"{name}.json").write_text(found.to_json(), "utf-8")
    rewrite(None, tmp_path)
    text = (tmp_path / documenting.INDEX).read_text("utf-8")
    assert text == index(tmp_path)
    assert text.count("| 30.0 % |") == 2
    assert {path.stem for path in tmp_path.glob("*.md")} == {
        "README",
        "outgrown-pool",
        "retry-storm",
    }


@pytest.mark.parametrize("name", library())
def test_a_definition_that_was_written_and_read_does_not_differ(name: str) -> None:
    """Else no run could ever be documented."""
    incident = load_incident(name)
    again = read_incident(dump_incident(incident), file="incident.yaml")
    assert differences(again, incident, JUDGED) == ""


def pooldrill(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "document", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_writes_and_says_where(sources: Sources, runs: Runs) -> None:
    ended = pooldrill(
        runs.definition,
        runs.first,
        runs.second,
        "--without-defect",
        runs.without_defect,
        "--out",
        sources.out,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == [
        str(sources.out / name)
        for name in ("undersized-pool.json", "undersized-pool.md", "README.md")
    ]
    again = pooldrill(runs.definition, "--from-figures", "--out", sources.out, "--json")
    assert json.loads(again.stdout)["README.md"] == str(sources.out / "README.md")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "which incident is to be documented?"),
        (("undersized-pool", "run", "--from-figures"), "--from-figures takes no runs"),
        (("undersised-pool", "run"), "Did you mean undersized-pool?"),
    ],
)
def test_words_that_cannot_be_carried_out_are_refused(arguments: tuple[str, ...], why: str) -> None:
    ended = pooldrill(*arguments)
    assert ended.returncode == 2
    assert why in " ".join(ended.stderr.split())


def test_the_command_has_an_example_to_copy() -> None:
    assert "Example: pooldrill document" in pooldrill("--help").stdout
