"""The stack that `docker compose up` has started: found, taken for a run, and given back.

A run uses its PostgreSQL (in a schema of its own), its gateway, and its network. Its replicas rest
meanwhile: the run's own are started from the same image, with the same limits, because each has a
configuration of its own and is replaced in the course of an incident.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from harness.errors import ComposeNotUpError, EngineError, InfrastructureError, UsageError
from harness.incident import DatabaseConfig, GatewayConfig, PgbouncerConfig, ServiceConfig
from harness.stack.compose_return import RETURN_S, start_again
from harness.stack.containers import Container, Plan, Watched
from harness.stack.engine import Engine, engine_errors
from harness.stack.gateway import NAME as GATEWAY
from harness.stack.gateway import Gateway, GatewayControl, GatewayState
from harness.stack.guard import guard
from harness.stack.ports import LOOPBACK, free_port
from harness.stack.postgres_process import NAME as POSTGRES
from harness.stack.service import Address, Replica, service_environment

PROJECT = "pooldrill"
"""The project's name in ``docker-compose.yml``; COMPOSE_PROJECT_NAME may say another."""

ROLE = DATABASE = "drill"
REPLICAS = "auth-"
"""What the services that are replicas begin with."""

PORTS = {POSTGRES: 5432, GATEWAY: 8080}
CONTROL_PORT = 8081
REPLICA_PORT = 8000
CONNECT_TIMEOUT_S = 1.0
"""The gateway's patience for a connection; it cannot be changed while it runs."""

RETURN = Path(__file__).with_name("compose_return.py")
LABEL = "pooldrill.stack"
"""On our replicas' containers: the compose project that they are in."""

REMEDY = "`docker compose up --detach --wait`, in the folder of docker-compose.yml."


@dataclass(frozen=True)
class _Service:
    """One container of the project."""

    name: str
    container: Any

    @property
    def settings(self) -> Mapping[str, str]:
        """Its environment."""
        pairs = (entry.partition("=") for entry in self.container.attrs["Config"]["Env"])
        return {key: value for key, _, value in pairs}

    def published(self, port: int) -> int:
        """The port of this machine behind which ``port`` is."""
        bound = self.container.attrs["NetworkSettings"]["Ports"].get(f"{port}/tcp")
        if not bound:
            raise ComposeNotUpError(
                f"the compose stack's {self.name} publishes no port {port}", remedy=REMEDY
            )
        return int(bound[0]["HostPort"])


