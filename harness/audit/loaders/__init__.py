"""Loaders, one a format: each recognises its files by name and content, and reads nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.audit.loaders import (
    alertmanager,
    alter_system,
    appconfig,
    caddy,
    compose,
    dockerfile,
    dotenv,
    envoy,
    haproxy,
    helm,
    incident,
    kubernetes,
    nginx,
    packages,
    paste,
    patroni,
    pgbouncer,
    postgresql,
    procfile,
    prometheus_config,
    prometheus_rules,
    python,
    quarkus,
    spring,
    start_scripts,
    supervisor,
    systemd,
    traefik,
    uwsgi,
)
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile


class Loader(Protocol):
    """A module of this package."""

    def recognises(self, file: SourceFile) -> bool:
        """Whether the file is one of its format."""
        ...

    def load(self, file: SourceFile) -> Reading:
        """What the file says. Never raises for what stands in a file."""
        ...


LOADERS: Sequence[Loader] = (
    incident,
    patroni,
    compose,
    kubernetes,
    helm,
    dockerfile,
    procfile,
    systemd,
    supervisor,
    start_scripts,
    dotenv,
    paste,
    uwsgi,
    pgbouncer,
    postgresql,
    alter_system,
    python,
    prometheus_rules,
    prometheus_config,
    alertmanager,
    envoy,
    traefik,
    quarkus,
    spring,
    haproxy,
    caddy,
    nginx,
    packages,
    appconfig,
)
"""The first that recognises a file reads it."""


def load(file: SourceFile) -> Reading | None:
    """What the file says; None when it is of no known format, as most files are."""
    for loader in LOADERS:
        if loader.recognises(file):
            return loader.load(file)
    return None
