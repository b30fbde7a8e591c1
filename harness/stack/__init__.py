"""The real parts of a run: PostgreSQL, the service's replicas, the gateway and Prometheus."""

from harness.stack.database import Database, ExternalPostgres
from harness.stack.gateway import Gateway, GatewayControl, GatewayState, Upstream
from harness.stack.postgres import EmbeddedPostgres
from harness.stack.process import Child, wait_until
from harness.stack.prometheus import Prometheus, Series
from harness.stack.service import Replica
from harness.stack.stack import EMBEDDED, DeadPart, MetricTarget, OnEvent, Stack

__all__ = [
    "EMBEDDED",
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
    "Prometheus",
    "Replica",
    "Series",
    "Stack",
    "Upstream",
    "wait_until",
]
