"""Python sources, read as syntax trees and never executed.

`syntax` has the tree (`newer` spells new syntax as an older Python reads it), `expressions` what
an expression comes to, by `operations` and `mappings`. `pools` and `engines` read what `making`
finds, `connections` how they connect; `django_settings` and `flask_settings` what frameworks make
of `assignments`; `serving` how a program is served, `forks` what it does after a fork; `declared`
settings for other files, with URLs that are put together (`addresses`); `histograms`; `uses` what
code does with what it is `holding` (`teardowns`: after its answer).
"""

from __future__ import annotations

import re

from harness.audit.finding import Unread
from harness.audit.loaders.python.declared import settings
from harness.audit.loaders.python.django_settings import django_pools
from harness.audit.loaders.python.flask_settings import flask_pools
from harness.audit.loaders.python.forks import disposes_after_fork
from harness.audit.loaders.python.histograms import histograms
from harness.audit.loaders.python.making import made
from harness.audit.loaders.python.pools import pool_of
from harness.audit.loaders.python.serving import folder_of, is_gunicorn, runtimes
from harness.audit.loaders.python.syntax import Module, NotPython
from harness.audit.loaders.python.uses import callings, takings, uses
from harness.audit.parts import Pool
from harness.audit.reading import Code, Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place

_SIGNS = re.compile(
    r"create_(?:async_)?engine|engine_from_config|ConnectionPool|create_pool|SQLALCHEMY_|"
    r"\bDATABASES\b|BaseSettings|sessionmaker|SessionLocal|StreamingResponse|BackgroundTasks|"
    r"uvicorn\.run|worker_class|worker_concurrency|post_fork|worker_process_init|register_at_fork|"
    r"engine\.(?:begin|connect)\(|pool\.(?:connection|acquire)\(|call_next\(|"
    r"thread_limiter|FastAPI\(|Starlette\(|Histogram\(|"
    r"^(?:workers|bind|threads|timeout|preload_app)[ \t]{0,9}=|"
    r"(?:getenv|environ|env|config)\b[^\n]{0,80}(?:POOL|DATABASE|DB|POSTGRES|PG|TIMEOUT|CONCUR)|"
    r"^[ \t]{0,12}(?:\w{0,40}pool_size|max_overflow|pool_timeout)[ \t]{0,9}[:=]|"
    r"^[ \t]{0,12}[A-Z_]{0,40}(?:POOL|DATABASE|DB_|POSTGRES|PG_|OVERFLOW|WORKERS)[A-Z_]{0,40}"
    r"[ \t]{0,9}[:=]",
    re.MULTILINE,
)
"""What a file has that may concern us; reading all others as trees would take long."""


def recognises(file: SourceFile) -> bool:
    """By its name, and by a word that it has."""
    return file.path.suffix == ".py" and _SIGNS.search(file.text) is not None


def load(file: SourceFile) -> Reading:
    """What the file makes, does and declares; where it runs, it cannot say."""
    try:
        module = Module(file)
    except NotPython as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    pools = _pools(module)
    code = Code(
        place=pools[0].place if pools else Place(file.name),
        folder=folder_of(file.name),
        pools=pools,
        uses=uses(module),
        disposes_after_fork=disposes_after_fork(module),
    )
    says_something = code.pools or code.uses or code.disposes_after_fork
    return Reading(
        codes=(code,) if says_something else (),
        takings=takings(module),
        callings=callings(module),
        runtimes=runtimes(module),
        settings=() if is_gunicorn(module) else settings(module),
        histograms=tuple(histograms(module)),
    )


def _pools(module: Module) -> tuple[Pool, ...]:
    """All of them; none of a migration's, which serves nobody."""
    if "alembic.context" in module.imports.values():
        return ()
    return (
        *(found for call, name in made(module) if (found := pool_of(module, call, name))),
        *flask_pools(module),
        *django_pools(module),
    )
