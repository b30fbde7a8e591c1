"""The real parts of a run: PostgreSQL, PgBouncer, replicas, the gateway, Prometheus, others."""

from harness.stack.bystander import Bystander
from harness.stack.database import Database
from harness.stack.engine import Engine
from harness.stack.external import ExternalPostgres
from harness.stack.gateway import Gateway, GatewayControl, GatewayState, Upstream
from harness.stack.parts import DeadPart, MetricTarget
from harness.stack.pgbouncer import Pgbouncer
from harness.stack.postgres import EmbeddedPostgres, OwnPostgres
from harness.stack.postgres_container import ContainerPostgres
from harness.stack.process import Child, Supervised, wait_until
from harness.stack.prometheus import Prometheus, Series
from harness.stack.service import Replica
from harness.stack.sessions import Which
from harness.stack.stack import OnEvent, Stack
from harness.stack_kinds import EMBEDDED, is_ours, known

__all__ = [
    "EMBEDDED",
    "Bystander",
    "Child",
    "ContainerPostgres",
    "Database",
    "DeadPart",
    "EmbeddedPostgres",
    "Engine",
    "ExternalPostgres",
    "Gateway",
    "GatewayControl",
    "GatewayState",
    "MetricTarget",
    "OnEvent",
    "OwnPostgres",
    "Pgbouncer",
    "Prometheus",
    "Replica",
    "Series",
    "Stack",
    "Supervised",
    "Upstream",
    "Which",
    "is_ours",
    "known",
    "wait_until",
]
