"""The HTML report: whole, self-contained, escaped, honest about what is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from harness.recording import Recording, TimelineEvent
from harness.report import figure, render_html
from harness.report.story import tell
from harness.verdicts import Check, Verdict, judge

Run = tuple[Recording, Verdict]

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def page_text(html: str) -> str:
    """The page without the packed script, which is base64."""
    return re.sub(r'(<script type="text/plain" id="plotly">).*?(</script>)', r"\1\2", html)


def figure_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="figure">(.*?)</script>', html)
    assert found is not None
    value: dict[str, Any] = json.loads(found[1])
    return value


def texts(drawn: dict[str, Any]) -> str:
    return "\n".join(note["text"] for note in drawn["layout"]["annotations"])


@pytest.mark.parametrize("name", ["passed", "failed", "unmeasured", "partial"])
def test_everything_is_on_the_page_and_nothing_is_fetched(
    name: str, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(name)
    html = render_html(*run)
    page = page_text(html)
    assert len(html) < 3_000_000
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "url(" not in page
    assert "@import" not in page
    for check in run[1].checks:
        assert f"<code>{check.id}</code>" in page
    for heading in ("The run", "Clocks", "Checks", "Capacity", "Configuration", "Run it again"):
        assert f">{heading}</h2>" in page
    assert str(run[0].directory.parent) not in page


def test_the_same_recording_gives_the_same_bytes(passed: Run) -> None:
    assert render_html(*passed) == render_html(*passed)


def test_whatever_a_recording_holds_is_text(passed: Run) -> None:
    recording, verdict = passed
    check = Check(id=EVIL, outcome="fail", expected=EVIL, measured=EVIL, why=EVIL)
    poisoned = replace(
        recording,
        incident=recording.incident.model_copy(update={"title": EVIL, "summary": EVIL}),
        info=replace(recording.info, status="partial", why=EVIL, end_s=60.0),
        environment={EVIL: EVIL},
        events=(
            *recording.events,
            TimelineEvent(40.0, "note", EVIL, "at", {"says": EVIL, "by": EVIL}),
            TimelineEvent(41.0, "action", EVIL, "begin", {"replica": EVIL}),
            TimelineEvent(41.0, "lifecycle", "part-died", "at", {"part": EVIL, "why": EVIL}),
        ),
    )
    html = render_html(poisoned, verdict.model_copy(update={"checks": (check,)}))
    assert "<script>alert" not in html
    assert "<img" not in page_text(html)
    # Plotly reads a little HTML in its texts: there, too, it must arrive as text.
    drawn = json.dumps(figure_of(html))
    assert "<img" not in drawn
    assert "&lt;/script&gt;" in drawn


def test_missing_data_is_said_in_its_panel(unmeasured: Run, passed: Run) -> None:
    drawn = figure_of(render_html(*unmeasured))
    assert texts(drawn).count("not measured") == 4
    assert "not measured" not in texts(figure_of(render_html(*passed)))
    names = {trace.get("name") for trace in drawn["data"]}
    assert not names & {"replica-1", "limit", "active"}


def test_what_was_not_played_is_shaded(partial: Run) -> None:
    drawn = figure_of(render_html(*partial))
    labels = [shape.get("label", {}).get("text", "") for shape in drawn["layout"]["shapes"]]
    assert "not played: stopped by SIGTERM" in labels


def test_plateaus_carry_their_factor_and_a_full_length_run_has_none(passed: Run) -> None:
    recording, verdict = passed
    assert "<b>×" in texts(figure.build(tell(recording, verdict)))
    full = replace(recording, info=replace(recording.info, source="full-length"))
    drawn = figure.build(tell(full, verdict))
    assert "<b>×" not in texts(drawn)
    assert "Nothing was shortened." in render_html(full, verdict)


def test_the_clock_below_the_axis_is_the_documents(passed: Run) -> None:
    axis = figure.build(tell(*passed))["layout"]["xaxis"]
    assert axis["ticktext"][0] == "<b>08:50</b>"
    assert {"<b>09:00</b>", "<b>09:30</b>", "<b>11:00</b>", "<b>11:40</b>"} <= set(axis["ticktext"])
    assert axis["tickvals"] == sorted(axis["tickvals"])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The system's browser; `tests/conftest.py` says what happens where there is none."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "scheme"), [("passed", "light"), ("passed", "dark"), ("unmeasured", "light")]
)
def test_it_opens_offline_and_draws(
    name: str, scheme: str, chromium: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(name)
    file = tmp_path / "report.html"
    file.write_text(render_html(*run), "utf-8")
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asking: asked.append(asking.url))
    try:
        page.goto(file.as_uri())
        page.wait_for_selector("#run[data-ready]", timeout=30_000)
        drawn = page.evaluate(
            """() => ({
                traces: document.getElementById("run").data.length,
                shown: document.querySelectorAll("#run .scatterlayer .trace").length,
                width: document.documentElement.scrollWidth,
                ground: getComputedStyle(document.body).backgroundColor,
                ink: document.getElementById("run").layout.font.color,
            })"""
        )
    finally:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [file.as_uri()]
    assert drawn["traces"] == len(figure_of(file.read_text("utf-8"))["data"])
    assert drawn["shown"] > 5
    assert drawn["width"] <= 1280
    assert drawn["ground"] == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 23, 31)")
    assert drawn["ink"] == ("#1b2430" if scheme == "light" else "#e6eaf0")


@pytest.mark.browser
def test_its_texts_do_not_overlap(chromium: Any, passed: Run, tmp_path: Path) -> None:
    """Labels of the figure and of the clock strip, at the narrowest width that is promised."""
    file = tmp_path / "report.html"
    file.write_text(render_html(*passed), "utf-8")
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    try:
        page.goto(file.as_uri())
        page.wait_for_selector("#run[data-ready]", timeout=30_000)
        overlaps = page.evaluate(
            """() => {
                const found = [];
                for (const scope of ["#run", ".strip"]) {
                    const texts = [...document.querySelectorAll(
                        scope + " .annotation-text, " + scope + ".strip text, "
                        + scope + " .xtick text")].filter((text) => text.textContent.trim());
                    const boxes = texts.map((text) => text.getBoundingClientRect());
                    for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) {
                        const [a, b] = [boxes[i], boxes[j]];
                        if (a.left < b.right - 1 && b.left < a.right - 1
                            && a.top < b.bottom - 2 && b.top < a.bottom - 2)
                            found.push(texts[i].textContent + " / " + texts[j].textContent);
                    }
                }
                return found;
            }"""
        )
    finally:
        page.close()
    assert overlaps == []


def test_the_pools_limit_is_drawn_before_during_and_after_a_replacement(passed: Run) -> None:
    """A retiring process is there for seconds only; it must not hide the limit of all others."""
    traces = figure_of(render_html(*passed))["data"]
    limit = next(trace for trace in traces if trace.get("name") == "limit")
    seen = [value for value in limit["y"] if value is not None]
    assert len(seen) > 0.9 * len(limit["y"])
    assert (seen[0], seen[-1]) == (10, 40)


def test_a_pool_without_a_limit_is_drawn_without_one(passed: Run) -> None:
    recording, _ = passed
    limit = pl.col("metric") == "db_client_connection_max"
    unlimited = recording.samples.with_columns(
        value=pl.when(limit).then(float("inf")).otherwise(pl.col("value"))
    )
    run = replace(recording, samples=unlimited)
    drawn = figure_of(render_html(run, judge(run)))["data"]
    seen = [trace["y"] for trace in drawn if trace.get("name") == "limit"]
    assert all(value is None for values in seen for value in values)
