"""This machine as a load worker of a master elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys

from harness.errors import LoadWorkersError, TargetRefusedError, UsageError
from harness.load.target import REMEDY

GUIDE = "docs/guides/load-workers.md"
BAD_SETTINGS, TARGET_REFUSED = 2, 3
"""Exit codes of a worker, as ARCHITECTURE.md lists them; others: no master, a crash."""


def serve_master(master: str, *, name: str | None, owned_host: str | None, within_s: float) -> None:
    """Play one shard for the master at ``HOST:PORT``, and return when its run is over.

    The worker's progress is on standard output. ``within_s`` seconds are waited for the master.

    Raises UsageError for what is no HOST:PORT, TargetRefusedError for a target that this worker
    may not load, LoadWorkersError when there is no master, or it is lost, or refuses the worker.
    """
    told = {
        "MASTER": master,
        "WORKER": name,
        "OWNED_TARGET": owned_host,
        "MASTER_WITHIN_S": f"{within_s:g}",
        "EXIT_WITH_STDIN": "1",
    }
    settings = {f"POOLDRILL_{key}": value for key, value in told.items() if value}
    with subprocess.Popen(
        [sys.executable, "-m", "scenarios.login_worker"],
        stdin=subprocess.PIPE,  # ends with us, however we end, and the worker with it
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings},
    ) as worker:
        assert worker.stderr is not None, "it is a pipe"
        said = worker.stderr.read().strip()
        code = worker.wait()
    if code == 0:
        return
    if code == TARGET_REFUSED:
        raise TargetRefusedError(said, remedy=REMEDY)
    if code == BAD_SETTINGS:
        raise UsageError(said, remedy="Write `pooldrill load-worker 192.0.2.7:5557`.")
    raise LoadWorkersError(
        said or f"the worker ended with exit code {code}",
        remedy=f"Check that the master runs and that {master} can be reached from here; {GUIDE}.",
    )
