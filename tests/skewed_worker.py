"""A load worker on a machine whose clocks are wrong: ``python -m … WALL_S MONOTONIC_S RATE``.

Its wall clock is WALL_S ahead, its monotonic clock MONOTONIC_S, and that one runs RATE times as
fast as it should. The worker itself is the real one; its settings come from the environment.
"""

from __future__ import annotations

import sys
import time

wall_s, monotonic_s, rate = map(float, sys.argv[1:])
_time, _monotonic, _began = time.time, time.monotonic, time.monotonic()

# Before the worker's modules are imported, and Locust's.
time.time = lambda: _time() + wall_s
time.monotonic = lambda: _began + (_monotonic() - _began) * rate + monotonic_s

from scenarios.login_worker import main  # noqa: E402 - see above

if __name__ == "__main__":
    main()
