"""The report as one HTML file: it opens offline, on any machine, for as long as there are browsers.

Plotly's script is inside, compressed, and unpacked by the browser: a third of its plain size.
Everything that comes from a recording is escaped, and the page's own policy forbids it the network.
"""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.measurements.model import Quantiles
from harness.recording import BUCKETS, Recording
from harness.report import figure, words
from harness.report.alert_story import alert_story
from harness.report.comparison import comparisons
from harness.report.marks import KIND_STYLES
from harness.report.setup import configuration, environment_rows, reproduce_commands
from harness.report.story import (
    OUTCOME_WORDS,
    SOURCES,
    Story,
    clock_rows,
    key_figures,
    lead,
    measured_words,
    outcome_sentence,
    tell,
)
from harness.report.strip import clock_strip
from harness.report.timeline import event_rows
from harness.verdicts import Verdict

GLYPHS = {"pass": "✓", "fail": "✗", "invalid": "?"}


def render_html(recording: Recording, verdict: Verdict) -> str:
    """The whole page. The same recording and verdict always give the same text."""
    story = tell(recording, verdict)
    drawn = figure.build(story)
    template = _environment().get_template("report.html.j2")
    return template.render(
        _page(story),
        css=_asset("report.css"),
        script=_asset("report.js"),
        plotly=_plotly(),
        figure_json=_json_in_html(drawn),
        figure_alternative=figure.alternative(story),
        figure_height=round(drawn["layout"]["height"]),
        strip=Markup(clock_strip(story)),  # noqa: S704 - built of escaped parts only
    )


def _page(story: Story) -> dict[str, object]:
    """What the template speaks of."""
    recording, verdict, incident = story.recording, story.verdict, story.incident
    knots = story.timemap.knots
    return {
        "incident": incident,
        "info": recording.info,
        "verdict": verdict,
        "run_name": recording.directory.name,
        "outcome_word": OUTCOME_WORDS[verdict.outcome],
        "glyph": GLYPHS,
        "source_words": SOURCES[recording.info.source],
        "length_s": story.length_s,
        "shortened": any(knot.weight > 1 for knot in knots),
        "sentence": outcome_sentence(story),
        "lead": lead(story),
        "key_figures": key_figures(story),
        "clocks": clock_rows(story),
        "zone": words.zone(incident),
        "comparisons": comparisons(story),
        "alerts": alert_story(story),
        "events": event_rows(story),
        "colours": {kind: style[0] for kind, style in KIND_STYLES.items()},
        "buckets": [(name, getattr(verdict.arrivals, name)) for name in ("scheduled", *BUCKETS)],
        "latencies": _latencies(verdict),
        "configuration": configuration(story),
        "environment": environment_rows(story),
        "commands": reproduce_commands(story),
        "not_measured": words.NOT_MEASURED,
        "duration": words.duration,
        "number": words.number,
        "rate": words.rate,
        "seconds": words.seconds,
        "measured": measured_words,
        "at": lambda at_s: "" if at_s is None else words.clock(incident, at_s),
    } | _capacity(story)


def _latencies(verdict: Verdict) -> tuple[tuple[str, Quantiles], ...]:
    latency = verdict.latency_s
    return (
        ("from the intended instant, retries included", latency.from_intended),
        ("from the send of the successful attempt", latency.from_send),
    )


def _capacity(story: Story) -> dict[str, object]:
    """Demand against capacity: *ρ = demand / capacity*, *loss = 1 - 1/ρ* for ρ > 1."""
    capacity, surge = story.verdict.capacity, story.incident.surge
    measured, predicted = capacity.measured_per_s, capacity.predicted_per_s
    error = ""
    if measured and predicted:
        error = f"{(measured / predicted - 1) * 100:+.1f} % of the prediction"
    demand = None if surge is None else surge.rate_per_s
    over = measured is not None and demand is not None and demand > measured > 0
    return {
        "capacity_error": error,
        "demand": demand,
        "overload": f"{demand / measured:.2f}" if over and demand and measured else "",
        "expected_loss": words.percent(1 - measured / demand) if demand and measured else "",
    }


def _json_in_html(value: object) -> Markup:
    """JSON that cannot end the script element in which it stands."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped just above


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _asset(name: str) -> Markup:
    """A file of ours that stands in the page as it is."""
    text = resources.files("harness.report").joinpath("templates", name).read_text("utf-8")
    return Markup(text)  # noqa: S704 - part of this program


@cache
def _plotly() -> Markup:
    """plotly.js, compressed, in base64. Its time stamp is 0: the same bytes each time."""
    script = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    packed = base64.b64encode(gzip.compress(script, compresslevel=9, mtime=0))
    return Markup(packed.decode("ascii"))  # noqa: S704 - base64 has nothing to escape
