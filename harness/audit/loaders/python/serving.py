"""How a program is served, as far as its own code says: gunicorn's file, uvicorn, an application.

Sources: https://docs.gunicorn.org/en/stable/settings.html, https://www.uvicorn.org/settings/ and
https://starlette.dev/threadpool/
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from pathlib import PurePath

from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.forks import HOOKS
from harness.audit.loaders.python.operations import changed
from harness.audit.loaders.python.syntax import Module, keyword, last_name, text_of
from harness.audit.reading import Runtime
from harness.audit.values import Place, Value, Variable

ANYIO_THREADS = 40.0
GUNICORN, ANYIO = "gunicorn", "AnyIO's thread limiter"
WEB_CONCURRENCY = "WEB_CONCURRENCY"
"""Of which gunicorn takes its number of workers, where nothing else is said."""

GUNICORN_SETTINGS = frozenset(
    {
        "bind",
        "workers",
        "threads",
        "worker_class",
        "worker_connections",
        "timeout",
        "graceful_timeout",
        "keepalive",
        "max_requests",
        "max_requests_jitter",
        "preload_app",
        "accesslog",
        "errorlog",
        "wsgi_app",
    }
)
_GUNICORN_FILE = re.compile(r"gunicorn\w*\.?(conf|config)?\.py", re.IGNORECASE)
_APPLICATIONS = frozenset({"FastAPI", "Starlette"})


def folder_of(name: str) -> str:
    """The folder of a file, as the user wrote it."""
    return str(PurePath(name).parent)


def runtimes(module: Module) -> tuple[Runtime, ...]:
    """What this file says of how a program is served."""
    if is_gunicorn(module):
        return (_gunicorn(module),)
    found = [_uvicorn(module, call) for call in module.calls if _runs_uvicorn(module, call)]
    if found:
        return tuple(found)
    if (queue := _celery(module)) is not None:
        return (queue,)
    if found := [_application(module, call) for call in _applications(module)]:
        return (found[0],)
    return _limited(module)


def _limited(module: Module) -> tuple[Runtime, ...]:
    """A file that only sets AnyIO's limit, as an application's lifespan does."""
    threads = _limiter(module)
    if threads.place is None:
        return ()
    folder = folder_of(module.file.name)
    return (
        Runtime(place=threads.place, folder=folder, threads=threads, serves=_yes(threads.place)),
    )


def _yes(place: Place) -> Value[bool]:
    return Value.at(True, place)


def is_gunicorn(module: Module) -> bool:
    """By its name, or by having most of what such a file has."""
    said = GUNICORN_SETTINGS & set(_settings(module))
    if _GUNICORN_FILE.fullmatch(PurePath(module.file.name).name):
        return bool(said) or any(function.name in HOOKS for function in module.functions)
    return len(said) >= 3 and {"bind", "workers"} <= said


def _settings(module: Module) -> dict[str, ast.expr]:
    """What is set at the top of the file, the last one of each name."""
    found: dict[str, ast.expr] = {}
    for statement in module.tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            found[last_name(statement.target)] = statement.value
    return found


def _gunicorn(module: Module) -> Runtime:
    expressions, said = Expressions(module), _settings(module)
    place = Place(module.file.name)

    def number(key: str, default: float) -> Value[float]:
        if key in said:
            return expressions.number(said[key], key)
        return Value.default(default, GUNICORN, place)

    workers = changed(number("workers", 1.0), int, "workers")
    if "workers" not in said:
        workers = workers.decided_by(Variable(WEB_CONCURRENCY, int))
    preload = Value.default(False, GUNICORN, place)
    return Runtime(
        place=place,
        folder=folder_of(module.file.name),
        processes=workers,
        threads=_gunicorn_threads(expressions, said, number("threads", 1.0), place),
        timeout_s=_gunicorn_timeout(said, number("timeout", 30.0), number("threads", 1.0), place),
        preload=expressions.truth(said["preload_app"], "preload_app")
        if "preload_app" in said
        else preload,
        serves=_yes(place),
    )


def _gunicorn_timeout(
    said: dict[str, ast.expr], seconds: Value[float], threads: Value[float], place: Place
) -> Value[float]:
    """Only a sync worker is killed over a request: others say that they live while it lasts.

    More than one thread makes a sync worker a gthread one.
    """
    kind = said.get("worker_class")
    if (kind is None or text_of(kind) == "sync") and threads.known == 1:
        return seconds.map(lambda limit: limit or math.inf)
    if kind is not None and text_of(kind) is None:
        return Value.unknown("worker_class is computed when the code runs", place)
    return Value.at(math.inf, threads.place or place)


def _gunicorn_threads(
    expressions: Expressions, said: dict[str, ast.expr], threads: Value[float], place: Place
) -> Value[float]:
    """Requests that one of its workers works on at once."""
    if "worker_class" not in said:
        return threads
    worker = expressions.text(said["worker_class"], "worker_class")
    if worker.known is None:
        return Value.unknown(worker.why, worker.place)
    kind = worker.known.rpartition(".")[2].lower()
    if "gevent" in kind or "eventlet" in kind:
        if "worker_connections" in said:
            return expressions.number(said["worker_connections"], "worker_connections")
        return Value.default(1000.0, GUNICORN, worker.place)
    if kind in ("sync", "gthread"):
        return threads
    return Value.unknown("its workers run an event loop", worker.place or place)


def _runs_uvicorn(module: Module, call: ast.Call) -> bool:
    """A server that reloads its code is a developer's."""
    reload = keyword(call, "reload")
    developing = isinstance(reload, ast.Constant) and reload.value is True
    return module.qualified(call.func) == "uvicorn.run" and not developing


