"""PostgreSQL of our own in a container."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import psycopg

from harness.errors import PartStartError
from harness.incident import DatabaseConfig
from harness.stack.containers import Container, Plan
from harness.stack.engine import Engine
from harness.stack.images import POSTGRES
from harness.stack.ports import require_free
from harness.stack.postgres import ADMIN_ROLE, OwnPostgres, new_passwords
from harness.stack.postgres_process import NAME as NAME
from harness.stack.postgres_process import READY_TIMEOUT_S, settings_of
from harness.stack.process import Supervised, wait_until

PORT = 5432
VOLUME_AT = "/var/lib/postgresql"
DATA = f"{VOLUME_AT}/pooldrill"
POLL_S = 0.1
CONNECT_S = 2

INITDB = "--auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync --no-data-checksums"
NOT_THESE = ("unix_socket_directories", "dynamic_shared_memory_type")
"""Settings of ours that the image must not have: it sets itself up over its socket, and the
container takes shared memory along when it goes."""


class ContainerHome:
    """A volume for the data, and a container over it for each time the server is launched."""

    def __init__(self, engine: Engine, admin_password: str, log: Path) -> None:
        self.image = POSTGRES.name
        self._engine = engine
        self._log = log
        self._volume = engine.volume(NAME)
        self._env = {
            "POSTGRES_USER": ADMIN_ROLE,
            "POSTGRES_PASSWORD": admin_password,
            "POSTGRES_INITDB_ARGS": INITDB,
            "PGDATA": DATA,
        }

    def launch(self, config: DatabaseConfig, port: int) -> Supervised:
        """Start a container over the data; `PortTakenError`, `EngineError`."""
        settings = settings_of(config) | {"listen_addresses": "*"}
        command = ["postgres"]
        for key, value in settings.items():
            if key not in NOT_THESE:
                command += ["-c", f"{key}={value}"]
        plan = Plan(
            NAME,
            self.image,
            PORT,
            command=command,
            env=self._env,
            volumes={self._volume: VOLUME_AT},
            stop_signal=signal.SIGINT,  # the fast shutdown; SIGTERM would wait for the clients
        )
        return Container.start(self._engine, plan, port=port, log=self._log)

    def await_ready(
        self,
        server: Supervised,
        admin_dsn: str,
        port: int,
        *,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Wait until it lets the administrator in; `PartStartError` when it does not.

        While the image sets its data up, that server is reachable from within only.
        """
        del port  # the engine has said already whether it is to be had
        last = ""

        def answers() -> bool:
            nonlocal last
            try:
                psycopg.connect(admin_dsn, connect_timeout=CONNECT_S).close()
            except psycopg.Error as error:
                last = str(error).strip()
                return False
            return True

        try:
            wait_until(
                "PostgreSQL to accept connections",
                answers,
                timeout_s=READY_TIMEOUT_S,
                watching=[server],
                cancelled=cancelled,
                poll_s=POLL_S,
            )
        except PartStartError as error:
            if not server.alive():
                raise
            raise PartStartError(f"{error.message}\n  the last attempt: {last}") from error

    def end(self, server: Supervised, within_s: float) -> None:
        """End it at once: nobody needs its data any more. What is left goes with the engine."""
        del within_s
        server.stop(0.0)

    def remove(self) -> None:
        """Nothing: the volume goes with all that the run has in the engine."""


class ContainerPostgres(OwnPostgres):
    """PostgreSQL of our own in a container, on a free port of the loopback interface."""

    @classmethod
    def start(
        cls,
        config: DatabaseConfig,
        *,
        engine: Engine,
        log: Path,
        port: int | None = None,
        cancelled: threading.Event | None = None,
    ) -> ContainerPostgres:
        """Make a volume and start a server over it; both go when it or the ``engine`` is closed.

        Raises `ImageMissingError`, `PortTakenError` when ``port`` was given and is taken,
        `EngineError`, or `PartStartError` with the end of the log when it does not come up.
        """
        if port is not None:
            require_free(port, "PostgreSQL")
        engine.require_image(POSTGRES)
        passwords = new_passwords(config)
        home = ContainerHome(engine, passwords[ADMIN_ROLE], log)
        return cls(home, config, passwords, port=port, cancelled=cancelled)
