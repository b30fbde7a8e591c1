"""Programs: which code runs in which deployment, how it is served, and in what environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import PurePath
from typing import Any

from harness.audit.joining.environments import (
    Resolver,
    environment_of,
    files_around,
    setting_named,
)
from harness.audit.joining.merging import merged
from harness.audit.loaders.service import completed
from harness.audit.parts import Pool, Workload
from harness.audit.paths import common, is_within, parts_of
from harness.audit.reading import Code, Deployment, Environment, Runtime, Setting
from harness.audit.values import Place, Settings, Value, read_at, replaced

ASIDE = frozenset({"alembic", "migrations", "migration", "scripts"})
"""Folders of code that changes the schema or is run by hand, and serves nobody."""

_HOST = re.compile(r"(^|_)(DB|DATABASE|PG|PGSQL|POSTGRES|POSTGRESQL)_?HOST(NAME)?$", re.IGNORECASE)
"""Variables by which images are commonly told of their database."""

_ADDRESS = re.compile(r"^\s*(jdbc:)?(postgres(ql)?|postgis|pgsql)(\+\w+)?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sources:
    """What the files have about programs, before it is joined."""

    codes: tuple[Code, ...]
    runtimes: tuple[Runtime, ...]
    deployments: tuple[Deployment, ...]
    settings: tuple[Setting, ...]
    environments: tuple[Environment, ...]


def workloads_of(sources: Sources) -> tuple[Workload, ...]:
    """Every deployment with its pools, and code that no deployment is known to run."""
    codes = _filled([each for each in sources.codes if not ASIDE & set(parts_of(each.folder))])
    one_program = len({_root(each, sources) for each in codes}) == 1
    running: dict[int, list[Code]] = {number: [] for number in range(len(sources.deployments))}
    alone = []
    for code in codes:
        where = _run_by(code, sources, one_program=one_program)
        for number in where:
            running[number].append(code)
        if not where:
            alone.append(code)
    found = [
        _deployed(deployment, running[number], sources)
        for number, deployment in enumerate(sources.deployments)
    ]
    undeployed = [_undeployed(group, sources) for group in _programs(alone, sources)]
    return tuple(each for each in (*found, *undeployed) if each is not None)


def _run_by(code: Code, sources: Sources, *, one_program: bool) -> list[int]:
    """The deployments that run this code, by their numbers: by the strongest sign there is.

    An image that is built from a folder around it; else one whose environment names the variables
    that its pools read; else a name that is also a folder's; else all applications, where all
    code is of one program.
    """
    all_of_them = list(enumerate(sources.deployments))
    around = [
        (len(parts_of(each.folder)), number)
        for number, each in all_of_them
        if each.folder and is_within(code.folder, each.folder)
    ]
    if around:
        deepest = max(depth for depth, _ in around)
        return [number for depth, number in around if depth == deepest]
    open_ones = [(number, each) for number, each in all_of_them if not each.folder]
    names = {part.lower() for part in parts_of(code.folder)} | {code.program.lower() or "/"}
    by_name = [
        number for number, each in open_ones if {each.name.lower(), _program_of(each.image)} & names
    ]
    if by_name:
        return by_name
    asked = {
        variable
        for pool in code.pools
        for variable in _variables(pool, sources.settings, code.folder)
    }
    by_variable = [number for number, each in open_ones if asked & _named_in(each, sources)]
    if by_variable:
        return by_variable
    applications = [number for number, each in open_ones if _is_application(each)]
    return applications if one_program else []


def _named_in(deployment: Deployment, sources: Sources) -> set[str]:
    """The variables that its environment has, of its own and from files."""
    files = {each.name: each.settings for each in sources.environments}
    own = set(deployment.environment)
    return own.union(*(files.get(name, {}) for name in deployment.environment_files))


def _program_of(image: str) -> str:
    """``registry.example/team/auth-api:1.2`` is ``auth-api``."""
    return image.rpartition("/")[2].partition(":")[0].partition("@")[0].lower()


def _root(code: Code, sources: Sources) -> str:
    """The folder of the program that the code is part of: the nearest with a runtime of its own."""
    around = [each.folder for each in sources.runtimes if is_within(code.folder, each.folder)]
    return max(around, key=len, default="")


def _is_application(deployment: Deployment) -> bool:
    served = deployment.runtime is not None
    return served or _is_connected(deployment.environment)


def _variables(pool: Pool, settings: Sequence[Setting], folder: str) -> Iterator[str]:
    """The environment variables that decide something of this pool."""
    for value in _values(pool):
        if (variable := value.variable) is None:
            continue
        if not variable.attribute:
            yield from (variable.name, *variable.aliases)
        elif (setting := setting_named(variable.name, settings, folder)) is not None:
            yield setting.variable


def _values(part: Any) -> Iterator[Value[Any]]:
    if isinstance(part, Value):
        yield part
    elif isinstance(part, tuple):
        for each in part:
            yield from _values(each)
    elif is_dataclass(part) and not isinstance(part, type | Place):
        for field in fields(part):
            yield from _values(getattr(part, field.name))


def _deployed(deployment: Deployment, codes: Sequence[Code], sources: Sources) -> Workload | None:
    """The deployment as a workload; None for one that has nothing to do with a database."""
    environment = environment_of(deployment, codes, sources.environments)
    deployment = completed(deployment, environment)
    runtime = _runtime(deployment.runtime, deployment.folder, codes, sources)
    pools = tuple(
        pool for pool in (*deployment.pools, *_pools(codes, runtime, environment, sources))
    )
    if not pools and not _is_connected(environment):
        return None
    if not pools:
        why = f"no file that was read says what pool {deployment.name} has"
        unsaid: Value[Any] = Value.unknown(why, deployment.place)
        pools = (
            Pool(
                name=deployment.name,
                place=deployment.place,
                implementation="unknown",
                size=unsaid,
                max_overflow=unsaid,
                timeout_s=unsaid,
            ),
        )
    return _workload(
        deployment.name,
        deployment.place,
        codes,
        pools,
        replaced(runtime, Resolver(environment, sources.settings, deployment.folder)),
        replicas=deployment.replicas.resolved(environment),
        surge=deployment.surge,
        hosts=deployment.hosts,
        hold_s=deployment.hold_s,
    )


def _is_connected(environment: Settings) -> bool:
    return any(_ADDRESS.match(text) or _HOST.search(key) for key, (text, _) in environment.items())


def _programs(codes: Iterable[Code], sources: Sources) -> Iterator[list[Code]]:
    """Code that runs together: below a folder with one runtime; other files each for itself."""
    groups: dict[str, list[Code]] = {}
    for code in codes:
        served = any(is_within(code.folder, each.folder) for each in sources.runtimes)
        key = _root(code, sources) if served else str(code.place)
        groups.setdefault(key, []).append(code)
    yield from groups.values()


def _undeployed(codes: Sequence[Code], sources: Sources) -> Workload | None:
    first = codes[0]
    environment = files_around(first.folder, sources.environments)
    runtime = _runtime(None, first.folder, codes, sources)
    pools = _pools(codes, runtime, environment, sources)
    if not pools:
        return None
    said = runtime.place if runtime is not None else first.place
    name = first.place.file if len(codes) == 1 else (_root(first, sources) or first.folder or ".")
    return _workload(
        name,
        said,
        codes,
        pools,
        replaced(runtime, Resolver(environment, sources.settings, first.folder)),
        replicas=Value.unknown(f"nothing says how many replicas run {name}", said),
        surge=Value.unknown("it is not said"),
        hosts=(),
        hold_s=Value.unknown("it is not said"),
    )


def _workload(
    name: str,
    place: Place,
    codes: Sequence[Code],
    pools: tuple[Pool, ...],
    runtime: Runtime | None,
    *,
    replicas: Value[int],
    surge: Value[float],
    hosts: tuple[str, ...],
    hold_s: Value[float],
) -> Workload:
    processes: Value[int] = Value.unknown(f"nothing says how many processes {name} has", place)
    if runtime is not None:
        processes = runtime.processes
    workload = Workload(
        name=name,
        place=place,
        replicas=replicas,
        processes=processes,
        hold_s=hold_s,
        pools=pools,
        uses=tuple(use for code in codes for use in code.uses),
        surge=surge,
        hosts=hosts,
    )
    if runtime is None:
        return workload
    return replace(
        workload, timeout_s=runtime.timeout_s, preload=runtime.preload, serves=runtime.serves
    )


def _runtime(
    own: Runtime | None, folder: str, codes: Sequence[Code], sources: Sources
) -> Runtime | None:
    """How it is served: what its own command says, completed by the files of its folder."""
    folders = [folder] if folder else [code.folder for code in codes]
    candidates = [
        each
        for each in sources.runtimes
        if any(is_within(near, each.folder) or is_within(each.folder, near) for near in folders)
        or (own is not None and _leads_to(own, each))
    ]
    found = own
    for each in sorted(candidates, key=lambda each: -len(each.folder)):
        if found is None:
            found = each
        elif _completes(each, found, own):
            found = merged(found, each)
    return found


def _completes(file: Runtime, found: Runtime, own: Runtime | None) -> bool:
    """Whether a file says more of the same start.

    The settings file that a command names does. Another start does not, an image's CMD for
    instance, where the deployment has a command of its own; only what that leaves open, it may.
    """
    if not file.processes.is_known and not file.timeout_s.is_known:
        # No start at all: a framework's limit of threads, which holds however it is started.
        return found.serves.known == file.serves.known
    if found.settings_file:
        return _names(found, file)
    if own is not None and own.processes.is_known:
        return False
    return found.serves.known == file.serves.known or not file.serves.is_known


def _leads_to(runtime: Runtime, file: Runtime) -> bool:
    """Whether the file that a command names, with its folder, is this one."""
    path = runtime.settings_file
    return "/" in path and PurePath(file.place.file).match(path.removeprefix("./"))


def _names(runtime: Runtime, file: Runtime) -> bool:
    return PurePath(file.place.file).name == PurePath(runtime.settings_file).name


def _pools(
    codes: Sequence[Code], runtime: Runtime | None, environment: Settings, sources: Sources
) -> tuple[Pool, ...]:
    found = []
    for code in codes:
        resolve = Resolver(environment, sources.settings, code.folder)
        disposed = any(each.disposes_after_fork for each in codes)
        for pool in replaced(code.pools, resolve):
            pool = _threaded(pool, runtime and replaced(runtime, resolve))
            if disposed:
                pool = replace(pool, disposed_after_fork=Value.at(True, code.place))
            found.append(pool)
    return tuple(found)


def _filled(codes: Sequence[Code]) -> list[Code]:
    """Code whose pool is sized by a configuration file, as one: the file says, the code makes.

    Of several files the one that stands nearest to the code is taken to be its own.
    """
    found = list(codes)
    for code in codes:
        if not _is_python(code) or len(code.pools) != 1 or not _asks_a_file(code.pools[0]):
            continue
        says = [each for each in found if _says(each, code.pools[0])]
        near = max((common(code.folder, each.place.file) for each in says), default=0)
        nearest = [each for each in says if common(code.folder, each.place.file) == near]
        if len(nearest) != 1:
            continue
        (own,) = nearest
        pool = replaced(code.pools[0], _as_said(own))
        whole = replace(
            merged(own.pools[0], pool), name=pool.name, implementation=pool.implementation
        )
        found.remove(own)
        found[found.index(code)] = replace(code, pools=(whole,))
    making = {pool.implementation for code in found if _is_python(code) for pool in code.pools}
    return [
        code
        for code in found
        if not code.given or not making & {pool.implementation for pool in code.pools}
    ]


def _as_said(own: Code) -> Callable[[Value[Any]], Value[Any]]:
    """Values that code reads from the file by a setting's name, as its section has that."""
    settings = {name.lower(): said for name, said in own.said.items()}

    def read(value: Value[Any]) -> Value[Any]:
        variable = value.variable
        if variable is None or not variable.attribute or variable.name.lower() not in settings:
            return value
        text, place = settings[variable.name.lower()]
        return read_at(text, place, variable.name, variable.read, partial=variable.partial)

    return read