def _uvicorn(module: Module, call: ast.Call) -> Runtime:
    expressions, place = Expressions(module), module.place(call, "uvicorn.run")
    said = expressions.keywords(call)
    # Without workers it is one, but only where this file is what is run.
    workers: Value[int] = Value.unknown(f"no file says that {module.file.name} is run", place)
    if (node := said.nodes.get("workers")) is not None:
        workers = changed(expressions.number(node, "workers", 1.0), int, "workers")
    limit = said.nodes.get("limit_concurrency")
    threads = _limiter(module)
    if limit is not None:
        threads = expressions.number(limit, "limit_concurrency", math.inf)
    elif threads.place is None and any(_applications(module)):
        threads = Value.default(ANYIO_THREADS, ANYIO, place)
    return Runtime(
        place=place,
        folder=folder_of(module.file.name),
        processes=workers,
        threads=threads,
        serves=_yes(place),
    )


def _celery(module: Module) -> Runtime | None:
    """A job queue's worker, where its application says how many processes that has.

    Source: https://docs.celeryq.dev/en/stable/userguide/configuration.html#worker-concurrency
    """
    if not any(last_name(call.func) == "Celery" for call in module.calls):
        return None
    said = {
        last_name(node.targets[0]): node.value
        for node in module.nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute)
    }
    for call in module.calls:
        if last_name(call.func) == "update":
            said |= {each.arg: each.value for each in call.keywords if each.arg}
    node = said.get("worker_concurrency")
    if node is None or "worker_pool" in said:
        return None
    place = module.place(node, "worker_concurrency")
    count = Expressions(module).number(node, "worker_concurrency")
    return Runtime(
        place=place,
        folder=folder_of(module.file.name),
        processes=changed(count, int, "worker_concurrency"),
        threads=Value.default(1.0, "Celery", place),
        serves=Value.at(False, place),
    )


def _applications(module: Module) -> Iterator[ast.Call]:
    for call in module.calls:
        if last_name(call.func) in _APPLICATIONS and is_asgi(module):
            yield call


def _application(module: Module, call: ast.Call) -> Runtime:
    """An application of FastAPI or Starlette, whoever serves it."""
    place = module.place(call, last_name(call.func))
    threads = _limiter(module)
    if threads.place is None:
        threads = Value.default(ANYIO_THREADS, ANYIO, place)
    return Runtime(
        place=place,
        folder=folder_of(module.file.name),
        processes=Value.unknown(f"nothing says how many processes serve {module.file.name}", place),
        threads=threads,
        serves=_yes(place),
    )


def is_asgi(module: Module) -> bool:
    """Whether the file uses FastAPI or Starlette."""
    return any(
        full.partition(".")[0] in ("fastapi", "starlette") for full in module.imports.values()
    )


def threads_of(module: Module) -> Value[float]:
    """Threads before a pool that this file uses synchronously, where the file shows it."""
    limited = _limiter(module)
    if limited.is_known or limited.variable is not None:
        return limited
    if is_asgi(module):
        return Value.default(ANYIO_THREADS, ANYIO)
    return limited


def _limiter(module: Module) -> Value[float]:
    """``current_default_thread_limiter().total_tokens = 100``."""
    if "thread_limiter" in module.file.text:  # a language model has total_tokens, too
        for node in module.nodes:
            if isinstance(node, ast.Assign) and last_name(node.targets[0]) == "total_tokens":
                return Expressions(module).number(node.value, "total_tokens", math.inf)
    return Value.unknown("no file says how many threads there are")
