"""Where a stack's database comes from: the one place that knows what ``--stack`` may say."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from harness.errors import UsageError

EMBEDDED = "embedded"
"""PostgreSQL's programs from a wheel, as processes of ours."""

DOCKER = "docker"
"""PostgreSQL, and PgBouncer where the incident has one, in containers of ours."""

COMPOSE = "compose"
"""The stack that `docker compose up` has started: its PostgreSQL, its gateway, its network."""

KINDS = (EMBEDDED, DOCKER, COMPOSE)
METAVAR = "|".join((*KINDS, "DSN"))
VARIABLE = "POOLDRILL_STACK"
"""Where ``--stack`` may stand as well: any user of the machine can read a command's words."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where a run's database comes from, and what the user vouches for of a database of theirs.

    ``allowed_host`` may be beyond loopback; ``allow_tables`` permits a database that is not empty.
    """

    stack: str = EMBEDDED
    allowed_host: str | None = None
    allow_tables: bool = False

    def options(self) -> list[str]:
        """The words for another ``pooldrill run``, but for what `environment` has."""
        host = [] if self.allowed_host is None else ["--i-own-this-target", self.allowed_host]
        return host + (["--i-own-this-database"] if self.allow_tables else [])

    def environment(self) -> dict[str, str]:
        """The variable for another ``pooldrill run``: an address has a password in it."""
        return {VARIABLE: self.stack}


USUAL = Where()
"""On this machine, from the wheel."""


def known(stack: str) -> str:
    """``stack`` itself; UsageError when it is neither a kind nor the address of a database."""
    if stack in KINDS or is_address(stack):
        return stack
    near = difflib.get_close_matches(stack, KINDS, n=1)
    choices = f"There are: {', '.join(KINDS)}, or a database's address, postgresql://…"
    raise UsageError(
        f"--stack {stack}: there is no such stack",
        remedy=f"Did you mean {near[0]}? {choices}" if near else choices,
    )


def is_ours(stack: str) -> bool:
    """Whether the database server is ours: to be restarted, to be made slow to connect to."""
    return stack in (EMBEDDED, DOCKER)


def is_address(stack: str) -> bool:
    """Whether this names a database of the user's: libpq's URL, or its ``key=value`` words."""
    return "://" in stack or "=" in stack
