"""How the parts of a stack come up: side by side where they can."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_all
from dataclasses import dataclass

from harness.errors import PrometheusMissingError, UsageError
from harness.incident import DatabaseConfig, GatewayConfig, PgbouncerConfig, ServiceConfig
from harness.stack.compose import ComposeStack
from harness.stack.database import Database
from harness.stack.engine import Engine
from harness.stack.external import ExternalPostgres
from harness.stack.gateway import Gateway, Upstream
from harness.stack.images import PGBOUNCER, POSTGRES
from harness.stack.parts import Parts
from harness.stack.pgbouncer import Pgbouncer
from harness.stack.pgbouncer_process import require_program
from harness.stack.ports import LOOPBACK
from harness.stack.postgres import EmbeddedPostgres, OwnPostgres
from harness.stack.postgres_container import ContainerPostgres
from harness.stack.prometheus import Program, Prometheus, find_program
from harness.stack.service import Replica, seed_accounts
from harness.stack_kinds import COMPOSE, DOCKER, EMBEDDED, is_ours, known


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be started; ``postgres`` is what ``--stack`` says (`stack_kinds`).

    ``allowed_host`` and ``allow_tables`` vouch for a database of the user's: for its host, and for
    its tables that are not ours.
    """

    service: ServiceConfig
    gateway: GatewayConfig
    database: DatabaseConfig
    pgbouncer: PgbouncerConfig | None = None
    prometheus: bool = True
    require_prometheus: bool = False
    postgres: str = EMBEDDED
    allowed_host: str | None = None
    allow_tables: bool = False
    gateway_host: str = LOOPBACK

    @property
    def serving(self) -> tuple[str, ...]:
        """Every replica's name, the backups' behind the others."""
        return (*self.service.replica_names, *self.service.backup_names)


def start_parts(parts: Parts, wanted: Wanted) -> None:
    """Start everything; see `Stack.start` for the steps. After an error, parts are left over."""
    slow = wanted.database.connect_delay_s or wanted.database.connect_cost_s
    if slow and not is_ours(known(wanted.postgres)):
        raise UsageError(
            "only a database of ours can be made slow to connect to",
            remedy="Take database.connect_delay and database.connect_cost out of the incident, "
            "or leave --stack out.",
        )
    program = _find_prometheus(parts, wanted)
    _require_what_runs_it(parts, wanted)
    if parts.compose is not None:
        parts.compose.take(parts.logs)
        parts.replicas.home = parts.compose.replicas(parts.logs)
    with ThreadPoolExecutor(thread_name_prefix="stack-start") as pool:
        first: list[Future[None]] = [
            pool.submit(_start_database, parts, wanted),
            pool.submit(_start_gateway, parts, wanted),
        ]
        if program is not None:
            first.append(pool.submit(_start_prometheus, parts, program))
        _join(parts, first)
        launched = [
            parts.replicas.launch(name, wanted.service.of_replica(name), parts.service_dsn)
            for name in wanted.serving
        ]
        _join(
            parts,
            [
                pool.submit(_seed, parts, wanted),
                *(pool.submit(parts.replicas.await_ready, replica) for replica in launched),
            ],
        )
    _put_to_work(parts, wanted, launched)
    if isinstance(parts.database, OwnPostgres):
        parts.database.slow_down_connecting()


def _join(parts: Parts, futures: list[Future[None]]) -> None:
    """Wait for all; when one fails, call the others off and raise its error."""
    try:
        for future in futures:
            future.result()
    except BaseException:
        parts.cancelled.set()
        wait_for_all(futures)
        raise


def _require_what_runs_it(parts: Parts, wanted: Wanted) -> None:
    """The container engine with its images, or PgBouncer's program: now rather than half-way."""
    if wanted.postgres == DOCKER:
        parts.engine = Engine.connect()
        parts.engine.require_image(POSTGRES)
        if wanted.pgbouncer is not None:
            parts.engine.require_image(PGBOUNCER)
    elif wanted.postgres == COMPOSE:
        parts.engine = Engine.connect()
        parts.compose = ComposeStack.find(parts.engine)
        parts.compose.require(wanted.database, wanted.gateway, wanted.pgbouncer)
    elif wanted.pgbouncer is not None:
        require_program()


def _start_database(parts: Parts, wanted: Wanted) -> None:
    """The database, and PgBouncer in front of it."""
    log, cancelled = parts.logs / "postgres.log", parts.cancelled
    database: Database
    if wanted.postgres == EMBEDDED:
        database = EmbeddedPostgres.start(wanted.database, log=log, cancelled=cancelled)
    elif parts.compose is not None:
        database = ExternalPostgres.attach(parts.compose.database_dsn)
    elif parts.engine is not None:
        database = ContainerPostgres.start(
            wanted.database, engine=parts.engine, log=log, cancelled=cancelled
        )
    else:
        database = ExternalPostgres.attach(
            wanted.postgres, allowed_host=wanted.allowed_host, allow_tables=wanted.allow_tables
        )
    parts.database = database
    if wanted.pgbouncer is not None:
        parts.pgbouncer = Pgbouncer.start(
            wanted.pgbouncer,
            database.dsn,
            logs=parts.logs,
            cancelled=cancelled,
            engine=parts.engine,
        )


def _start_gateway(parts: Parts, wanted: Wanted) -> None:
    if parts.compose is not None:
        parts.gateway = parts.compose.gateway(wanted.gateway, parts.logs)
        return
    parts.gateway = Gateway.start(
        wanted.gateway,
        wanted.serving,
        client=parts.client,
        logs=parts.logs,
        folder=parts.folder,
        host=wanted.gateway_host,
        cancelled=parts.cancelled,
    )


def _find_prometheus(parts: Parts, wanted: Wanted) -> Program | None:
    if not (wanted.prometheus or wanted.require_prometheus):
        return None
    found = find_program()
    if isinstance(found, Program):
        return found
    parts.why_no_prometheus = found.reason
    if wanted.require_prometheus:
        raise PrometheusMissingError(
            f"Prometheus is needed, but {found.reason}",
            remedy="Install it: `apt-get install prometheus`, or from prometheus.io.",
        )
    return None


def _start_prometheus(parts: Parts, program: Program) -> None:
    parts.prometheus = Prometheus.start(
        program,
        client=parts.client,
        logs=parts.logs,
        folder=parts.folder,
        cancelled=parts.cancelled,
    )


def _seed(parts: Parts, wanted: Wanted) -> None:
    """Straight to the database: PgBouncer's pools belong to the service."""
    assert parts.database is not None, "the database was started"
    log = parts.logs / "accounts.log"
    seed_accounts(parts.database.dsn, wanted.database.users, wanted.service.hash, log=log)


def _put_to_work(parts: Parts, wanted: Wanted, launched: list[Replica]) -> None:
    """The gateway and Prometheus learn the replicas' addresses."""
    assert parts.gateway is not None, "the gateway was started"
    for replica in launched:
        parts.replicas.serve(replica)
    parts.gateway.control.upstreams(
        Upstream(
            name=replica.name,
            url=replica.url,
            weight=wanted.service.weight(replica.name),
            backup=replica.name in wanted.service.backup_names,
        )
        for replica in launched
    )
    parts.tell_prometheus()
