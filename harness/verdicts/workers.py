"""May a load that came from several workers be trusted? Pass or invalid, as `validity`."""

from __future__ import annotations

from collections.abc import Iterator

from harness.measurements.load_workers import LoadWorker
from harness.verdicts.evidence import Evidence
from harness.verdicts.model import Check


def workers_whole(evidence: Evidence) -> Check:
    """Every worker played its shard to the end."""
    workers = evidence.load_workers
    broken = [why for worker in workers if (why := _why_broken(worker, len(workers)))]
    return Check(
        id="load.workers",
        outcome="invalid" if broken else "pass",
        expected=f"{len(workers)} workers played their share",
        measured=len(workers) - len(broken),
        why="; ".join(broken),
    )


def clocks_known(evidence: Evidence) -> Check:
    """Each worker's clock was known well enough for its instants to count as the run's."""
    budget_s = evidence.recording.incident.load.start_lag_budget_s
    # One that is missing is worst of all. What was lost is `load.workers`' business.
    asked = [worker for worker in evidence.load_workers if not worker.lost]
    errors_s = [worker.clock_error_s for worker in asked]
    known_s = [error_s for error_s in errors_s if error_s is not None]
    bad = [worker for worker in asked if not _within(worker.clock_error_s, budget_s)]
    why = "; ".join(map(_why_unknown, bad))
    return Check(
        id="load.clocks",
        outcome="invalid" if bad or not asked else "pass",
        expected=f"each worker's clock known to <= {budget_s:g} s",
        measured=round(max(known_s), 6) if known_s and len(known_s) == len(errors_s) else None,
        why=why if asked else "no worker was left whose clock could be compared",
    )


def _within(error_s: float | None, budget_s: float) -> bool:
    return error_s is not None and error_s <= budget_s


def _why_broken(worker: LoadWorker, workers: int) -> str:
    which = f"worker {worker.name} (shard {worker.shard} of {workers})"
    if not worker.lost:
        if not worker.joined:
            return f"{which} never joined"
        return "" if worker.left else f"{which} was not heard of at the end"
    when = "before the load began" if worker.lost_s is None else f"at {worker.lost_s:.1f} s"
    gone = worker.went_with_it
    if gone is None:
        what = "all of its arrivals are known nevertheless"
    else:
        what = (
            f"{gone.count} arrivals went with it, {gone.first} to {gone.last} "
            f"({gone.first_s:.1f} to {gone.last_s:.1f} s)"
        )
    return f"{which} was lost {when}, {worker.lost}: {what}"


def _why_unknown(worker: LoadWorker) -> str:
    if worker.uncertainty_s is None or worker.drift_s is None:
        return f"the clock of worker {worker.name} was not compared at both ends of the run"
    return (
        f"the clock of worker {worker.name} was known to ± {worker.uncertainty_s:.4f} s "
        f"and drifted by {worker.drift_s:+.4f} s over the run"
    )


def checks(evidence: Evidence) -> Iterator[Check]:
    """Both, where the load had a master."""
    if evidence.load_workers:
        yield workers_whole(evidence)
        yield clocks_known(evidence)
