"""An incident's page: what stands on it comes from the definition and from the figures."""

from __future__ import annotations

import re

import pytest

from harness.errors import UsageError
from harness.incident import load_incident
from harness.report import over_seeds
from harness.report.figures import Versions
from harness.report.markdown import code, line
from harness.report.page import render_index, render_page
from tests.harness.report.pages import asking, check, figures, incident, matrix, row, run


def section(page: str, heading: str) -> str:
    """What stands below a heading of the second level."""
    assert f"\n## {heading}\n" in page
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def headings(page: str) -> list[str]:
    return re.findall(r"^## (.+)$", page, re.MULTILINE)


def test_it_says_what_the_document_says_what_was_wrong_and_what_was_measured() -> None:
    page = render_page(incident(), figures(matrix=matrix(row("nothing"))))
    assert page.startswith("# undersized-pool: Logins fail for 30 % of users")
    assert headings(page) == [
        "What the document says",
        "What really was wrong",
        "What was measured",
        "Without the defect",
        "Under other actions",
        "Run it",
    ]
    said = section(page, "What the document says")
    assert "- **Duration:** 2 h 30 min, May 7, 2024\n" in said
    assert "| 11:30 | Authentication service restored to full functionality |" in said
    wrong = section(page, "What really was wrong")
    assert "Taken away by `--set load.phases.surge.rate=30/s`." in wrong
    assert "- **Sustaining loop:** none." in wrong
    assert "\n- The network is healthy;" in wrong


def test_a_catalogue_entry_says_where_it_was_seen() -> None:
    seen = load_incident("retry-storm")
    page = render_page(seen, figures().model_copy(update={"incident": seen.name}))
    assert headings(page)[0] == "Where it was seen"
    assert f"- {seen.seen_in[0].title} ({seen.seen_in[0].where})\n" in page


def test_a_benign_control_has_nothing_to_take_away() -> None:
    benign = load_incident("batch-job")
    page = render_page(benign, figures(without_defect=None))
    assert headings(page) == ["What really was wrong", "What was measured", "Run it"]
    assert "Nothing. This is a benign control" in page
    assert "--without defect" not in page


def test_each_check_is_one_row_over_all_seeds() -> None:
    """Numbers go from the least to the most, and a run that failed shows in the count."""
    failed = check("load.start_lag", 0.2, "p99 <= 0.1 s").model_copy(update={"outcome": "fail"})
    page = render_page(
        incident(),
        figures(
            run(1, check("load.arrivals_conserved", 5056, "5056 in one bucket"), failed),
            run(2, check("load.arrivals_conserved", 4990, "4990 in one bucket")),
            run(3, check("load.arrivals_conserved", 12, "12 in one bucket")),
        ),
    )
    measured = section(page, "What was measured")
    assert "3 runs (seeds 1, 2, 3), replayed in 120 s each." in measured
    assert (
        "| `load.arrivals_conserved` | 12–5056 in one bucket | 12–5\u202f056 | 3 of 3 |" in measured
    )
    assert "| `load.start_lag` | p99 ≤ 0.1 s | 0.2 | 0 of 1 |" in measured


def test_shares_and_clocks_go_from_the_least_to_the_most() -> None:
    runs = (
        run(1, affected=0.2951, surge_start=600, recovered=9000),
        run(2, affected=0.31, surge_start=600),
    )
    measured = section(render_page(incident(), figures(*runs)), "What was measured")
    assert "could not log in: 29.5–31.0 %." in measured
    assert "| Surge starts | 09:00:00 |" in measured
    assert "| Recovered: the SLO holds to the end | 11:20:00, in 1 of 2 runs |" in measured
    assert "| First pool timeout | did not happen |" in measured


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.5, 0.25], "0.25–0.5"),
        ([1.0, 1.0], "1"),
        ([-0.0741, 0.002], "-0.0741 to 0.002"),
        ([7640.0, 12345.6], "7\u202f640–12\u202f346"),
        (["complete", "complete"], "complete"),
        (["none", "breach at 3 s"], "none, breach at 3 s"),
        ([0.5, None], "0.5, not measured"),
    ],
)
def test_what_several_seeds_measured_fits_one_cell(
    values: list[float | str | None], words: str
) -> None:
    assert over_seeds.measured(values) == words


def test_expectations_of_different_wording_stand_side_by_side() -> None:
    assert over_seeds.expected(["no pool metrics", "7 pool timeouts"]) == (
        "no pool metrics, 7 pool timeouts"
    )


def test_the_run_without_the_defect_names_the_setting_and_the_checks_that_failed() -> None:
    told = section(render_page(incident(), figures()), "Without the defect")
    assert "`--set service.pool.size=20`" in told
    assert "did not reproduce" in told
    assert "`reproduction.pool_timeouts`" in told


