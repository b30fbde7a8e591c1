"""Programs: which code runs in which deployment, how it is served, and in what environment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import PurePath
from typing import Any

from harness.audit.joining.alternatives import decided
from harness.audit.joining.environments import (
    Resolver,
    environment_of,
    files_around,
    setting_of,
)
from harness.audit.joining.filling import filled
from harness.audit.joining.products import Databases, is_anothers, is_not_postgresql
from harness.audit.joining.profiles import of_profile
from harness.audit.joining.runtimes import runtime_of, threaded
from harness.audit.loaders.containers import image_name, is_other_database
from harness.audit.loaders.known import program_of
from harness.audit.parts import Pool, Target, Workload
from harness.audit.paths import is_within, parts_of
from harness.audit.reading import Code, Deployment, Environment, Image, Runtime, Setting
from harness.audit.values import Place, Settings, Value, replaced

ASIDE = frozenset({"alembic", "migrations", "migration", "scripts", "bench", "benchmarks"})
"""Folders of code that changes the schema or is run by hand, and serves nobody."""

EXAMPLES = frozenset({"example", "examples", "sample", "samples"})
"""Folders of code that is shown, and run by nothing but a deployment that is shown with it."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the files have about programs, before it is joined."""

    codes: tuple[Code, ...]
    runtimes: tuple[Runtime, ...]
    deployments: tuple[Deployment, ...]
    settings: tuple[Setting, ...]
    environments: tuple[Environment, ...]
    images: tuple[Image, ...] = ()
    staged: tuple[Runtime, ...] = ()
    """How images that end with a stage are started: nobody's, but whose image is built so."""

    databases: Databases = field(default_factory=Databases)

    def base_of(self, image_file: str) -> str:
        """The image that a Dockerfile builds upon; "" where it was not read."""
        return next((each.base for each in self.images if each.name == image_file), "")

    def runtimes_of(self, image_file: str) -> tuple[Runtime, ...]:
        """Without what other images start, where this one's Dockerfile was read."""
        if all(each.name != image_file for each in self.images):
            return self.runtimes
        every = (*self.runtimes, *self.staged)
        return tuple(each for each in every if each.image in ("", image_file))


def workloads_of(sources: Sources) -> tuple[Workload, ...]:
    """Every deployment with its pools, and code that no deployment is known to run."""
    codes = filled([each for each in sources.codes if not _is_aside(each)])
    told = [each for each in codes if not each.pools or not all(map(is_not_postgresql, each.pools))]
    one_program = len({_root(each, sources) for each in told or codes}) == 1
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


def _is_aside(code: Code) -> bool:
    """By its folder, or by its own name: ``plugins/migrations.py``."""
    return bool(ASIDE & {*parts_of(code.folder), PurePath(code.place.file).stem})


def _run_by(code: Code, sources: Sources, *, one_program: bool) -> list[int]:
    """The deployments that run this code, by their numbers: by the strongest sign there is.

    An image that is built from a folder around it; else one whose environment names the variables
    that its pools read; else a name that is also a folder's; else all applications, where all
    code is of one program.
    """
    all_of_them = [
        (number, each)
        for number, each in enumerate(sources.deployments)
        if EXAMPLES & set(parts_of(code.folder)) <= set(parts_of(each.place.file))
    ]
    around = [
        (len(parts_of(each.folder)), number)
        for number, each in all_of_them
        if each.folder and is_within(code.folder, each.folder)
    ]
    if around:
        deepest = max(depth for depth, _ in around)
        return _connecting(code, [n for depth, n in around if depth == deepest], sources)
    open_ones = [(number, each) for number, each in all_of_them if not each.folder]
    names = {part.lower() for part in parts_of(code.folder)} | {code.program.lower() or "/"}
    by_name = [
        number for number, each in open_ones if {each.name.lower(), _program_of(each.image)} & names
    ]
    if by_name:
        return by_name
    asked = _asked([*code.pools], code, sources)
    by_variable = [number for number, each in open_ones if asked & _named_in(each, sources)]
    if by_variable:
        return by_variable
    applications = [number for number, each in open_ones if _is_application(each, sources)]
    return applications if one_program else []


