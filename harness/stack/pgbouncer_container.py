"""PgBouncer in a container, beside the container of the database."""

from __future__ import annotations

import signal
from pathlib import Path

from harness.incident import PgbouncerConfig
from harness.stack.containers import Container, Plan
from harness.stack.engine import Engine
from harness.stack.images import PGBOUNCER
from harness.stack.pgbouncer_files import Behind, Front, Listening, files
from harness.stack.postgres_container import NAME as POSTGRES
from harness.stack.postgres_container import PORT as POSTGRES_PORT
from harness.stack.process import Supervised

NAME = "pgbouncer"
FOLDER = Path("/etc/pgbouncer")
PORT = 6432


class ContainerHome:
    """The run's engine and network, in which the database is found by its name."""

    def __init__(self, engine: Engine, logs: Path) -> None:
        self.image = PGBOUNCER.name
        self._engine = engine
        self._log = logs / f"{NAME}.log"

    def launch(self, config: PgbouncerConfig, behind: Behind, front: Front) -> Supervised:
        """Start it over its files and return at once; `PortTakenError`, `EngineError`."""
        plan = Plan(NAME, self.image, PORT, files=self._files(config, behind, front))
        return Container.start(self._engine, plan, port=front.port, log=self._log)

    def reload(
        self, server: Supervised, config: PgbouncerConfig, behind: Behind, front: Front
    ) -> None:
        """Write its files anew and have it read them; `EngineError`."""
        assert isinstance(server, Container)
        server.write(self._files(config, behind, front))
        server.send(signal.SIGHUP)

    def remove(self) -> None:
        """Nothing: its files are gone with its container."""

    def _files(self, config: PgbouncerConfig, behind: Behind, front: Front) -> dict[str, str]:
        listening = Listening("*", PORT, FOLDER)
        inside = behind.at(POSTGRES, POSTGRES_PORT)
        return {str(path): text for path, text in files(config, inside, front, listening).items()}
