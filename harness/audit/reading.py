"""What a loader has found in one file, before it is joined with the others.

A file may have a whole part of the chain (a server, a gateway), or a piece of a workload: its
*code* (pools), its *runtime* (processes and threads), its *deployment* (replicas and
environment). `join` puts the pieces together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from harness.audit.crossings import Amendment as Amendment
from harness.audit.crossings import Calling as Calling
from harness.audit.crossings import Maker as Maker
from harness.audit.crossings import Reexport as Reexport
from harness.audit.crossings import Reference as Reference
from harness.audit.crossings import Supposed as Supposed
from harness.audit.crossings import Taking as Taking
from harness.audit.directives import Directive
from harness.audit.finding import Unread
from harness.audit.parts import (
    Alert,
    Client,
    Gateway,
    Histogram,
    Monitor,
    Package,
    Pool,
    Pooler,
    Proxy,
    Recording,
    Server,
    Use,
    Watch,
    Workload,
    not_said,
)
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value
from harness.audit.values import Settings as Settings
from harness.audit.values import read_at as read_at
from harness.audit.yamls import Item

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What one file of a program makes: pools, and what it does with them.

    ``folder`` is where it stands, as the user wrote it; ``program`` what it calls itself, "" where
    it does not say. ``said`` are the settings of a configuration file's section about its pool, as
    code may read them by their names; none of them is a secret. What is only ``given`` to code is
    no pool beside the one that the code makes.
    """

    place: Place
    folder: str
    program: str = ""
    pools: tuple[Pool, ...] = ()
    uses: tuple[Use, ...] = ()
    disposes_after_fork: bool = False
    said: Settings = field(default_factory=dict, repr=False)
    given: bool = False
    profiles: tuple[str, ...] = ()
    """Spring's profiles that it has something for; production's is what its pools are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """How a program is served: gunicorn's settings, a command line, a Dockerfile's CMD.

    ``serves`` is False for a job queue's worker. What a deployment's own command says holds over
    what a file in its folder says.
    """

    place: Place
    folder: str
    processes: Value[int] = field(default_factory=not_said)
    threads: Value[float] = field(default_factory=not_said)
    timeout_s: Value[float] = field(default_factory=not_said)
    preload: Value[bool] = field(default_factory=not_said)
    serves: Value[bool] = field(default_factory=not_said)
    settings_file: str = ""
    """A file that its command names (``gunicorn -c``), relative to ``folder``."""

    argument: str = ""
    """Of a command that starts no known program: what an image's entry point may start by it."""

    image: str = ""
    """The name of the image that starts it so; "" where it is not an image's own command."""


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A script that starts one of several programs, by the word it is given; None for a task.

    ``folder`` is where the programs stand. The word ``*`` stands for any other.
    """

    place: Place
    folder: str
    starts: Mapping[str, Runtime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where a program runs: a service of a compose file, a Deployment, a unit, a Procfile's line.

    ``folder`` is what its image is built from, "" where no file says. ``kind`` tells declarations
    of different files apart, so that an overlay or an override is not counted twice.
    """

    name: str
    place: Place
    kind: str
    folder: str = ""
    image: str = ""
    image_file: str = ""
    """The `Image` that is built for it, by its name; "" where none is built here."""

    environment: Settings = field(default_factory=dict)
    environment_files: tuple[str, ...] = ()
    """Paths of ``.env`` files, and names of ConfigMaps, that it takes its environment from."""

    replicas: Value[int] = field(default_factory=not_said)
    surge: Value[float] = field(default_factory=not_said)
    runtime: Runtime | None = None
    """What its own command says."""

    argument: str = ""
    """The word that its image is given, where no file says what that starts."""

    hosts: tuple[str, ...] = ()
    hold_s: Value[float] = field(default_factory=not_said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The most replicas of a deployment, said elsewhere (a HorizontalPodAutoscaler)."""

    of: str
    kind: str
    replicas: Value[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A named setting that code reads by attribute: ``pool_size`` of a settings class or module.

    ``variable`` is the environment variable that decides it, "" for none; ``text`` its default.
    ``owners`` are the class that declares it, objects of that class, and the module, by name.
    """

    name: str
    variable: str
    place: Place
    text: str | None = None
    owners: frozenset[str] = frozenset()
    given: bool = False
    """Whether an object is made with it, whatever its class says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A file of variables: ``.env``, a ConfigMap. ``name`` is how deployments call it."""

    name: str
    place: Place
    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A name that leads to deployments: a Kubernetes Service and those that it selects."""

    name: str
    deployments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherDatabase:
    """A server of another product: what connects to it has no pool that is judged here."""

    name: str
    place: Place
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a Dockerfile makes: ``name`` is its path, ``base`` what it is built upon.

    An image that ends with a stage before the last has the stage's name behind the path.
    """

    name: str
    place: Place
    base: str
    starts: bool
    """Whether it says itself what is started."""


def of_stage(dockerfile: str, stage: str) -> str:
    """The name of the image that ends with that stage; that of the last one without."""
    return f"{dockerfile}#{stage.lower()}" if stage else dockerfile


def is_stage(image: str) -> bool:
    return "#" in image


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFile:
    """A file of PostgreSQL's settings, or its ``ALTER SYSTEM``, before others add to it.

    ``lines`` are settings and ``include`` directives by their names, in the order they stand in.
    Of a ``part`` the rest is said elsewhere; one that is ``last`` holds over all others.
    """

    place: Place
    lines: tuple[tuple[str, str, Place], ...]
    part: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerFile:
    """A file of PgBouncer's: each line's section, key and text, in their order.

    A line of what is included has its section "" until the file itself names one.
    """

    place: Place
    lines: tuple[tuple[str, str, str, Place], ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeFile:
    """A compose file, for those that extend its services.

    ``includes`` are the files that it names, each with the line.
    """

    source: SourceFile = field(repr=False)
    services: Mapping[str, Item] = field(repr=False)
    includes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonFile:
    """A Python file, for others that import what it declares."""

    source: SourceFile = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxFile:
    """A file of nginx's, for those that it includes and that include it."""

    name: str
    directives: tuple[Directive, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserList:
    """How many users a pooler's file lists. Of the file itself nothing is kept."""

    place: Place
    users: int


@dataclass(frozen=True, slots=True)
class RoleSetting:
    """What a role's sessions run with (``ALTER ROLE … SET``, ``CONNECTION LIMIT``).

    ``role`` is "" for all roles, and ``database`` "" for all databases.
    """

    role: str
    database: str
    key: str
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Membership:
    """A role that is granted to another; ``superuser`` stands for the attribute."""

    role: str
    member: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One file's share of the chain; with ``complete`` it is a chain of its own."""

    clients: tuple[Client, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    workloads: tuple[Workload, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    poolers: tuple[Pooler, ...] = ()
    servers: tuple[Server, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    alerts: tuple[Alert, ...] = ()
    recordings: tuple[Recording, ...] = ()
    watches: tuple[Watch, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    packages: tuple[Package, ...] = ()
    peak_per_s: Value[float] = field(default_factory=lambda: Value.unknown("no peak is declared"))
    slo_s: Value[float] = field(default_factory=not_said)
    codes: tuple[Code, ...] = ()
    takings: tuple[Taking, ...] = ()
    callings: tuple[Calling, ...] = ()
    session_names: tuple[str, ...] = ()
    """Annotations by which endpoints are given a session, as paths like a `Taking`'s."""

    supposed: tuple[Supposed, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    makers: tuple[Maker, ...] = ()
    references: tuple[Reference, ...] = ()
    reexports: tuple[Reexport, ...] = ()
    runtimes: tuple[Runtime, ...] = ()
    entry_points: tuple[EntryPoint, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    scales: tuple[Scale, ...] = ()
    settings: tuple[Setting, ...] = ()
    environments: tuple[Environment, ...] = ()
    services: tuple[Service, ...] = ()
    others: tuple[OtherDatabase, ...] = ()
    images: tuple[Image, ...] = ()
    server_files: tuple[ServerFile, ...] = ()
    pooler_files: tuple[PoolerFile, ...] = ()
    user_lists: tuple[UserList, ...] = ()
    compose_files: tuple[ComposeFile, ...] = field(default=(), repr=False, compare=False)
    nginx_files: tuple[NginxFile, ...] = field(default=(), repr=False, compare=False)
    python_files: tuple[PythonFile, ...] = field(default=(), repr=False, compare=False)
    """The file itself, for others that are read with it. It has secrets, and goes no further."""

    role_settings: tuple[RoleSetting, ...] = ()
    memberships: tuple[Membership, ...] = ()
    unread: tuple[Unread, ...] = ()
    complete: bool = False
    variant: str = ""
    """The overlay that it is part of: one of several that are alternatives to each other."""

    live: bool = False
    """Read from what runs, which holds over any file about it."""


def parsed(
    settings: Settings,
    key: str,
    read: Callable[[str], T],
    default: Value[T] | None = None,
) -> Value[T]:
    """A setting, or its default where nothing is said; unknown for placeholders and nonsense.

    A text that is one variable becomes a value that this variable decides.
    """
    if key not in settings:
        return default if default is not None else Value.unknown(f"{key} is not said")
    text, place = settings[key]
    return read_at(text, place, key, read)


def number(text: str) -> float:
    """A finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def zero_is_unlimited(text: str) -> float:
    """A number whose 0 stands for no limit at all."""
    return number(text) or math.inf


def negative_is_unlimited(count: float) -> float:
    """A number of which any below 0 stands for no limit at all (SQLAlchemy's ``max_overflow``)."""
    return math.inf if count < 0 else count


def truth(text: str) -> bool:
    """``true``, ``yes``, ``on``, ``1``, and their opposites."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(text)