def _asks_a_file(pool: Pool) -> bool:
    """Whether its size is not known, and is no environment variable's either."""
    variable = pool.size.variable
    return not pool.size.is_known and (variable is None or variable.attribute)


def _says(code: Code, pool: Pool) -> bool:
    """Whether it is a configuration file that may be about ``pool``: not another product's."""
    if _is_python(code) or len(code.pools) != 1:
        return False
    return code.pools[0].implementation in ("unknown", "none", pool.implementation)


def _is_python(code: Code) -> bool:
    return code.place.file.endswith(".py")


def _threaded(pool: Pool, runtime: Runtime | None) -> Pool:
    """With the threads of its server before it, where the pool is used by threads."""
    if runtime is None or pool.is_async.known is True:
        return pool
    threads = runtime.threads
    if pool.implementation == "django" and threads.is_known:
        whose = f"Django: a connection for each of {threads.known:g} threads"
        size = Value(threads.known, "default", threads.place or pool.place, whose)
        pool = replace(pool, size=size, max_overflow=Value.default(0.0, "Django", pool.place))
    if pool.threads.origin == "file":
        return pool
    limits = [each for each in (threads, pool.threads) if each.known is not None]
    # A framework's limiter stands behind its server's: the smaller one lets nobody else through.
    return replace(pool, threads=min(limits, key=lambda each: each.known or 0.0, default=threads))
