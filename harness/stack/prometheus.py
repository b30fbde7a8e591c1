"""A real Prometheus beside the stack, when it is installed."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import yaml

from harness.errors import InfrastructureError, PartStartError, PortTakenError
from harness.recording import SAMPLES
from harness.stack.announced import await_http
from harness.stack.ports import LOOPBACK, free_port, require_free
from harness.stack.process import Child

NAME = "prometheus"
PROGRAM = "prometheus"
FREE_PORT_ATTEMPTS = 3
STOP_S = 2.0
QUERY_TIMEOUT_S = 10.0
BIND_FAILED = "address already in use"


@dataclass(frozen=True, slots=True)
class Program:
    """An installed Prometheus."""

    path: str
    version: str


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no Prometheus, and why that is."""

    reason: str


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """Something with a metrics page. ``name`` stays when a replica is replaced.

    ``generation`` tells its processes apart: Prometheus takes seconds to follow a move, and two
    processes under the same labels would look like a counter that is reset again and again.
    """

    job: str
    name: str
    address: str
    generation: int = 1


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: its labels, and (epoch second, value) pairs."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


def find_program() -> Program | Missing:
    """The Prometheus on the search path, with its version."""
    path = shutil.which(PROGRAM)
    if path is None:
        return Missing(f"there is no program called {PROGRAM} on the search path")
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Missing(f"{path} does not run: {error}")
    found = re.search(r"version (\d+\.\d+\.\d+\S*)", done.stdout + done.stderr)
    if found is None:
        return Missing(f"{path} does not say its version")
    return Program(path, found.group(1))


