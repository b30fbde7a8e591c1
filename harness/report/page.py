"""docs/incidents/NAME.md: what an incident was, what was wrong in it, what its runs measured.

Pure, like every format: the same definition and the same figures are always the same bytes. Lines
are as long as their paragraph; whoever shows the page wraps them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from harness.incident import Incident, as_yaml
from harness.incident.models import Cause, Postmortem
from harness.incident.variants import rows
from harness.report import over_seeds, words
from harness.report.actions_taken import row_words
from harness.report.answers import answers
from harness.report.figures import CheckFigure, Figures, Versions
from harness.report.markdown import bullets, code, line, table
from harness.report.matrix import HEADINGS, cells
from harness.report.story import CLOCK_WORDS, SOURCES
from harness.verdicts.counterfactual import Matrix, RowResult, order

CAUSES = {"trigger": "Trigger", "loop": "Sustaining loop", "defect": "Capacity defect"}


def render_page(incident: Incident, figures: Figures) -> str:
    """The page of ``incident`` as Markdown.

    Raises UsageError when an open question has no answer in the figures' matrix.
    """
    sections = (
        (f"# {incident.name}: {line(incident.title)}", line(incident.summary)),
        _document(incident.postmortem),
        _seen_in(incident),
        _truth(incident),
        _measured(incident, figures),
        _without_defect(incident, figures),
        _counterfactuals(incident, figures.matrix),
        _open_questions(incident, figures.matrix),
        _commands(incident, figures),
        ("---", _provenance(figures)),
    )
    return "\n\n".join(part for section in sections for part in section) + "\n"


def render_index(pages: Mapping[str, tuple[Incident, Figures]]) -> str:
    """The index of ``pages``, by family; the keys are the pages' names."""
    families = {
        "postmortem": "Outages that a document tells",
        "catalogue": "Other ways in which a pool dies",
        "benign": "Benign controls: busy, healthy, and not to be mistaken for an outage",
    }
    parts = [
        "# The incidents",
        "Each page says what was wrong and what the replays of it measured. `pooldrill document` "
        "writes them; shares and seconds go from the least to the most over the seeds that were "
        "run.",
    ]
    for family, heading in families.items():
        listed = [
            (f"[{name}]({name}.md)", line(incident.title), *_index_figures(figures))
            for name, (incident, figures) in sorted(pages.items())
            if incident.family == family
        ]
        if listed:
            parts += [
                f"## {heading}",
                table(("incident", "what happens", "users affected", "replay"), listed),
            ]
    return "\n\n".join(parts) + "\n"


def _index_figures(figures: Figures) -> tuple[str, str]:
    return over_seeds.percent([run.users_affected for run in figures.runs]), _replay(figures)


def _replay(figures: Figures) -> str:
    return f"{over_seeds.measured([round(run.replay_s) for run in figures.runs])} s"


# -- what is said ------------------------------------------------------------------------------


def _document(said: Postmortem | None) -> Iterator[str]:
    if said is None:
        return
    yield "## What the document says"
    yield f"*{line(said.document)}*: {line(said.title)}."
    hours = [said.begins and f"from {said.begins}", said.ends and f"to {said.ends}"]
    when = " ".join(filter(None, hours))
    lasted = (words.duration(said.duration_s), said.date, when)
    facts = [
        ("Duration", ", ".join(filter(None, lasted))),
        ("Users affected", f"{said.users_affected * 100:.0f} %"),
        ("Impact", said.impact),
        ("Root cause", said.root_cause),
        ("Resolution", said.resolution),
    ]
    yield bullets(f"**{name}:** {line(fact)}" for name, fact in facts)
    yield from _listed("Symptoms", said.symptoms)
    yield from _listed("Theories", said.theories)
    yield from _listed("Escalations", said.escalations)
    if said.timeline:
        yield "### Its timeline"
        entries = [(line(entry.time), line(entry.says)) for entry in said.timeline]
        yield table(("time", "what the document says"), entries)
    yield from _listed("Measures", said.measures)


