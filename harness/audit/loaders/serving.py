"""Servers and workers by their command's arguments: processes, threads, times.

Defaults: https://docs.gunicorn.org/en/stable/settings.html, https://www.uvicorn.org/settings/,
https://hypercorn.readthedocs.io/en/latest/how_to_guides/configuring.html,
https://github.com/emmett-framework/granian, https://docs.pylonsproject.org/projects/waitress/,
https://docs.celeryq.dev/en/stable/reference/cli.html#celery-worker,
https://dramatiq.io/guide.html, https://uwsgi-docs.readthedocs.io/en/latest/Options.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.audit.loaders.shell import Word, words_at
from harness.audit.reading import Runtime, number, parsed, zero_is_unlimited
from harness.audit.values import Place, Settings, Value, Variable, read_at

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Start:
    """A known program that is started, with its arguments."""

    program: str
    arguments: tuple[Word, ...]
    place: Place
    folder: str
    environment: Settings

    def options(self, *names: str, flags: str = "") -> dict[str, Word]:
        """The options that are said, by the first of each one's spellings; the last one holds.

        ``names`` are spellings (``-w --workers``) of what takes a value, ``flags`` of what none.
        """
        known = {spelling: each.split()[-1] for each in names for spelling in each.split()}
        found: dict[str, Word] = {}
        words = iter(self.arguments)
        for word, place in words:
            name, equals, text = word.partition("=")
            if word in flags.split():
                found[word] = "true", place
            elif name in known and name.startswith("--"):
                found[known[name]] = (text, place) if equals else next(words, ("", place))
            elif word[:2] in known and not word.startswith("--"):
                text = word[2:].removeprefix("=")
                found[known[word[:2]]] = (text, place) if text else next(words, ("", place))
        return {key: (text, replace(at, key=key)) for key, (text, at) in found.items()}

    def default(self, value: T, whose: str = "") -> Value[T]:
        """The program's own."""
        return Value.default(value, whose or self.program, self.place)

    def runtime(
        self,
        processes: Value[int],
        *,
        threads: Value[float] | None = None,
        timeout_s: Value[float] | None = None,
        preload: Value[bool] | None = None,
        serves: bool = True,
        settings_file: str = "",
    ) -> Runtime:
        """What was found; a server that says nothing of a time ends no request."""
        return Runtime(
            place=self.place,
            folder=self.folder,
            processes=processes,
            threads=threads or Value.unknown(f"{self.program} does not limit them", self.place),
            timeout_s=timeout_s or self.default(math.inf),
            preload=preload or self.default(False),
            serves=self.default(serves),
            settings_file=settings_file,
        )

    def count(self, said: Settings, key: str, default: Value[int]) -> Value[int]:
        """Processes, where a number that makes sense is said."""
        return parsed(said, key, _positive, default)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _file(said: Mapping[str, Word], key: str) -> str:
    """The path of a settings file that an option names; "" where it is filled in elsewhere."""
    text = said[key][0] if key in said else ""
    module = text.removeprefix("python:")
    text = f"{module.replace('.', '/')}.py" if module != text else text.removeprefix("file:")
    return "" if re.search(r"[${}]", text) else text


_GUNICORN = (
    "-w --workers",
    "--threads",
    "-k --worker-class",
    "-t --timeout",
    "-c --config",
    "--worker-connections",
)


def _gunicorn(start: Start) -> Runtime:
    """Command line over ``GUNICORN_CMD_ARGS``; ``WEB_CONCURRENCY`` is the default's."""
    more, _ = start.environment.get("GUNICORN_CMD_ARGS", ("", start.place))
    from_environment = words_at(more, start.place)
    start = replace(start, arguments=(*from_environment, *start.arguments))
    said = start.options(*_GUNICORN, flags="--preload --preload-app")
    one = start.default(1).decided_by(Variable("WEB_CONCURRENCY", _positive))
    threads, timeout_s = _gunicorn_limits(start, said)
    preloads = next((said[key][1] for key in ("--preload", "--preload-app") if key in said), None)
    return start.runtime(
        start.count(said, "--workers", one),
        threads=threads,
        timeout_s=timeout_s,
        preload=Value.at(True, preloads) if preloads else None,
        # It reads the one of its folder without being told.
        settings_file=_file(said, "--config") if "--config" in said else "gunicorn.conf.py",
    )


