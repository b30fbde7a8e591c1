"""The real parts of a run: PostgreSQL, PgBouncer, replicas, the gateway, Prometheus, others."""

from harness.stack.bystander import Bystander
from harness.stack.database import Database, ExternalPostgres
from harness.stack.gateway import Gateway, GatewayControl, GatewayState, Upstream
from harness.stack.parts import DeadPart, MetricTarget
from harness.stack.pgbouncer import Pgbouncer
from harness.stack.postgres import EmbeddedPostgres
from harness.stack.process import Child, wait_until
from harness.stack.prometheus import Prometheus, Series
from harness.stack.service import Replica
from harness.stack.sessions import Which
from harness.stack.stack import OnEvent, Stack
from harness.stack.starting import EMBEDDED

__all__ = [
    "EMBEDDED",
    "Bystander",
    "Child",
    "Database",
    "DeadPart",
    "EmbeddedPostgres",
    "ExternalPostgres",
    "Gateway",
    "GatewayControl",
    "GatewayState",
    "MetricTarget",
    "OnEvent",
    "Pgbouncer",
    "Prometheus",
    "Replica",
    "Series",
    "Stack",
    "Upstream",
    "Which",
    "wait_until",
]