def _listed(heading: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield f"### {heading}"
        yield bullets(map(line, items))


def _seen_in(incident: Incident) -> Iterator[str]:
    if incident.seen_in:
        yield "## Where it was seen"
        yield bullets(f"{line(seen.title)} ({line(seen.where)})" for seen in incident.seen_in)


def _truth(incident: Incident) -> Iterator[str]:
    yield "## What really was wrong"
    truth = incident.truth
    if truth is None:
        yield (
            "Nothing. This is a benign control: whatever looks alarming in it harms nobody, and a "
            "rule or a responder that takes it for an outage is mistaken."
        )
        return
    yield bullets(_cause(name, truth.causes.get(name)) for name in CAUSES)
    yield from _listed("What ends it", truth.accepted_fixes)
    yield from _listed("What misleads", truth.traps)


def _cause(name: str, cause: Cause | None) -> str:
    if cause is None:
        return f"**{CAUSES[name]}:** none."
    said = f"**{CAUSES[name]}:** {line(cause.says)}"
    if not cause.without:
        return f"{said} It cannot be taken away by itself."
    return f"{said} Taken away by {_overrides(cause)}."


def _overrides(cause: Cause) -> str:
    settings = [f"{key}={as_yaml(value)}" for key, value in cause.without.items()]
    return code(" ".join(f"--set {shlex.quote(setting)}" for setting in settings))


# -- what was measured -------------------------------------------------------------------------


def _measured(incident: Incident, figures: Figures) -> Iterator[str]:
    yield "## What was measured"
    affected = over_seeds.percent([run.users_affected for run in figures.runs])
    each = " each" if len(figures.runs) > 1 else ""
    yield (
        f"{words.plural(len(figures.runs), 'run')} ({_seeds(figures)}), replayed in "
        f"{_replay(figures)}{each}. Users who could not log in: {affected}."
    )
    claims = {f"measured.{claim.id}": claim.says for claim in incident.expect.measured}
    yield table(
        ("check", "expected", "measured", "passed"),
        [_check_row(id_, found, claims.get(id_, "")) for id_, found in _checks(figures).items()],
    )
    over = ", from the earliest to the latest over the seeds" if each else ""
    yield f"When it happened, on the incident's own clock ({words.zone(incident)}){over}:"
    clocks = [
        (label, over_seeds.clock(incident, [getattr(run.clocks_s, key) for run in figures.runs]))
        for key, label in CLOCK_WORDS.items()
    ]
    yield table(("clock", "when"), clocks)


def _checks(figures: Figures) -> dict[str, list[CheckFigure]]:
    """Each check over the runs that have it, in the order of its first appearance."""
    found: dict[str, list[CheckFigure]] = {}
    for run in figures.runs:
        for check in run.checks:
            found.setdefault(check.id, []).append(check)
    return found


def _check_row(check_id: str, found: list[CheckFigure], says: str) -> tuple[str, ...]:
    passed = sum(check.outcome == "pass" for check in found)
    return (
        f"{code(check_id)}: {line(says)}" if says else code(check_id),
        line(over_seeds.expected([check.expected for check in found])),
        line(over_seeds.measured([check.measured for check in found])),
        f"{passed} of {len(found)}",
    )


def _without_defect(incident: Incident, figures: Figures) -> Iterator[str]:
    tried, truth = figures.without_defect, incident.truth
    if tried is None or truth is None:
        return
    yield "## Without the defect"
    did = "did not reproduce" if tried.outcome == "fail" else f"was judged {tried.outcome}"
    failed = ", ".join(map(code, tried.failed)) or "none"
    yield (
        f"The same load and the same timeline, with {_overrides(truth.capacity_defect)}: the "
        f"incident {did}. Checks that failed: {failed}."
    )


def _counterfactuals(incident: Incident, matrix: Matrix | None) -> Iterator[str]:
    if matrix is None:
        return
    yield "## Under other actions"
    yield (
        f"Each row is a run of its own with seed {matrix.seed}, in which nobody does anything but "
        f"this, at {words.clock(incident, matrix.at_s)} unless it says otherwise. The outage is "
        "followed by a calm stretch and a second surge."
    )
    done = {row.name: row_words(incident, row, matrix.at_s) for row in rows(incident)}

    def shown(row: RowResult) -> tuple[str, ...]:
        name, *rest = map(line, cells(row))
        told = ": ".join(filter(None, (done.get(row.name, ""), row.says)))
        return code(name), line(told) or "–", *rest

    yield table((HEADINGS[0], "what was done", *HEADINGS[1:]), map(shown, order(matrix)))


def _open_questions(incident: Incident, matrix: Matrix | None) -> Iterator[str]:
    found = answers(incident, matrix)
    if found:
        yield "## What the document leaves open"
    for asks, answer in found:
        yield f"### {line(asks)}"
        yield line(answer)


# -- how it came about -------------------------------------------------------------------------


def _commands(incident: Incident, figures: Figures) -> Iterator[str]:
    yield "## Run it"
    name = incident.name
    told = {f"pooldrill run {name} --seed 1": "as it happened"}
    if incident.truth is not None:
        told[f"pooldrill run {name} --without defect"] = "must not reproduce"
    if figures.matrix is not None:
        told[f"pooldrill whatif {name} --all"] = "under other actions"
    width = max(map(len, told))
    lines = "\n".join(f"{command:{width}}  # {what}" for command, what in told.items())
    yield f"```sh\n{lines}\n```"


def _provenance(figures: Figures) -> str:
    runs = figures.runs
    sources = "; ".join(dict.fromkeys(SOURCES[run.source].partition(":")[0] for run in runs))
    parts = [f"{words.plural(len(runs), 'run')} ({_seeds(figures)}; {sources})"]
    if figures.without_defect is not None:
        parts.append("one run without the defect")
    if figures.matrix is not None:
        parts.append(f"{words.plural(len(figures.matrix.rows), 'run')} under other actions")
    *most, last = parts
    told = f"{', '.join(most)} and {last}" if most else last
    on = "; or on ".join(_version_words(versions) for versions in figures.versions)
    return (
        f"*Written by `pooldrill document` from {line(told)}, on {line(on)}. No figure is typed by "
        "hand; change the definition or run it again, then write the page anew.*"
    )


def _seeds(figures: Figures) -> str:
    seeds = [str(run.seed) for run in figures.runs]
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}"


def _version_words(versions: Versions) -> str:
    cpus = versions.cpu_count
    named = (
        ("Python", versions.python),
        ("PostgreSQL", versions.postgres),
        ("PgBouncer", versions.pgbouncer),
        ("Prometheus", versions.prometheus),
    )
    parts = [
        versions.platform or "an unnamed platform",
        "" if cpus is None else words.plural(cpus, "CPU"),
        *(f"{name} {version}" for name, version in named if version),
    ]
    return ", ".join(filter(None, parts))
