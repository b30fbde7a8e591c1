"""Starts the gateway: ``python -m auth_service.gateway``."""

from __future__ import annotations

import resource
import sys

from auth_service.gateway.app import Gateway
from auth_service.gateway.control import control_app
from auth_service.gateway.metrics import GatewayMetrics
from auth_service.gateway.settings import GatewaySettings
from auth_service.process import Listener, log_as_json, serve
from auth_service.settings import load_or_exit


def main() -> int:
    """Serve until asked to end; the exit code."""
    settings = load_or_exit(GatewaySettings)
    log_as_json("gateway")
    _allow_many_connections()
    metrics = GatewayMetrics()
    gateway = Gateway(settings.state, metrics, settings.connect_timeout_s)
    return serve(
        [
            Listener(gateway, settings.host, settings.port),
            Listener(
                control_app(gateway, metrics),
                settings.control_host,
                settings.control_port,
                key="control_port",
                lifespan=False,
            ),
        ],
        announce_path=settings.announce,
        exit_with_stdin=settings.exit_with_stdin,
        drain_s=settings.drain_s,
    )


def _allow_many_connections() -> None:
    """Lift the soft limit of open files to the hard one: a waiting user costs two sockets here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
