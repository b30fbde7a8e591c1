"""The images of the containers that a run starts: pinned here, and nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Image:
    """A pinned image, in whose place the environment ``variable`` may name another one."""

    variable: str
    pinned: str

    @property
    def name(self) -> str:
        """The image to take now."""
        return os.environ.get(self.variable) or self.pinned


POSTGRES = Image("POOLDRILL_POSTGRES_IMAGE", "postgres:18")
PGBOUNCER = Image("POOLDRILL_PGBOUNCER_IMAGE", "edoburu/pgbouncer:v1.24.1-p1")
