"""Every error a user can meet: a code with a page, what happened, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

MOST_SHOWN = 20
"""Problems of one input that are listed; more are counted."""


class ExitCode(IntEnum):
    """What the process says to its caller; the same everywhere."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    INVALID = 3
    INFRASTRUCTURE = 4


def printable(name: str) -> str:
    """A file's name with a sign for each control character: some move a cursor or end a line."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in name)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: where it stands and what would be right."""

    message: str
    file: str | None = None
    line: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        parts = (None if self.file is None else printable(self.file), self.line)
        place = ":".join(str(part) for part in parts if part is not None)
        head = ": ".join(part for part in (place, self.field) if part)
        return f"{head}: {self.message}" if head else self.message


class PooldrillError(Exception):
    """Base of all errors shown to users.

    ``code`` names the page in ``docs/errors.md``; ``remedy`` is one sentence that says what to do.
    """

    code = "PD000"
    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}"
        return f"{text}\n  remedy: {self.remedy}" if self.remedy else text


class UsageError(PooldrillError):
    """The command's words cannot be carried out."""

    code = "PD001"


class IncidentError(PooldrillError):
    """An incident definition is refused; ``problems`` holds every one of its problems."""

    code = "PD002"

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(
            f"{source}: {count} problem{'s' if count != 1 else ''}\n{lines}",
            remedy="`pooldrill schema` prints the JSON Schema of an incident.",
        )


class UnknownIncidentError(PooldrillError):
    """No incident bears the name that was asked for."""

    code = "PD003"


class TargetRefusedError(PooldrillError):
    """The load's target is not a loopback address and was not vouched for."""

    code = "PD004"


class RecordingError(PooldrillError):
    """A run directory is incomplete, foreign or damaged."""

    code = "PD005"


class RunDirectoryError(PooldrillError):
    """A run directory cannot be written."""

    code = "PD006"


class RulesError(PooldrillError):
    """A file of alert rules, or of a mapping, is refused; ``problems`` holds every problem."""

    code = "PD007"

    def __init__(self, problems: Iterable[Problem], *, remedy: str = "") -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems[:MOST_SHOWN])
        more = f"\n  … and {count - MOST_SHOWN} more" if count > MOST_SHOWN else ""
        super().__init__(
            f"{count} problem{'s' if count != 1 else ''} in the rules\n{lines}{more}",
            remedy=remedy or "`promtool check rules FILE` explains the format.",
        )


class EvaluationError(PooldrillError):
    """Rules could not be evaluated, so that nothing can be said about them."""

    code = "PD008"
    exit_code = ExitCode.INVALID


class ImportRefusedError(PooldrillError):
    """A range cannot be imported: the server is not there, or what it holds is no recording."""

    code = "PD009"
    exit_code = ExitCode.INVALID


class InfrastructureError(PooldrillError):
    """A real part could not be started or kept alive."""

    code = "PD010"
    exit_code = ExitCode.INFRASTRUCTURE


class PartStartError(InfrastructureError):
    """A part did not come up; the message carries the end of its log."""

    code = "PD011"


class PortTakenError(InfrastructureError):
    """A part was told to listen where something else listens already."""

    code = "PD012"


class PrometheusMissingError(InfrastructureError):
    """Prometheus is needed and is not installed."""

    code = "PD013"


class PartDiedError(InfrastructureError):
    """A part that nothing works without died during a run; what was measured cannot be trusted."""

    code = "PD014"
    exit_code = ExitCode.INVALID


class PgbouncerMissingError(InfrastructureError):
    """PgBouncer is needed and is not installed."""

    code = "PD015"


class EngineError(InfrastructureError):
    """Containers are needed, and no container engine can be used, or it fails."""

    code = "PD016"


class ImageMissingError(InfrastructureError):
    """A container's image is not on the machine and cannot be fetched."""

    code = "PD017"


class LoadWorkersError(InfrastructureError):
    """The load's master and its workers on other machines did not come together."""

    code = "PD018"


class ComposeNotUpError(InfrastructureError):
    """The compose stack was asked for, and it, or a part of it, does not run."""

    code = "PD019"


class AuditInputError(PooldrillError):
    """What an audit is told about itself is refused; ``problems`` holds every problem."""

    code = "PD021"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems[:MOST_SHOWN])
        more = f"\n  … and {count - MOST_SHOWN} more" if count > MOST_SHOWN else ""
        super().__init__(
            f"{count} problem{'s' if count != 1 else ''} in what the audit is told\n{lines}{more}",
            remedy="docs/guides/audit.md shows suppressions, baselines and preferences.",
        )


class DatabaseRefusedError(InfrastructureError):
    """A database that was to be audited as it runs cannot be reached, or refuses the audit."""

    code = "PD022"


class Interrupted(PooldrillError):  # noqa: N818 - it is a request to stop, not a failure
    """A signal asked the run to stop; the recording is kept and marked partial."""

    code = "PD020"
    exit_code = ExitCode.INVALID
