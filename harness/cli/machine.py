"""What this machine has: doctor."""

from __future__ import annotations

import typer

from harness import doctor as doctoring
from harness.cli.application import Json, app, out, print_json
from harness.errors import ExitCode


@app.command(epilog="Example: pooldrill doctor --json")
def doctor(as_json: Json = False) -> None:
    """What this machine has, what is missing, and how to get it."""
    findings = doctoring.examine()
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        out.print(doctoring.render(findings))
    if any(finding.state == "missing" and finding.required for finding in findings):
        raise typer.Exit(ExitCode.INFRASTRUCTURE)
