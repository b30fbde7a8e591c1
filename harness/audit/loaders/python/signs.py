"""What a Python file has that may concern us; reading all others as trees would take long.

Searching a text for words is many times faster than for a pattern: each pattern is looked for only
in texts that have one of the words that it cannot do without.
"""

from __future__ import annotations

import re

FOLLOWED = ("Pool", "pool", "Engine", "engine", "Database", "database")
"""How names end of functions and classes that make pools: every file that has one is read."""

_WORDS = (
    *("create_engine", "create_async_engine", "engine_from_config", "ConnectionPool"),
    *("create_pool", "SQLALCHEMY_", "BaseSettings", "sessionmaker", "SessionLocal"),
    *(f"{s}{line}{f}(" for s in ("Session", "session") for line in ("", "_")
      for f in ("Factory", "factory")),
    *("async_session(", "async_session_maker("),
    *("StreamingResponse", "BackgroundTasks", "uvicorn.run", "worker_class", "worker_concurrency"),
    *("post_fork", "worker_process_init", "register_at_fork"),
    *("engine.begin(", "engine.connect(", "pool.connection(", "pool.acquire(", "call_next("),
    *(f"{name}(" for name in FOLLOWED),
    *(f"{q}{key}{r}" for key in ("pool_size", "max_overflow") for q in "\"'" for r in "\"'"),
    *("ortoise", "playhouse", "set_bind(", "Gino(", "thread_limiter"),
    *("FastAPI(", "Starlette(", "Histogram(", "config.from_mapping(", "config.from_prefixed_env("),
)  # fmt: skip
"""One of these is enough."""

_FOLLOWED = f"(?:{'|'.join(FOLLOWED)})"
_GUNICORNS = ("workers", "bind", "threads", "timeout", "preload_app")
_VARIABLES = ("POOL", "DATABASE", "DB", "POSTGRES", "PG", "TIMEOUT", "CONCUR")
_CONSTANTS = ("POOL", "DATABASE", "DB_", "POSTGRES", "PG_", "OVERFLOW", "WORKERS")

_PATTERNS = tuple(
    (words, re.compile(pattern, re.MULTILINE))
    for words, pattern in (
        (("DATABASES",), r"\bDATABASES\b"),
        (("Annotated[",), r"Annotated\[[\w.]{0,40}(?:Session|Connection)\b"),
        (
            FOLLOWED,
            rf"^[ \t]{{0,8}}(?:from [\w.]{{1,200}} )?import [^\n]{{0,300}}{_FOLLOWED}\b|"
            rf"^[ \t]{{1,8}}\w{{0,80}}{_FOLLOWED},?$",
        ),
        (
            [f"\n{each}" for each in _GUNICORNS],
            rf"^(?:{'|'.join(_GUNICORNS)})[ \t]{{0,9}}=",
        ),
        (_VARIABLES, rf"(?:getenv|environ|env|config)\b[^\n]{{0,80}}(?:{'|'.join(_VARIABLES)})"),
        (
            ("pool_size", "max_overflow", "pool_timeout"),
            r"^[ \t]{0,12}(?:\w{0,40}pool_size|max_overflow|pool_timeout)[ \t]{0,9}[:=]",
        ),
        (
            _CONSTANTS,
            rf"^[ \t]{{0,12}}[A-Z_]{{0,40}}(?:{'|'.join(_CONSTANTS)})[A-Z_]{{0,40}}"
            r"[ \t]{0,9}[:=]",
        ),
    )
)


def may_concern(text: str) -> bool:
    """Whether a file has such a sign."""
    text = f"\n{text}"  # so that its first line begins as all others do
    return any(word in text for word in _WORDS) or any(
        pattern.search(text) is not None
        for words, pattern in _PATTERNS
        if any(word in text for word in words)
    )
