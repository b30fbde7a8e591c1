"""What will break, found in the files: audit."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.audit import Audit, Severity, audit_files, live
from harness.audit.sources import Selection
from harness.cli.application import Json, app
from harness.cli.audit_fixes import fix_them
from harness.cli.audit_job import Job, declared, preferences_of, save_baseline
from harness.cli.audit_output import Format, explain_rule, show
from harness.cli.audit_proof import prove_it
from harness.errors import ExitCode, UsageError, printable

LOAD, COUNTS, OUTPUT = "The load", "What counts", "Output"
MENDING, PROVING = "Fixes", "Proof"
"""The help's panels."""


class FailOn(StrEnum):
    """From which severity on the exit code is 1."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@app.command(epilog="Example: pooldrill audit . --peak 300/s --hold 45ms")
def audit(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH…", help="Files and folders of configuration."),
    ] = None,
    dsn: Annotated[
        str | None,
        typer.Option(
            metavar="DSN",
            help="Also a database that runs, or PgBouncer's console: read-only, one connection. "
            f"Better in {live.DSN}, which no process list shows.",
        ),
    ] = None,
    peak: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="The logins to survive: 300/s.", rich_help_panel=LOAD),
    ] = None,
    hold: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="For how long one holds a connection: 45ms.", rich_help_panel=LOAD
        ),
    ] = None,
    slo: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Within what a request must be answered: 500ms.",
            rich_help_panel=LOAD,
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="How findings are shown.", rich_help_panel=OUTPUT)
    ] = Format.TEXT,
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write them there, and text to the terminal.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="Of the text, the findings alone.", rich_help_panel=OUTPUT
        ),
    ] = False,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(
            help="Exit 1 for findings that are at least so grave. Default: warning.",
            rich_help_panel=COUNTS,
        ),
    ] = None,
    diff: Annotated[
        str | None,
        typer.Option(
            metavar="BASE",
            help="Only what is new since this git revision: main.",
            rich_help_panel=COUNTS,
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Leave out what is in this baseline.", rich_help_panel=COUNTS
        ),
    ] = None,
    write_baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what is found as a baseline, and exit 0.",
            rich_help_panel=COUNTS,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Preferences, instead of .pooldrill-audit.toml.",
            rich_help_panel=COUNTS,
        ),
    ] = None,
    include_tests: Annotated[
        bool,
        typer.Option(
            "--include-tests",
            help="Also folders such as tests/ and fixtures/.",
            rich_help_panel=COUNTS,
        ),
    ] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Make the safe fixes: the diff first, then a question.",
            rich_help_panel=MENDING,
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="With --fix: do not ask.", rich_help_panel=MENDING)
    ] = False,
    rule: Annotated[
        str | None,
        typer.Option(
            "--prove",
            metavar="RULE",
            help="Play the rule's incident with exactly the audited values, and remedied.",
            rich_help_panel=PROVING,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="With --prove: the arrivals' seed.", rich_help_panel=PROVING)
    ] = 1,
    runs: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="With --prove: folder of the runs.", rich_help_panel=PROVING
        ),
    ] = Path("runs"),
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            is_eager=True,
            callback=explain_rule,
            help="Nothing else: a rule's reason, source and fix, such as PD103.",
        ),
    ] = None,
    as_json_: Json = False,
) -> None:
    """Join configuration files into one chain, and say what will break, where and why.

    Exit code 0: nothing so grave; 1: findings; 2: bad input, or nothing that could be audited.
    With --prove, 0: the harm was shown; 1: it was not; 3: the measurement cannot be trusted.
    """
    del explain  # its callback has answered
    if as_json_ and form not in (Format.TEXT, Format.JSON):
        raise UsageError(f"--json and --format {form} exclude each other", remedy="Choose one.")
    form = Format.JSON if as_json_ else form
    _fit_together(diff, baseline, write_baseline, fix=fix, yes=yes, form=form, out_file=out_file)
    if rule is not None and (fix or write_baseline is not None or out_file is not None):
        raise UsageError("--prove plays one finding, and does nothing else")
    paths = paths or []
    address = live.dsn_of(dsn)
    if not paths and address is None:
        raise UsageError("what is to be audited?", remedy="Name files, folders, or a --dsn.")
    said = preferences_of(paths, config)
    job = Job(
        paths=paths,
        declared=declared(peak, hold, slo, said),
        selection=Selection(
            include_tests=include_tests or bool(said.include_tests), excludes=said.excludes
        ),
        preferences=said,
        diff=diff,
        baseline=baseline,
        running=() if address is None else (live.read(address),),
    )
    severity: Severity = fail_on.value if fail_on is not None else said.fail_on or "warning"
    found = audit_files(paths, job.declared, job.selection, live=job.running)
    _something(found)
    review = job.review(found)
    if rule is not None:
        raise typer.Exit(prove_it(rule.upper(), review, seed=seed, runs=runs, form=form))
    if write_baseline is not None:
        save_baseline(review, write_baseline)
        raise typer.Exit
    if fix:
        fixed = fix_them(review, job, yes=yes)
        if fixed is not None:
            review = job.review(fixed)
            show(review, Format.TEXT, None, severity, quiet=quiet)
    else:
        show(review, form, out_file, severity, quiet=quiet)
    raise typer.Exit(ExitCode.FAIL if review.reaching(severity) else ExitCode.PASS)


def _fit_together(
    diff: str | None,
    baseline: Path | None,
    write_baseline: Path | None,
    *,
    fix: bool,
    yes: bool,
    form: Format,
    out_file: Path | None,
) -> None:
    """Raises `UsageError` for options that contradict each other."""
    given = [
        name
        for name, value in (
            ("--diff", diff),
            ("--baseline", baseline),
            ("--write-baseline", write_baseline),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other", remedy="Choose one of them.")
    if yes and not fix:
        raise UsageError("--yes is for --fix", remedy="Add --fix.")
    if fix and (form is not Format.TEXT or write_baseline is not None or out_file is not None):
        raise UsageError(
            "--fix shows a diff and what is left, as text",
            remedy="Leave --format, --out and --write-baseline out.",
        )
    if write_baseline is not None and (form is not Format.TEXT or out_file is not None):
        raise UsageError(
            "--write-baseline writes a baseline, and shows no findings",
            remedy="Leave --format and --out out.",
        )


def _something(found: Audit) -> None:
    if not found.is_empty:
        return
    what = (
        "no file that was understood has a part of a chain: a gateway, a pool, a database, an alert"
        if found.files
        else "no file was understood"
        if found.unread
        else "no file is of a format that is known"
    )
    why = [f"{printable(unread.file)}: {unread.why}" for unread in found.unread[:3]]
    if found.passed_over:
        count, names = sum(found.passed_over.values()), ", ".join(found.passed_over)
        why.append(f"{count} in {names} were passed over: --include-tests")
    raise UsageError(
        f"nothing was audited: {what}{' (' + '; '.join(why) + ')' if why else ''}",
        remedy="Name the files that configure the service, its gateway and its database.",
    )
