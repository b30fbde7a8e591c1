"""``python -m auth_service``: one replica of the service, configured by ``AUTH_*``."""

from __future__ import annotations

import gc
import sys

from auth_service.settings import Settings, load_or_exit


def main() -> int:
    """Serve until asked to end; exit code 0, 2 (bad settings) or 4 (cannot listen)."""
    # Imports make hundreds of thousands of objects that stay: looking for garbage among them costs
    # a tenth of the start-up, and a pause now and then later on.
    gc.disable()
    settings = load_or_exit(Settings)
    # After the settings: a bad one should be refused before the rest is even imported.
    from prometheus_client import disable_created_metrics

    from auth_service.app import create_app
    from auth_service.process import Listener, log_as_json, serve

    log_as_json(settings.replica, secrets=settings.secrets)
    # A `_created` series a counter, which nobody reads.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    app = create_app(settings)
    gc.freeze()
    gc.enable()
    return serve(
        [Listener(app, settings.host, settings.port)],
        announce_path=settings.announce,
        exit_with_stdin=settings.exit_with_stdin,
        drain_s=settings.drain_s,
    )


if __name__ == "__main__":
    sys.exit(main())
