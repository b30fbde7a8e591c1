"""What a recording is told about the stack it was made of."""

from __future__ import annotations

import os
import platform
from typing import Any

from harness.stack.parts import Parts
from harness.stack.sessions import connect


def environment(parts: Parts, *, ready_s: float) -> dict[str, Any]:
    """Machine, versions and addresses, for ``environment.json``; no passwords.

    Raises `psycopg.Error` when the database does not answer.
    """
    assert parts.database is not None, "the stack was started"
    assert parts.gateway is not None, "the stack was started"
    with connect(parts.database.admin_dsn) as connection:
        database_host, database_port = connection.info.host, connection.info.port
        version = connection.info.parameter_status("server_version")
    prometheus, pgbouncer = parts.prometheus, parts.pgbouncer
    return {
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "python": platform.python_version(),
        "postgres": version,
        "scram_iterations": parts.database.scram_iterations,
        "pgbouncer": pgbouncer.version if pgbouncer else None,
        "images": parts.engine.images if parts.engine else None,
        "prometheus": prometheus.program.version if prometheus else None,
        "why_no_prometheus": None if prometheus else parts.why_no_prometheus,
        "ready_s": round(ready_s, 3),
        "addresses": {
            "gateway": parts.gateway.url,
            "gateway_control": parts.gateway.control.url,
            "postgres": f"{database_host}:{database_port}",
            "pgbouncer": pgbouncer.address if pgbouncer else None,
            "prometheus": prometheus.url if prometheus else None,
            **{name: replica.url for name, replica in parts.replicas.current.items()},
        },
    }
