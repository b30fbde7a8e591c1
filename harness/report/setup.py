"""What was deployed, where it ran, and how to run it again."""

from __future__ import annotations

from collections.abc import Iterator

from harness.incident import Action, Phase
from harness.report import words
from harness.report.story import Story
from harness.report.words import NOT_MEASURED

TOLD_ELSEWHERE = {"do", "at", "says", "by", "clock", "fix", "settle", "plateau"}
"""Fields of an action that the timeline shows."""


def configuration(story: Story) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """What was deployed and what was thrown at it, in groups of name and value."""
    incident = story.incident
    service, pool, client = incident.service, incident.service.pool, incident.load.client
    limit = "unlimited" if pool.limit is None else f"{pool.limit} a replica"
    fixes = [_fix_words(event) for event in incident.fixes]
    return (
        (
            "Service",
            (
                ("replicas", str(service.replicas)),
                ("pool", f"{pool.implementation}, {words.pool(pool.size, pool.max_overflow)}"),
                ("pool limit", limit),
                ("pool timeout", words.duration(pool.timeout_s)),
                ("work in the transaction", words.duration(service.work_s)),
                ("defects", ", ".join(service.defects) or "none"),
                *_of_its_own(story),
                *(("changed by", text) for text in fixes),
            ),
        ),
        (
            "Around it",
            (
                ("gateway timeout", words.duration(incident.gateway.timeout_s)),
                *_pgbouncer(story),
                ("max_connections", str(incident.database.max_connections)),
                ("reserved connections", str(incident.database.reserved_connections)),
                ("accounts", words.number(incident.database.users)),
            ),
        ),
        (
            "Load and clients",
            (
                *(
                    (f"phase {phase.name}", f"{phase.rate_per_s:g}/s from {_from(story, phase)}")
                    for phase in incident.load.phases
                ),
                ("arrivals", f"{incident.load.arrivals}, open loop"),
                ("client timeout", words.duration(client.timeout_s)),
                ("attempts", str(client.attempts)),
                (
                    "backoff",
                    f"{words.duration(client.backoff_initial_s)} to "
                    f"{words.duration(client.backoff_max_s)}",
                ),
                ("patience", words.duration(client.patience_s)),
                (
                    "SLO",
                    f"{incident.slo.success * 100:g} % of logins within "
                    f"{words.duration(incident.slo.latency_s)}",
                ),
            ),
        ),
    )


def _of_its_own(story: Story) -> Iterator[tuple[str, str]]:
    """What only some incidents' services have."""
    service = story.incident.service
    if service.backups:
        yield "backups", str(service.backups)
    for name, own in service.exceptions.items():
        named = own.model_dump(mode="json", exclude_none=True)
        pool = named.pop("pool", {})
        told = {**named, **{f"pool {key}": value for key, value in pool.items()}}
        yield name, ", ".join(f"{key} {value}" for key, value in told.items())
    if service.hash.latency_s:
        yield "hash takes at least", words.duration(service.hash.latency_s)
    if "session-over-teardown" in service.defects:
        yield "teardown", words.duration(service.teardown_s)
    if service.pool.implementation == "sqlalchemy-sync":
        yield "threads", str(service.pool.threads)


def _pgbouncer(story: Story) -> Iterator[tuple[str, str]]:
    config = story.incident.pgbouncer
    if config is not None:
        yield "PgBouncer", f"{config.pool_mode} mode, default_pool_size {config.default_pool_size}"


def _from(story: Story, phase: Phase) -> str:
    return words.clock(story.incident, phase.at_s, with_seconds=False)


def _fix_words(event: Action) -> str:
    """A fix and what it names: ``set-pool size 20, bake 29m``."""
    named = event.model_dump(mode="json", exclude_defaults=True)
    told = {key: value for key, value in named.items() if key not in TOLD_ELSEWHERE}
    return " ".join([event.do, ", ".join(f"{key} {value}" for key, value in told.items())]).strip()


def environment_rows(story: Story) -> tuple[tuple[str, str], ...]:
    """``environment.json`` as name and value, nested names joined with a dot."""

    def walk(name: str, value: object) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(f"{name}.{key}" if name else str(key), inner)
        elif isinstance(value, list):
            yield name, ", ".join(str(item) for item in value)
        else:
            yield name, NOT_MEASURED if value is None else str(value)

    return tuple(walk("", dict(story.recording.environment)))


def reproduce_commands(story: Story) -> tuple[tuple[str, str], ...]:
    """Commands and what each does."""
    info = story.recording.info
    run = story.recording.directory.name
    full = " --full-length" if info.source == "full-length" else ""
    return (
        (
            f"pooldrill run {story.incident.name} --seed {info.seed}{full}",
            "the same incident again, with the same arrivals",
        ),
        (
            f"pooldrill run {run}/incident.yaml --seed {info.seed}{full}",
            "exactly this definition, overrides included",
        ),
        (f"pooldrill judge {run}", "judge this recording again, without any stack"),
    )