def _asked(parts: Iterable[Pool | Target], code: Code, sources: Sources) -> set[str]:
    return {name for part in parts for name in _variables(part, sources.settings, code.folder)}


def _connecting(code: Code, numbers: Sequence[int], sources: Sources) -> list[int]:
    """Of deployments of one folder those that run this code, by its database's address.

    One whose variables lack it, where another's have it, and that starts something else (by a
    command of its own that is no server's, or from a Dockerfile of its own) is no such program:
    the load, the browser's tests, a gateway. Of code whose address no variable decides, it is
    those of its pool.
    """
    if len(numbers) < 2:
        return [*numbers]
    asked = _asked([pool.target for pool in code.pools], code, sources)
    asked = asked or _asked([*code.pools], code, sources)
    told = {n for n in numbers if asked & _named_in(sources.deployments[n], sources)}
    if not told:
        return [*numbers]
    images = {sources.deployments[n].image_file for n in told}
    known = {each.name for each in sources.environments}

    def is_another(deployment: Deployment) -> bool:
        files = {*deployment.environment_files} - {deployment.image_file}
        if not files <= known:
            return False  # what they have, nobody has read
        runtime = deployment.runtime
        if runtime is not None:
            return not runtime.serves.is_known
        return deployment.image_file not in images

    return [n for n in numbers if n in told or not is_another(sources.deployments[n])]


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


def _is_application(deployment: Deployment, sources: Sources) -> bool:
    served = deployment.runtime is not None
    return served or sources.databases.connects(deployment.environment, deployment.place)


def _variables(part: Pool | Target, settings: Sequence[Setting], folder: str) -> Iterator[str]:
    """The environment variables that decide something of this part."""
    for value in _values(part):
        if (variable := value.variable) is None:
            continue
        if not variable.attribute:
            yield from (variable.name, *variable.aliases)
        elif (setting := setting_of(variable, settings, folder)) is not None:
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
    base = sources.base_of(deployment.image_file)
    if base and is_other_database(image_name(base)):
        return None
    environment = environment_of(deployment, codes, sources.environments)
    codes = [of_profile(each, environment) for each in codes]
    own: tuple[Code, ...] = ()
    if (program := program_of(environment)) is not None:
        deployment, code = program.known(deployment, environment)
        own = (code,)
    runtimes = sources.runtimes_of(deployment.image_file)
    runtime = runtime_of(deployment.runtime, deployment.folder, codes, runtimes)
    pools = _pools(codes, runtime, environment, sources)
    if own:  # what its code does not show are the pools that are known
        beside = (each for each in pools if each.size.is_known)
        pools = (*_pools(own, runtime, environment, sources), *beside)
    if not pools and not sources.databases.connects(environment, deployment.place):
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
        hold_s=deployment.hold_s.resolved(environment),
    )


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
    runtime = runtime_of(None, first.folder, codes, sources.runtimes)
    codes, all_of_them = (
        [each for each in codes if not each.pools or _pools([each], runtime, environment, sources)],
        codes,
    )
    if not codes:
        return None
    left = {each.place.file for each in all_of_them} - {each.place.file for each in codes}
    first = codes[0]
    pools = _pools(codes, runtime, environment, sources)
    if not pools:
        return None
    served = runtime is not None and runtime.place.file not in left
    said = runtime.place if runtime is not None and served else first.place
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


def _pools(
    codes: Sequence[Code], runtime: Runtime | None, environment: Settings, sources: Sources
) -> tuple[Pool, ...]:
    found = []
    for code in codes:
        resolve = Resolver(environment, sources.settings, code.folder)
        disposed = any(each.disposes_after_fork for each in codes)
        mine = [
            each
            for each in code.pools
            if not is_anothers(each, environment, sources.settings, code.folder)
        ]
        for pool in replaced(tuple(mine), resolve):
            if is_not_postgresql(pool):
                continue
            pool = threaded(pool, runtime and replaced(runtime, resolve))
            if disposed:
                pool = replace(pool, disposed_after_fork=Value.at(True, code.place))
            found.append(pool)
    return decided(found)
