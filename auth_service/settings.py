"""Every setting of the service, typed and validated, from the environment.

A bad environment is refused with all of its problems at once, each under the name of its variable,
and without ever repeating the value of a secret.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

PoolImplementation = Literal["sqlalchemy-async", "sqlalchemy-sync", "psycopg-pool", "none"]
"""The pools the service can run on; ``none`` connects anew for every use."""

POOL_IMPLEMENTATIONS: tuple[PoolImplementation, ...] = get_args(PoolImplementation)

EXIT_BAD_SETTINGS = 2

Seconds = Annotated[float, Field(allow_inf_nan=False)]


def _refuse(message: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{message}", {"message": message})


DEFECT_NAMES = (
    "hash-while-holding",
    "leak-on-failed-login",
    "nested-checkout",
    "session-over-teardown",
    "idle-in-transaction",
)
"""The mistakes that `auth_service.defects` knows; named here apart from their code."""


class PoolSettings(BaseModel):
    """How the service pools its connections (``AUTH_POOL__*``).

    ``size``, ``max_overflow`` and ``timeout_s`` have SQLAlchemy's meanings, also for odd values:
    there ``size = 0`` and ``max_overflow = -1`` both mean *no limit*. psycopg-pool gets
    ``max_size = size + max_overflow``, ``recycle_s`` as ``max_lifetime`` and ``pre_ping`` as
    ``check``.

    What only one implementation knows is refused with the others, unless it has its default
    value; ``none`` alone, being the absence of a pool, has no use for a size, an overflow, a
    timeout and the care of idle connections, and takes them without a word.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # A check across fields lives with the later field, because a field validator sees the fields
    # before it and still runs when another field is wrong: all problems come out at once.
    implementation: PoolImplementation = "sqlalchemy-async"
    name: str = Field("primary", pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    size: int = Field(5, ge=0)
    max_overflow: int = Field(10, ge=-1)
    timeout_s: Seconds = Field(30.0, gt=0)
    recycle_s: Seconds = Field(-1.0, ge=-1)
    pre_ping: bool = False
    use_lifo: bool = False
    min_size: int | None = Field(None, ge=0)
    max_waiting: int = Field(0, ge=0)
    threads: int = Field(40, ge=1)

    @property
    def max_connections(self) -> int | None:
        """The most connections the pool will hold; None where there is no limit."""
        if self.implementation == "none":
            return None
        unlimited = self.implementation.startswith("sqlalchemy-") and (
            self.size == 0 or self.max_overflow < 0
        )
        return None if unlimited else self.size + self.max_overflow

    @field_validator("max_overflow")
    @classmethod
    def _a_psycopg_pool_has_a_limit(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get("implementation") != "psycopg-pool":
            return value
        if value < 0:
            raise _refuse("psycopg-pool has no unlimited size; give 0 or more")
        if info.data.get("size", 1) + value < 1:
            raise _refuse("size + max_overflow must be at least 1 for psycopg-pool")
        return value

    @field_validator("use_lifo")
    @classmethod
    def _lifo_is_sqlalchemys(cls, value: bool, info: ValidationInfo) -> bool:
        implementation = info.data.get("implementation")
        if value and implementation == "psycopg-pool":
            raise _refuse(
                "only sqlalchemy-async and sqlalchemy-sync can hand out the last connection first,"
                f" not {implementation}"
            )
        return value

    @field_validator("min_size")
    @classmethod
    def _min_size_fits(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None:
            return None
        _only_for("psycopg-pool", info)
        size, overflow = info.data.get("size"), info.data.get("max_overflow")
        if size is not None and overflow is not None and value > size + overflow:
            raise _refuse(f"must be at most size + max_overflow = {size} + {overflow}")
        return value

    @field_validator("max_waiting")
    @classmethod
    def _max_waiting_is_psycopgs(cls, value: int, info: ValidationInfo) -> int:
        if value != 0:
            _only_for("psycopg-pool", info)
        return value

    @field_validator("threads")
    @classmethod
    def _threads_are_for_the_sync_engine(cls, value: int, info: ValidationInfo) -> int:
        if value != cls.model_fields["threads"].default:
            _only_for("sqlalchemy-sync", info)
        return value


def _only_for(implementation: PoolImplementation, info: ValidationInfo) -> None:
    chosen = info.data.get("implementation")
    if chosen is not None and chosen != implementation:
        raise _refuse(f"only {implementation} knows it; the implementation is {chosen}")


class HashSettings(BaseModel):
    """argon2id's costs and the threads that pay them (``AUTH_HASH__*``).

    The defaults are the smallest that OWASP's Password Storage Cheat Sheet accepts for argon2id
    with one lane: 19 MiB, two passes.

    ``latency_ms`` is what verifying takes at least, its thread held meanwhile. It stands for what
    a small machine cannot pay: production's costs on many cores, or a remote password server.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    time_cost: int = Field(2, ge=1, le=1000)
    parallelism: int = Field(1, ge=1, le=64)
    memory_kib: int = Field(19456, ge=8, le=4 * 1024 * 1024)
    workers: int = Field(2, ge=1, le=256)
    latency_ms: Seconds = Field(0.0, ge=0)

    @field_validator("memory_kib")
    @classmethod
    def _every_lane_has_its_memory(cls, value: int, info: ValidationInfo) -> int:
        lanes = info.data.get("parallelism", 1)
        if value < 8 * lanes:
            raise _refuse(f"argon2 needs at least 8 KiB a lane: {8 * lanes} for {lanes} lanes")
        return value


class ListenSettings(BaseSettings):
    """What every process of the stack reads about listening, announcing itself and ending.

    A process's settings derive from it, with their own ``env_prefix``.
    """

    model_config = SettingsConfigDict(
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(0, ge=0, le=65535)
    announce: Path | None = None
    exit_with_stdin: bool = False
    drain_s: Seconds = Field(5.0, ge=0)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The arguments alone: ``load`` reads the environment, and only where it is asked to."""
        return (init_settings,)


class Settings(ListenSettings):
    """Everything that ``python -m auth_service`` reads (``AUTH_*``)."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    database_url: SecretStr
    replica: str = Field("replica-1", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    release: int = Field(1, ge=1)
    pool: PoolSettings = PoolSettings()
    hash: HashSettings = HashSettings()
    work_ms: Seconds = Field(0.0, ge=0)
    session_ttl_s: Seconds = Field(3600.0, gt=0)
    connect_timeout_s: Seconds = Field(5.0, gt=0)
    statement_timeout_ms: int = Field(0, ge=0)
    retry_after_s: int = Field(1, ge=0)
    defects: Annotated[tuple[str, ...], NoDecode] = ()
    teardown_ms: Seconds = Field(50.0, ge=0)

    @field_validator("database_url")
    @classmethod
    def _is_a_database_url(cls, value: SecretStr) -> SecretStr:
        _split_database_url(value)
        return value

    @field_validator("defects", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())

    @field_validator("defects")
    @classmethod
    def _are_known_defects(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in DEFECT_NAMES]
        if unknown:
            raise _refuse(f"unknown: {', '.join(unknown)}; there are: {', '.join(DEFECT_NAMES)}")
        return tuple(dict.fromkeys(value))

    @field_validator("teardown_ms")
    @classmethod
    def _teardown_has_its_defect(cls, value: float, info: ValidationInfo) -> float:
        default = cls.model_fields["teardown_ms"].default
        if value != default and "session-over-teardown" not in info.data.get("defects", ()):
            raise _refuse("has no effect without the defect session-over-teardown")
        return value

    @property
    def database_address(self) -> str:
        """The database as it may be logged: ``host:port/name``."""
        url = _split_database_url(self.database_url)
        return f"{url.hostname or ''}:{url.port or 5432}{url.path}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must never be written anywhere: the password, encoded and plain."""
        password = _split_database_url(self.database_url).password or ""
        return tuple(sorted({password, unquote(password)} - {""}))


def _split_database_url(value: SecretStr) -> SplitResult:
    wanted = "must be postgresql://user:password@host:port/database"
    # `from None` everywhere: the errors of urlsplit quote pieces of the URL.
    try:
        url = urlsplit(value.get_secret_value())
        # Reading the port is what checks it.
        named = bool(url.hostname or "host=" in url.query) and url.port != 0
    except ValueError:
        raise _refuse(wanted) from None
    if url.scheme != "postgresql":
        raise _refuse(wanted)
    if not named or len(url.path) < 2:
        raise _refuse(wanted)
    return url


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One environment variable that is refused, and why."""

    variable: str
    message: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.message}"


class BadSettings(Exception):  # noqa: N818 - named for what it tells the operator
    """An environment is refused; ``problems`` holds every one of its problems, by variable."""

    def __init__(self, problems: list[SettingProblem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.variable))
        count = len(self.problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"bad settings: {count} problem{'s' if count != 1 else ''}\n{lines}")


SettingsType = TypeVar("SettingsType", bound=ListenSettings)


def load(model: type[SettingsType], environ: Mapping[str, str] | None = None) -> SettingsType:
    """Read ``model`` from ``environ`` (default: the process's own); an empty value is no value.

    A field that is itself a model is read from ``PREFIX_FIELD__SUBFIELD`` variables. A list or a
    mapping must be annotated ``NoDecode`` and decode itself, or pydantic-settings stops at it and
    keeps the other problems to itself.

    Raises:
        BadSettings: with all problems, among them every variable that bears the model's prefix
            and is not one of its settings.
    """
    environment = os.environ if environ is None else environ
    prefix = str(model.model_config.get("env_prefix", ""))
    known = tuple(_variables(model, prefix))
    problems = [
        SettingProblem(name, _unknown(name, known))
        for name in environment
        if name.startswith(prefix) and name not in known
    ]
    source = EnvSettingsSource(model)
    source.env_vars = {name.lower(): environment[name] for name in known if environment.get(name)}
    try:
        settings = model(**source())
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        problems += [_problem(detail, prefix, known) for detail in details]
    else:
        if not problems:
            return settings
    # Outside the handler: the ValidationError, which knows the values, must not be its context.
    raise BadSettings(problems)


def load_or_exit(model: type[SettingsType]) -> SettingsType:
    """Like ``load``, but a bad environment ends the process: problems on stderr, exit code 2."""
    try:
        return load(model)
    except BadSettings as error:
        print(error, file=sys.stderr)
        raise SystemExit(EXIT_BAD_SETTINGS) from None


def _variables(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """The names of all environment variables that ``model`` is read from."""
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _variables(field.annotation, f"{variable}__")
        else:
            yield variable


def _unknown(name: str, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"unknown; did you mean {nearest[0]}?" if nearest else "unknown"


def _problem(detail: ErrorDetails, prefix: str, known: Sequence[str]) -> SettingProblem:
    """A pydantic error under the name of its variable: ``AUTH_POOL__SIZE``, ``X_LIST[0].url``."""
    first, *steps = detail["loc"]
    variable = f"{prefix}{str(first).upper()}"
    while variable not in known and steps:
        variable += f"__{str(steps.pop(0)).upper()}"
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    message = "required" if detail["type"] == "missing" else detail["msg"]
    message = message.removeprefix("Value error, ")
    return SettingProblem(f"{variable}{place}", message)
