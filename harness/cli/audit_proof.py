"""A finding shown on real parts: what is played, and what came of it."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from harness.audit.proofs import Proof, playable, provable
from harness.audit.reviewing.review import Review
from harness.cli.application import err, out, print_json
from harness.cli.audit_output import Format
from harness.errors import ExitCode, UsageError
from harness.report import words

CODES = {"pass": ExitCode.PASS, "fail": ExitCode.FAIL, "invalid": ExitCode.INVALID}
SAID = {
    "pass": ("The harm is shown", "bold red"),
    "fail": ("The harm did not come about", "bold green"),
    "invalid": ("The measurement cannot be trusted", "bold magenta"),
}


def prove_it(rule: str, review: Review, *, seed: int, runs: Path, form: Format) -> ExitCode:
    """Play the first finding of ``rule`` that an incident has. `UsageError` where none can be."""
    from harness.proving import Played, as_json, prove  # the stack is not needed for an audit

    if form not in (Format.TEXT, Format.JSON):
        raise UsageError("--prove is shown as text or as JSON")
    if rule not in provable():
        raise UsageError(
            f"--prove {rule}: no incident shows it", remedy=f"There are: {', '.join(provable())}."
        )
    asked = _first_that_can_be_played(rule, review)
    if form is Format.TEXT:
        out.print(_values(asked))
    proven = prove(asked, seed=seed, out=runs, said=lambda line: err.print(line, highlight=False))
    if form is Format.JSON:
        print_json(as_json(proven))
        return CODES[proven.outcome]
    table = Table(box=None, pad_edge=False)
    for heading in ("", "users affected", "504 of the gateway", "errors", "clients that left"):
        table.add_column(heading)

    def row(each: Played) -> tuple[str, ...]:
        affected = words.percent(each.affected) if each.affected is not None else "invalid"
        counts = (each.gateway_timeouts, each.errors, each.client_timeouts)
        return (each.name, affected, *(words.number(count) for count in counts))

    for each in proven.rows:
        table.add_row(*row(each))
    out.print(table)
    text, style = SAID[proven.outcome]
    out.print(Text.assemble((text, style), f": {proven.folder / 'proof.json'}"), soft_wrap=True)
    for each in proven.rows:
        if each.why:
            out.print(Text(f"  {each.name}: {each.why}"), soft_wrap=True)
    return CODES[proven.outcome]


def _first_that_can_be_played(rule: str, review: Review) -> Proof:
    """Raises `UsageError` where nothing is found, or with why the first one cannot be played."""
    refused: UsageError | None = None
    for finding in review.findings:
        if finding.id != rule:
            continue
        try:
            return playable(finding, review.audit.chains)
        except UsageError as error:
            refused = refused or error
    raise refused or UsageError(
        f"--prove {rule}: it finds nothing here, so there is nothing to show",
        remedy="`pooldrill audit PATH…` shows what is found.",
    )


def _values(asked: Proof) -> Table:
    """What is played, and where each value stands."""
    table = Table(box=None, pad_edge=False, title=f"{asked.incident}, with", title_justify="left")
    for heading in ("setting", "value", "from"):
        table.add_column(heading)
    for setting in asked.audited:
        where = str(setting.place) if setting.place else ""
        said = f"{where} ({setting.why})" if where and setting.why else where or setting.why
        table.add_row(setting.path, setting.value, said)
    for path, value in asked.remedy.items():
        table.add_row(path, value, "the remedy")
    return table
