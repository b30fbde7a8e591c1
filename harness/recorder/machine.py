"""Whether this machine had processor time for everybody."""

from __future__ import annotations

from pathlib import Path

PRESSURE = Path("/proc/pressure/cpu")


def waiting_for_processor_s(pressure: Path = PRESSURE) -> float | None:
    """Seconds so far in which a task was ready to run and no processor was free for it.

    The kernel's pressure stall information: ``total`` of the line ``some``, in microseconds
    (Documentation/accounting/psi.rst). None where the kernel does not tell.
    """
    try:
        lines = pressure.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        kind, *fields = line.split()
        if kind == "some":
            values = dict(field.split("=", 1) for field in fields)
            return int(values["total"]) / 1e6
    return None