class ComposeStack:
    """A running compose project, found by `find` and taken by `take`; `give_back` ends that."""

    def __init__(self, engine: Engine, project: str, services: Mapping[str, _Service]) -> None:
        self.project = project
        self._engine = engine
        self._services = services
        self._resting = [
            service.container for name, service in services.items() if name.startswith(REPLICAS)
        ]
        self._found: GatewayState | None = None
        self._control: GatewayControl | None = None
        self._return: list[str] = []
        self.database: Theirs | None = None
        """Its PostgreSQL, while the stack is taken."""

    @classmethod
    def find(cls, engine: Engine) -> ComposeStack:
        """The project that is up.

        Raises `ComposeNotUpError`, `UsageError` when another run has it, `EngineError`.
        """
        project = os.environ.get("COMPOSE_PROJECT_NAME") or PROJECT
        with engine_errors("the compose stack"):
            services = {
                container.labels["com.docker.compose.service"]: _Service(
                    container.labels["com.docker.compose.service"], container
                )
                for container in engine.labelled("com.docker.compose.project", project)
                if container.labels.get("com.docker.compose.oneoff") != "True"
            }
            taken = engine.labelled(LABEL, project)
        if taken:
            raise UsageError(
                f"another run has the compose stack {project}", remedy="Wait until it has ended."
            )
        running = {name for name, found in services.items() if found.container.status == "running"}
        missing = {*PORTS, f"{REPLICAS}1"} - running
        if missing:
            raise ComposeNotUpError(
                f"the compose stack {project} is not up: {', '.join(sorted(missing))} "
                f"{'does' if len(missing) == 1 else 'do'} not run",
                remedy=REMEDY,
            )
        return cls(engine, project, services)

    # -- its database -----------------------------------------------------------------------

    @property
    def database_dsn(self) -> str:
        """The address of the database for drills, as this machine reaches it."""
        postgres = self._services[POSTGRES]
        password = quote(postgres.settings["AUTH_PASSWORD"], safe="")
        port = postgres.published(PORTS[POSTGRES])
        return f"postgresql://{ROLE}:{password}@{LOOPBACK}:{port}/{DATABASE}"

    def inside(self, dsn: str) -> str:
        """The same address of the database as the containers reach it."""
        parts = urlsplit(dsn)
        who = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{who}@{POSTGRES}:{PORTS[POSTGRES]}"))

    def require(
        self,
        database: DatabaseConfig,
        gateway: GatewayConfig,
        pgbouncer: PgbouncerConfig | None,
    ) -> None:
        """Raise `UsageError` for what the incident asks of these parts and they do not have."""
        if pgbouncer is not None:
            raise UsageError(
                "the incident has a PgBouncer of its own, and the compose stack's serves others",
                remedy="Run it with --stack docker.",
            )
        if database.exporter != "none":
            raise UsageError(
                "the incident has a monitoring agent with an account of its own in the database",
                remedy="Run it with --stack docker.",
            )
        try:
            with psycopg.connect(self.database_dsn, connect_timeout=5) as connection:
                (most,) = connection.execute("SHOW max_connections").fetchone() or ("?",)
        except psycopg.Error as error:
            raise InfrastructureError(f"the compose stack's database: {error}") from error
        if int(most) != database.max_connections:
            wanted = database.max_connections
            raise UsageError(
                f"the incident asks for max_connections {wanted}, and the compose stack has {most}",
                remedy=f"`POOLDRILL_MAX_CONNECTIONS={wanted} docker compose up --detach --wait`.",
            )
        if gateway.connect_timeout_s != CONNECT_TIMEOUT_S:
            raise UsageError(
                f"the incident asks for gateway.connect_timeout {gateway.connect_timeout_s:g} s, "
                f"which the compose stack's gateway, at {CONNECT_TIMEOUT_S:g} s, cannot be told",
                remedy="Leave --stack out.",
            )

    # -- taken, and given back --------------------------------------------------------------

    def take(self, logs: Path) -> None:
        """Have the project to ourselves: its replicas rest meanwhile.

        Raises `EngineError`, `InfrastructureError`.
        """
        self._engine.join(self._network())
        gateway = self._services[GATEWAY]
        self._control = GatewayControl(f"http://{LOOPBACK}:{gateway.published(CONTROL_PORT)}")
        self._found = self._control.state()
        ids = [container.id for container in (gateway.container, *self._resting)]
        self._return = [sys.executable, "-P", str(RETURN), self._engine.address, *ids]
        guard().add_command(self._return)
        with engine_errors("the replicas of the compose stack"):
            for container in self._resting:
                container.stop(timeout=int(RETURN_S))
        self.database = self._watched(POSTGRES, logs)

    def gateway(self, config: GatewayConfig, logs: Path) -> Gateway:
        """Its gateway, ours to direct while the stack is taken, with nothing else in force.

        Raises `InfrastructureError` when it does not take the configuration up.
        """
        assert self._found is not None, "the stack was taken"
        ports = self._services[GATEWAY].published
        watched = self._watched(GATEWAY, logs)
        gateway = Gateway(watched, ports(PORTS[GATEWAY]), ports(CONTROL_PORT))
        upstreams = self._found.upstreams
        gateway.control.restore(GatewayState(upstreams=upstreams, timeout_s=config.timeout_s))
        return gateway

    def _watched(self, name: str, logs: Path) -> Theirs:
        container, log = self._services[name].container, logs / f"{name}.log"
        return Theirs(name, container, log, since=int(time.time()))

    def give_back(self) -> None:
        """Start its replicas again and lead its gateway back to them. Never fails.

        What could not be done now is left to the guard, which tries again behind the harness.
        """
        if self._found is None or self._control is None:
            return
        try:
            with engine_errors("the replicas of the compose stack"):
                start_again(self._resting)
            self._control.restore(self._found)
        except (EngineError, InfrastructureError):
            return
        finally:
            self._control.close()
            self._found = self._control = None
        guard().drop_command(self._return)

    # -- replicas of ours in it -------------------------------------------------------------

    def replicas(self, logs: Path) -> ComposeReplicas:
        """Where the run's replicas are at home."""
        return ComposeReplicas(self._engine, self._services[f"{REPLICAS}1"], self.project, logs)

    def _network(self) -> str:
        networks = self._services[f"{REPLICAS}1"].container.attrs["NetworkSettings"]["Networks"]
        return str(next(iter(networks)))


class ComposeReplicas:
    """Replicas in containers, made like the compose stack's and in its network."""

    def __init__(self, engine: Engine, model: _Service, project: str, logs: Path) -> None:
        self._engine = engine
        self._logs = logs
        attributes = model.container.attrs
        host, config = attributes["HostConfig"], attributes["Config"]
        self._image = str(config["Image"])
        self._options = {
            "user": config["User"],
            "read_only": host["ReadonlyRootfs"],
            "cap_drop": host["CapDrop"],
            "security_opt": host["SecurityOpt"],
            "init": host["Init"],
            "nano_cpus": host["NanoCpus"],
            "mem_limit": host["Memory"],
        }
        self._tmpfs = dict(host["Tmpfs"] or {})
        self._labels = {LABEL: project}

    def launch(self, name: str, config: ServiceConfig, dsn: str, generation: int) -> Replica:
        """Start a container and return at once; `PortTakenError`, `EngineError`."""
        called = f"{name}-{generation}"
        settings = service_environment(config, name=name, dsn=dsn) | {
            "AUTH_HOST": "0.0.0.0",  # noqa: S104 - the container's own network
            "AUTH_PORT": str(REPLICA_PORT),
        }
        plan = Plan(
            name,
            self._image,
            REPLICA_PORT,
            env=settings,
            called=called,
            options=self._options,
            tmpfs=self._tmpfs,
            labels=self._labels,
        )
        port = free_port()
        container = Container.start(self._engine, plan, port=port, log=self._logs / f"{name}.log")
        address = Address(
            gateway=f"http://{container.called}:{REPLICA_PORT}", us=f"http://{LOOPBACK}:{port}"
        )
        return Replica(name, config, container, generation, lambda cancelled: address)


class Theirs(Watched):
    """A container of the compose stack: its death is noticed, and it is not ours to end."""

    def ask_to_stop(self) -> None:
        """It goes on; its end is no death in a run any more."""
        self.expect_end()

    def stop(self, within_s: float = 0.0) -> bool:
        """It goes on."""
        self.expect_end()
        return True