def test_each_row_of_the_matrix_says_what_was_done() -> None:
    rows = (
        row(
            "nothing",
            "not",
            says="nobody does anything",
            minutes=None,
            saved_minutes=None,
            survives=False,
        ),
        row("set-pool", affected=0.1),
        row("restart", "invalid", why="a | b"),
    )
    told = section(render_page(incident(), figures(matrix=matrix(*rows))), "Under other actions")
    assert "at 09:37:30 unless" in told
    lines = [one for one in told.splitlines() if one.startswith("| `")]
    assert lines == [
        "| `set-pool` | size 20 | recovers fully | 1.5 | 111 | 10.0 % | yes |",
        "| `nothing` | nobody does anything | does not recover | – | – | 25.0 % | no |",
        r"| `restart` | – | invalid |  |  |  | a \| b |",
    ]


def test_open_questions_are_answered_with_figures_of_the_matrix() -> None:
    asked = asking(
        "{set-pool.affected}, {set-pool.minutes} min, {set-pool.saved} saved, {set-pool.outcome}; "
        "{nothing.survives}, {{x}}"
    )
    tried = matrix(row("set-pool"), row("nothing", "not", survives=False))
    told = section(render_page(asked, figures(matrix=tried)), "What the document leaves open")
    assert r"### Would a \*restart\* have helped?" in told
    assert "25.0 %, 1.5 min, 111 saved, recovers fully; no, {x}" in told


@pytest.mark.parametrize(
    ("placeholder", "why"),
    [
        ("{scale-out.affected}", "no row of the matrix has it"),
        ("{set-pool.users}", "no row of the matrix has it"),
        ("{set-pool}", "no row of the matrix has it"),
        ("{nothing.minutes}", "not measured (the row came to: does not recover)"),
        ("{shed.affected}", "not measured (the row came to: invalid)"),
        ("{shed.outcome}", "not measured (the row came to: invalid)"),
    ],
)
def test_a_placeholder_without_a_figure_is_refused_by_name(placeholder: str, why: str) -> None:
    tried = matrix(row("set-pool"), row("nothing", "not", minutes=None), row("shed", "invalid"))
    with pytest.raises(UsageError) as refused:
        render_page(asking(f"So: {placeholder}"), figures(matrix=tried))
    assert f"{placeholder}: {why}" in refused.value.message
    assert "set-pool, nothing, shed" in refused.value.remedy


def test_every_placeholder_without_a_figure_is_named_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        render_page(asking("{a.affected} {b.affected}"), figures(matrix=matrix(row("nothing"))))
    assert "{a.affected}" in refused.value.message
    assert "{b.affected}" in refused.value.message


def test_open_questions_without_counterfactuals_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no counterfactuals.*Would a \*restart\*"):
        render_page(asking("No."), figures())


def test_the_commands_are_those_that_made_the_figures() -> None:
    alone = section(render_page(incident(), figures()), "Run it")
    assert "pooldrill run undersized-pool --seed 1 " in alone
    assert "pooldrill run undersized-pool --without defect " in alone
    assert "whatif" not in alone
    tried = render_page(incident(), figures(matrix=matrix(row("nothing"))))
    assert "pooldrill whatif undersized-pool --all " in section(tried, "Run it")


def test_its_end_says_how_it_was_written() -> None:
    versions = (Versions(platform="Linux", postgres="18.4"), Versions(python="3.11", cpu_count=1))
    end = render_page(incident(), figures(run(1), run(4), versions=versions)).rpartition("---")[2]
    assert "`pooldrill document` from 2 runs (seeds 1, 4; replay on real parts) and" in end
    assert "one run without the defect, on Linux, PostgreSQL 18.4; or on" in end
    assert "an unnamed platform, 1 CPU, Python 3.11." in end


def test_text_of_a_definition_means_only_itself() -> None:
    nasty = incident(summary="1. a | b\n\n# <b>T</b> `x` ~~y~~ &amp; {z}", title="*t*")
    page = render_page(nasty, figures())
    assert page.startswith(r"# undersized-pool: \*t\*" + "\n\n" + r"1\. a \| b # \<b>T\</b> ")
    assert r"\`x\` \~\~y\~\~ \&amp; {z}" in page


@pytest.mark.parametrize(
    ("value", "markdown"),
    [
        ("- a", r"\- a"),
        ("12) a", r"12\) a"),
        ("## a", r"#\# a"),
        ("> a", r"\> a"),
        ("_a_ b_c", r"\_a\_ b_c"),
        ("a < b <c", r"a < b \<c"),
        ("-5 to 3", "-5 to 3"),
        ("10:45 to x", "10:45 to x"),
        (" 1\u202f000 \n a", "1\u202f000 a"),
    ],
)
def test_a_line_begins_nothing_and_means_only_itself(value: str, markdown: str) -> None:
    assert line(value) == markdown


def test_code_holds_backticks() -> None:
    assert code("a `b`") == "`` a `b` ``"


def test_the_index_lists_every_page_under_its_family() -> None:
    names = ["retry-storm", "undersized-pool", "batch-job"]
    pages = {name: (load_incident(name), figures(run(1), run(2, affected=0.5))) for name in names}
    text = render_index(pages)
    assert re.findall(r"^\| \[([a-z-]+)\]\(\1\.md\)", text, re.MULTILINE) == [
        "undersized-pool",
        "retry-storm",
        "batch-job",
    ]
    assert len(headings(text)) == 3
    assert "| 30.0–50.0 % | 120 s |" in text
