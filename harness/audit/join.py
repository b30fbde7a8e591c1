"""Several files' shares of the chain, as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.audit.chain import Chain, Declared, Workload
from harness.audit.reading import Reading
from harness.audit.values import Place, Value

SAID = Place("the command line")


def joined(readings: Iterable[Reading], declared: Declared) -> tuple[Chain, ...]:
    """The chains: each file that has a whole one, and all others together.

    What the user declares of the load holds over what a file says of it.
    """
    readings = tuple(readings)
    whole = [(reading,) for reading in readings if reading.complete]
    parts = tuple(reading for reading in readings if not reading.complete)
    return tuple(_chain(group, declared) for group in (*whole, parts) if group)


def _chain(readings: tuple[Reading, ...], declared: Declared) -> Chain:
    peaks = [reading.peak_per_s for reading in readings if reading.peak_per_s.is_known]
    peak: Value[float] = Value.unknown("give --peak, the logins a second to survive")
    if declared.peak_per_s is not None:
        peak = Value.at(declared.peak_per_s, Place(SAID.file, key="--peak"))
    elif len(peaks) == 1:
        (peak,) = peaks
    elif peaks:
        peak = Value.unknown("several files declare a peak: give --peak")
    workloads = (workload for reading in readings for workload in reading.workloads)
    return Chain(
        clients=tuple(each for reading in readings for each in reading.clients),
        gateways=tuple(each for reading in readings for each in reading.gateways),
        workloads=tuple(_held(workload, declared) for workload in workloads),
        poolers=tuple(each for reading in readings for each in reading.poolers),
        servers=tuple(each for reading in readings for each in reading.servers),
        peak_per_s=peak,
    )


def _held(workload: Workload, declared: Declared) -> Workload:
    if declared.hold_s is None:
        return workload
    return replace(workload, hold_s=Value.at(declared.hold_s, Place(SAID.file, key="--hold")))