class Prometheus:
    """A Prometheus server that scrapes the stack each second, into a temporary folder.

    Its targets are read from a file, so a replica that moves to another port keeps its series:
    the label ``instance`` is the part's name, never its address. Prometheus throttles itself:
    it takes up a changed file within ten seconds (its discovery and its scrape manager look
    every five). A gap of that length follows a replica's move; the recorder has none.
    """

    def __init__(self, program: Program, child: Child, port: int, targets: Path) -> None:
        self.program = program
        self.child = child
        self.url = f"http://{LOOPBACK}:{port}"
        self._targets = targets
        self._client = httpx.Client(base_url=self.url, timeout=QUERY_TIMEOUT_S, trust_env=False)

    @classmethod
    def start(
        cls,
        program: Program,
        *,
        client: httpx.Client,
        logs: Path,
        folder: Path,
        port: int | None = None,
        cancelled: threading.Event | None = None,
        options: Sequence[str] = (),
        evaluation_s: float = 1.0,
    ) -> Prometheus:
        """Start the server with no targets yet and wait until it is ready.

        ``folder/tsdb`` is its database, which may hold blocks already; ``options`` are further
        arguments of its command line; ``evaluation_s`` is the default step of subqueries.

        Raises `PortTakenError` when ``port`` was given and is taken, `PartStartError` with the
        end of the log when the server does not come up.
        """
        if port is not None:
            require_free(port, "Prometheus")
        targets = folder / "targets.json"
        config = folder / "prometheus.yml"
        config.write_text(scrape_config(targets, evaluation_s=evaluation_s))
        for attempt in range(FREE_PORT_ATTEMPTS):
            chosen = free_port() if port is None else port
            argv = [
                program.path,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={LOOPBACK}:{chosen}",
                "--log.level=warn",
                *options,
            ]
            child = Child(NAME, argv, log=logs / f"{NAME}.log", env={"PATH": os.defpath})
            server = cls(program, child, chosen, targets)
            server.set_targets(())
            try:
                url = f"{server.url}/-/ready"
                await_http(client, child, url, "Prometheus to be ready", cancelled=cancelled)
            except BaseException as error:
                server.stop()
                if not isinstance(error, PartStartError) or BIND_FAILED not in child.log_tail():
                    raise
                if port is not None or attempt == FREE_PORT_ATTEMPTS - 1:
                    raise PortTakenError(
                        f"Prometheus cannot listen on {LOOPBACK}:{chosen}{child.log_tail()}"
                    ) from error
            else:
                return server
        raise AssertionError("unreachable")

    def set_targets(self, targets: Iterable[ScrapeTarget]) -> None:
        """Scrape these instead of the former ones, within ten seconds."""
        groups = [
            {
                "targets": [target.address],
                "labels": {
                    "job": target.job,
                    "instance": target.name,
                    "generation": str(target.generation),
                },
            }
            for target in targets
        ]
        fresh = self._targets.with_suffix(".new")
        fresh.write_text(json.dumps(groups))
        os.replace(fresh, self._targets)

    def query(self, expression: str, *, at_epoch: float | None = None) -> tuple[Series, ...]:
        """An instant query; each series has one point. Raises `InfrastructureError`."""
        parameters = {"query": expression}
        if at_epoch is not None:
            parameters["time"] = f"{at_epoch:.3f}"
        return self._ask("/api/v1/query", parameters)

    def query_range(
        self, expression: str, *, from_epoch: float, to_epoch: float, step_s: float = 1.0
    ) -> tuple[Series, ...]:
        """A range query over epoch seconds. Raises `InfrastructureError`."""
        parameters = {
            "query": expression,
            "start": f"{from_epoch:.3f}",
            "end": f"{to_epoch:.3f}",
            "step": f"{step_s:g}",
        }
        return self._ask("/api/v1/query_range", parameters)

    def raw_samples(self, metrics: str, *, t0_epoch: float, seconds: float) -> pl.DataFrame:
        """What was scraped of the metrics whose names match ``metrics`` in the last ``seconds``.

        A table with the columns of ``samples.parquet``; the target is the ``instance`` label.
        Raises `InfrastructureError`.
        """
        found = self.query(f'{{__name__=~"{metrics}"}}[{math.ceil(seconds)}s]')
        rows = [
            (at - t0_epoch, series.labels["instance"], series.labels["__name__"], labels, value)
            for series in found
            for labels in [_label_text(series.labels)]
            for at, value in series.points
        ]
        return pl.DataFrame(rows, schema=SAMPLES, orient="row").sort("time_s")

    def stop(self, within_s: float = STOP_S) -> None:
        """End the server."""
        self._client.close()
        self.child.stop(within_s)

    def _ask(self, path: str, parameters: dict[str, str]) -> tuple[Series, ...]:
        try:
            response = self._client.post(path, data=parameters)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise InfrastructureError(f"Prometheus did not answer: {error}") from error
        if answer.get("status") != "success":
            raise InfrastructureError(
                f"Prometheus refused {parameters['query']!r}: {answer.get('error', answer)}"
            )
        return _series(answer["data"])


def _label_text(labels: Mapping[str, str]) -> str:
    """The labels that the target gave itself, as ``samples.parquet`` spells them."""
    own = {k: v for k, v in labels.items() if k not in ("__name__", "instance", "job")}
    return ",".join(f'{name}="{own[name]}"' for name in sorted(own))


def scrape_config(targets: Path, *, evaluation_s: float = 1.0) -> str:
    """The server's configuration as YAML: all targets come from the file ``targets``."""
    return yaml.safe_dump(
        {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "900ms",
                "evaluation_interval": f"{round(evaluation_s * 1000)}ms",
            },
            "scrape_configs": [
                {
                    "job_name": "pooldrill",
                    "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}],
                }
            ],
        },
        sort_keys=False,
    )


def _series(data: dict[str, Any]) -> tuple[Series, ...]:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return (Series({}, ((float(result[0]), float(result[1])),)),)
    if kind not in ("vector", "matrix"):
        raise InfrastructureError(f"the query's answer is a {kind}, not a number")
    return tuple(
        Series(
            labels=item["metric"],
            points=tuple(
                (float(at), float(value)) for at, value in item.get("values", [item.get("value")])
            ),
        )
        for item in result
    )
