"""The engine that Flask-SQLAlchemy makes of an application's configuration.

Source: https://flask-sqlalchemy.readthedocs.io/en/stable/config/
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.audit.loaders.python.assignments import Assigned, assigned
from harness.audit.loaders.python.engines import engine
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.making import Making
from harness.audit.loaders.python.mappings import Entries
from harness.audit.loaders.python.syntax import Module, keyword, last_name
from harness.audit.loaders.python.urls import url_of
from harness.audit.parts import Pool
from harness.audit.values import Place, Value

ENGINE_OPTIONS, ENGINE_URL = "SQLALCHEMY_ENGINE_OPTIONS", "SQLALCHEMY_DATABASE_URI"
BINDS = "SQLALCHEMY_BINDS"
_OLD_NAMES = {
    "SQLALCHEMY_POOL_SIZE": "size",
    "SQLALCHEMY_MAX_OVERFLOW": "max_overflow",
    "SQLALCHEMY_POOL_TIMEOUT": "timeout_s",
    "SQLALCHEMY_POOL_RECYCLE": "recycle_s",
}


def given_pools(module: Module) -> Iterator[Pool]:
    """The engine of a settings module that only names a URL, as Flask-SQLAlchemy calls it.

    Where other code makes a pool, the URL may be that one's.
    """
    found = assigned(module, ENGINE_URL)
    urls = [each for each in found if module.parent(each.node) is module.tree]
    if urls and not any(flask_pools(module)):
        place = module.place(urls[-1].value, ENGINE_URL)
        expressions = Expressions(module)
        making = Making(expressions, urls[-1].node, Entries(), place, "SQLAlchemy", is_async=False)
        if (pool := engine(making, urls[-1].value)) is not None:
            yield _with_old_names(module, _made_later(pool))


def flask_pools(module: Module) -> Iterator[Pool]:
    """Flask-SQLAlchemy's engines: a pool for each set of options, else SQLAlchemy's defaults."""
    expressions = Expressions(module)
    urls = [
        each
        for each in assigned(module, ENGINE_URL)
        if each.owner is None or not any("Settings" in last_name(b) for b in each.owner.bases)
    ]
    options = [
        *_in_use(assigned(module, ENGINE_OPTIONS)),
        *(
            Assigned(call, given)
            for call in module.calls
            if last_name(call.func) == "SQLAlchemy"
            and (given := keyword(call, "engine_options")) is not None
        ),
    ]
    if not options and (not urls or not _uses_flask(module, urls)):
        return
    servers = [each for each in urls if not url_of(expressions, each.value, Place("")).is_another]
    if urls and not servers:
        return
    url = servers[-1].value if servers else None
    for each in options or servers[-1:]:
        said = expressions.entries(each.value) if options else Entries()
        place = module.place(each.value, ENGINE_OPTIONS if options else ENGINE_URL)
        making = Making(expressions, each.node, said, place, "SQLAlchemy", is_async=False)
        if (pool := engine(making, url)) is not None:
            yield _with_old_names(module, _made_later(pool))
        yield from _binds(making)


def _made_later(pool: Pool) -> Pool:
    when = "it is made with the application, and no file says when that is"
    return replace(pool, made_at_import=Value.unknown(when, pool.place))


def _binds(making: Making) -> Iterator[Pool]:
    """An engine for each of ``SQLALCHEMY_BINDS``, with the same options and its own over them."""
    expressions = making.expressions
    for binds in assigned(expressions.module, BINDS):
        for name, value in expressions.entries(binds.value).nodes.items():
            own = expressions.entries(value)
            said, url = making.said, value
            if "url" in own.nodes:
                hides = said.hides_some or own.hides_some
                said, url = Entries({**said.nodes, **own.nodes}, hides), own.nodes["url"]
            place = expressions.module.place(value, f"{BINDS}[{name}]")
            bind = replace(making, said=said, node=value, place=place, name=name)
            if (pool := engine(bind, url)) is not None:
                yield _made_later(pool)


def _with_old_names(module: Module, pool: Pool) -> Pool:
    """``SQLALCHEMY_POOL_SIZE`` and its like hold before version 3, and do nothing from then on."""
    changes: dict[str, Value[float]] = {}
    for name, field in _OLD_NAMES.items():
        for each in assigned(module, name):
            why = f"{name} holds before Flask-SQLAlchemy 3, and does nothing from then on"
            changes[field] = Value.unknown(why, module.place(each.value, name))
    return replace(pool, **changes)  # type: ignore[arg-type]


_REHEARSAL = re.compile(r"^(Dev|Test|Local|Staging)|(Dev|Development|Test|Testing|Local)$")


def _in_use(options: Iterable[Assigned]) -> list[Assigned]:
    """Without what another class of configuration overrides, and what is for rehearsals alone."""
    found = list(options)
    bases = {last_name(base) for each in found if each.owner for base in each.owner.bases}
    last = [each for each in found if each.owner is None or each.owner.name not in bases]
    real = [
        each
        for each in last
        if each.owner is None or not _REHEARSAL.search(each.owner.name.removesuffix("Config"))
    ]
    return real or last


def _uses_flask(module: Module, urls: list[Assigned]) -> bool:
    imported = {full.partition(".")[0] for full in module.imports.values()}
    return bool(imported & {"flask", "flask_sqlalchemy"}) or any(
        each.owner is not None and "onfig" in each.owner.name for each in urls
    )
