"""Pure functions from measurements to pass, fail or invalid, with the evidence."""

from harness.verdicts.judge import judge
from harness.verdicts.model import Check, Outcome, Verdict, exit_code, merge

__all__ = ["Check", "Outcome", "Verdict", "exit_code", "judge", "merge"]
