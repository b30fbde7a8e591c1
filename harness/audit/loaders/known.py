"""Programs that are known without their code: what they are is seen from their variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.audit.loaders import airflow, keycloak, service
from harness.audit.reading import Code, Deployment
from harness.audit.values import Settings


class Program(Protocol):
    """A module of this package."""

    def is_it(self, settings: Settings) -> bool:
        """Whether an environment is this program's, and its database is a PostgreSQL."""
        ...

    def known(self, deployment: Deployment, settings: Settings) -> tuple[Deployment, Code]:
        """The deployment as such a program is served, and its code as if it had been read."""
        ...


PROGRAMS: Sequence[Program] = (service, keycloak, airflow)


def program_of(settings: Settings) -> Program | None:
    """The one whose environment it is."""
    return next((each for each in PROGRAMS if each.is_it(settings)), None)