def _gunicorn_limits(start: Start, said: Settings) -> tuple[Value[float], Value[float]]:
    """Requests that a worker takes at once, and the time after which it is killed over one.

    Only a sync worker is: the others tell that they are alive while a request lasts. More than
    one thread makes a sync worker a gthread one.
    """
    kind, place = said.get("--worker-class", ("sync", start.place))
    kind = kind.rpartition(".")[2].lower()
    threads = parsed(said, "--threads", number, start.default(1.0))
    timeout_s = parsed(said, "--timeout", zero_is_unlimited, start.default(30.0))
    unlimited = Value.at(math.inf, replace(place, key="--worker-class"))
    if "$" in kind or "{" in kind:
        unknown: Value[float] = Value.unknown("--worker-class is filled in elsewhere", place)
        return unknown, unknown
    if kind == "sync":
        if threads.known == 1:
            return threads, timeout_s
        return threads, Value.at(math.inf, said["--threads"][1])
    if kind == "gthread":
        return threads, unlimited
    if "gevent" in kind or "eventlet" in kind:
        default = start.default(1000.0)
        return parsed(said, "--worker-connections", number, default), unlimited
    return Value.unknown("its workers take any number of requests at once", place), unlimited


def _uvicorn(start: Start) -> Runtime:
    """One that reloads is a developer's: what another file says of its workers holds."""
    said = start.options("--workers", "--limit-concurrency", flags="--reload")
    one = start.default(1, "uvicorn").decided_by(Variable("WEB_CONCURRENCY", _positive))
    processes = start.count(said, "--workers", one)
    if "--reload" in said or (start.program == "fastapi" and _is_first(start, "dev")):
        processes = Value.unknown("a server that reloads is a developer's", start.place)
    limit = parsed(said, "--limit-concurrency", number) if "--limit-concurrency" in said else None
    return start.runtime(processes, threads=limit)


def _is_first(start: Start, word: str) -> bool:
    return bool(start.arguments) and start.arguments[0][0] == word


def _hypercorn(start: Start) -> Runtime:
    said = start.options("-w --workers", "-c --config")
    processes = start.count(said, "--workers", start.default(1))
    return start.runtime(processes, settings_file=_file(said, "--config"))


def _granian(start: Start) -> Runtime:
    said = start.options("--workers", "--blocking-threads")
    one = start.default(1).decided_by(Variable("GRANIAN_WORKERS", _positive))
    threads = parsed(said, "--blocking-threads", number) if "--blocking-threads" in said else None
    return start.runtime(start.count(said, "--workers", one), threads=threads)


def _waitress(start: Start) -> Runtime:
    said = start.options("--threads")
    threads = parsed(said, "--threads", number, start.default(4.0))
    return start.runtime(start.default(1), threads=threads)


def _pserve(start: Start) -> Runtime:
    """PasteDeploy's: its ini file says which server it is, and all of it."""
    said: Value[float] = Value.unknown("the file that pserve is started with says it", start.place)
    file = next((word for word, _ in start.arguments if ".ini" in word), "")
    return Runtime(
        place=start.place,
        folder=start.folder,
        processes=Value.unknown(said.why, start.place),
        threads=said,
        timeout_s=said,
        preload=Value.unknown(said.why, start.place),
        serves=start.default(True),
        settings_file=file.partition("#")[0] if "$" not in file else "",
    )


def _uwsgi(start: Start) -> Runtime:
    """Options, and what ``UWSGI_…`` says; a file of settings is read by itself."""
    said = start.options(
        "-p --processes", "--workers", "--threads", "--harakiri", "--ini", flags="--lazy-apps"
    )
    key = "--workers" if "--workers" in said else "--processes"
    one = start.default(1).decided_by(Variable("UWSGI_PROCESSES", _positive, aliases=_UWSGI_P))
    thread = start.default(1.0).decided_by(Variable("UWSGI_THREADS", number))
    limit = start.default(math.inf).decided_by(Variable("UWSGI_HARAKIRI", zero_is_unlimited))
    lazy, file = said.get("--lazy-apps"), _file(said, "--ini")
    named = [
        word for word, _ in start.arguments if word.endswith((".ini", ".yaml", ".yml", ".xml"))
    ]
    if named or file:
        one = Value.unknown("a file that uwsgi is started with may say it", start.place)
        thread, limit = Value.unknown(one.why, start.place), Value.unknown(one.why, start.place)
        file = file or _file({"": (named[-1], start.place)}, "")
    return start.runtime(
        start.count(said, key, one),
        threads=parsed(said, "--threads", number, thread),
        timeout_s=parsed(said, "--harakiri", zero_is_unlimited, limit),
        preload=Value.at(False, lazy[1]) if lazy else start.default(True),
        settings_file=file,
    )


