"""What a stack consists of while it runs, and how all of it ends."""

from __future__ import annotations

import shutil
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import httpx

from harness.stack.bystanders import Bystanders
from harness.stack.compose import ComposeStack
from harness.stack.database import Database
from harness.stack.engine import Engine
from harness.stack.gateway import Gateway
from harness.stack.guard import guard
from harness.stack.pgbouncer import Pgbouncer
from harness.stack.process import Supervised
from harness.stack.prometheus import Prometheus, ScrapeTarget
from harness.stack.replicas import Replicas
from harness.stack.service import Processes

GATEWAY_TARGET = "gateway"
RETIRING = "-retiring"
"""Behind the name of a replica that was replaced and still works off what it has."""


@dataclass(frozen=True, slots=True)
class MetricTarget:
    """Something to scrape: a stable name and its present address."""

    name: str
    url: str
    generation: int = 1
    """The how-manieth process of its name it is."""

    job: str = "auth"
    """The kind of part it is, as Prometheus knows it."""


class DeadPart(NamedTuple):
    """A part that ended although nobody asked it to; ``why`` has the end of its log."""

    part: str
    why: str


class Parts:
    """The parts of one stack; each of them is None until it has come up."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.folder = Path(tempfile.mkdtemp(prefix="pooldrill-stack-"))
        guard().add_folder(self.folder)
        self.client = httpx.Client(timeout=5.0, trust_env=False)
        self.cancelled = threading.Event()
        """Set when everything is to end: whoever waits for a part gives up."""

        self.engine: Engine | None = None
        """The container engine, where parts run in containers."""

        self.compose: ComposeStack | None = None
        """The compose stack, where the run uses one."""

        self.database: Database | None = None
        self.pgbouncer: Pgbouncer | None = None
        self.gateway: Gateway | None = None
        self.prometheus: Prometheus | None = None
        self.why_no_prometheus = "it was not asked for"
        self.replicas = Replicas(
            client=self.client,
            home=Processes(logs, self.folder),
            cancelled=self.cancelled,
            moved=self.tell_prometheus,
        )
        self.bystanders = Bystanders(
            client=self.client,
            logs=logs,
            folder=self.folder,
            cancelled=self.cancelled,
            moved=self.tell_prometheus,
        )
        self._telling = threading.Lock()
        self._end = ExitStack()
        # What is entered last ends first.
        self._end.callback(self._clear_up)
        self._end.callback(self._close_engine)
        self._end.callback(self._give_back)
        self._end.callback(self._stop_postgres)
        self._end.callback(self._stop_pgbouncer)
        self._end.callback(self._stop_prometheus)
        self._end.callback(self.bystanders.stop)
        self._end.callback(self._stop_replicas)
        self._end.callback(self._stop_gateway)

    @property
    def service_dsn(self) -> str:
        """The service's address of the database: through PgBouncer, where there is one."""
        if self.pgbouncer is not None:
            return self.pgbouncer.dsn
        assert self.database is not None, "the database was started"
        if self.compose is not None:
            return self.compose.inside(self.database.dsn)
        return self.database.dsn

    def metric_targets(self) -> tuple[MetricTarget, ...]:
        """What can be scraped now."""
        replicas = self.replicas.shown
        targets = [
            MetricTarget(name, r.metrics_url, r.generation) for name, r in replicas.current.items()
        ]
        targets += [
            MetricTarget(f"{r.name}{RETIRING}", r.metrics_url, r.generation)
            for r in replicas.retiring
        ]
        if self.gateway is not None:
            targets.append(MetricTarget(GATEWAY_TARGET, self.gateway.metrics_url, job="gateway"))
        targets += [
            MetricTarget(b.name, b.metrics_url, job="bystander") for b in self.bystanders.present
        ]
        return tuple(targets)

    def tell_prometheus(self) -> None:
        """Have Prometheus, where there is one, scrape what can be scraped now."""
        with self._telling:
            if self.prometheus is None or self.cancelled.is_set():
                return
            self.prometheus.set_targets(
                ScrapeTarget(
                    job=target.job,
                    name=target.name.removesuffix(RETIRING),
                    address=httpx.URL(target.url).netloc.decode(),
                    generation=target.generation,
                )
                for target in self.metric_targets()
            )

    def children(self) -> tuple[Supervised, ...]:
        """What is meant to run now, processes and containers; a retiring replica is not."""
        children: list[Supervised] = [replica.child for replica in self.replicas.current.values()]
        children += [bystander.child for bystander in self.bystanders.present]
        parts = (self.gateway, self.prometheus, self.pgbouncer, self.database)
        children += [part.child for part in parts if part is not None and part.child is not None]
        if self.compose is not None and self.compose.database is not None:
            children.append(self.compose.database)
        return tuple(children)

    def dead(self) -> tuple[DeadPart, ...]:
        """The parts that ended although nobody asked them to."""
        return tuple(
            DeadPart(child.name, child.describe_death())
            for child in self.children()
            if child.died_unexpectedly()
        )

    def stop(self) -> None:
        """End everything, in at most five seconds; may be called again."""
        with self._telling:  # whoever tells now writes into a folder that is still there
            self.cancelled.set()
        self._end.close()

    def _stop_gateway(self) -> None:
        self.bystanders.ask_to_stop()  # meanwhile: all of it has five seconds
        if self.gateway is not None:
            self.gateway.stop()

    def _stop_replicas(self) -> None:
        if self.prometheus is not None:
            self.prometheus.child.ask_to_stop()  # meanwhile, as well
        self.replicas.stop()

    def _stop_prometheus(self) -> None:
        if self.prometheus is not None:
            self.prometheus.stop(within_s=0.5)

    def _stop_pgbouncer(self) -> None:
        if self.pgbouncer is not None:
            self.pgbouncer.stop()

    def _stop_postgres(self) -> None:
        if self.database is not None:
            self.database.stop(within_s=1.0)

    def _give_back(self) -> None:
        if self.compose is not None:
            self.compose.give_back()

    def _close_engine(self) -> None:
        if self.engine is not None:
            self.engine.close()

    def _clear_up(self) -> None:
        self.client.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        guard().drop_folder(self.folder)