_UWSGI_FILES = (".ini", ".yaml", ".yml", ".xml", ".json")
_UWSGI_P = ("UWSGI_WORKERS", "UWSGI_P")


def _celery(start: Start) -> Runtime:
    """A prefork worker has a process for each core, where nothing is said."""
    words = {word for word, _ in start.arguments}
    if "worker" not in words:
        # beat is a loop of one thread, unless it is embedded in a worker; flower is a server.
        return _worker(start) if "beat" in words else _one_process(start, serves=False)
    said = start.options("-c --concurrency", "-P --pool", "--autoscale")
    whole = start.default(1)
    cores: Value[int] = Value.unknown("celery starts a process for each core", start.place)
    count = start.count(said, "--concurrency", cores)
    if "--autoscale" in said:
        text, place = said["--autoscale"]
        count = read_at(text, place, "--autoscale", lambda said: _positive(said.split(",")[0]))
    kind, place = said.get("--pool", ("prefork", start.place))
    if kind in ("prefork", "processes"):
        return start.runtime(count, threads=start.default(1.0), serves=False)
    if kind == "solo":
        return start.runtime(whole, threads=Value.at(1.0, place), serves=False)
    if kind in ("threads", "gevent", "eventlet"):
        return start.runtime(whole, threads=count.map(float), serves=False)
    unknown: Value[int] = Value.unknown("--pool is not understood", place)
    return start.runtime(unknown, threads=unknown.map(float), serves=False)


def _dramatiq(start: Start) -> Runtime:
    said = start.options("-p --processes", "-t --threads")
    cores: Value[int] = Value.unknown("dramatiq starts a process for each core", start.place)
    threads = parsed(said, "--threads", number, start.default(8.0))
    return start.runtime(start.count(said, "--processes", cores), threads=threads, serves=False)


def _taskiq(start: Start) -> Runtime:
    said = start.options("-w --workers")
    return start.runtime(start.count(said, "--workers", start.default(2)), serves=False)


def _one_process(start: Start, *, serves: bool) -> Runtime:
    return start.runtime(start.default(1), serves=serves)


def _worker(start: Start) -> Runtime:
    """One job at a time."""
    return start.runtime(start.default(1), threads=start.default(1.0), serves=False)


def _flask(start: Start) -> Runtime:
    return _server(start) if any(word == "run" for word, _ in start.arguments) else _alone(start)


def _server(start: Start) -> Runtime:
    """One process, in which any number of requests may be worked on."""
    return _one_process(start, serves=True)


def _alone(start: Start) -> Runtime:
    """A program of one process, where its code starts no more, of which nothing else is known."""
    unsaid: Value[bool] = Value.unknown("its command does not say whether it serves", start.place)
    runtime = start.runtime(start.default(1, f"{start.program}, started by itself"))
    unlimited: Value[float] = Value.unknown("its command does not say", start.place)
    return replace(runtime, serves=unsaid, preload=unsaid, timeout_s=unlimited, threads=unlimited)


PROGRAMS: Mapping[str, Callable[[Start], Runtime]] = {
    "gunicorn": _gunicorn,
    "uvicorn": _uvicorn,
    "fastapi": _uvicorn,
    "hypercorn": _hypercorn,
    "granian": _granian,
    "waitress-serve": _waitress,
    "waitress": _waitress,
    "daphne": _server,
    "pserve": _pserve,
    "uwsgi": _uwsgi,
    "runserver": _server,
    "flask": _flask,
    "celery": _celery,
    "rq": _worker,
    "rqworker": _worker,
    "arq": _worker,
    "dramatiq": _dramatiq,
    "taskiq": _taskiq,
    "python": _alone,
    "java": _alone,
}
