"""What code can be seen to do with its connections: the practices of the catalogue.

It is precise before it is complete: what might be innocent is not said.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from harness.audit.loaders.python.forks import disposes
from harness.audit.loaders.python.holding import (
    Held,
    bodies_of,
    given_session,
    is_held,
    sources_of,
)
from harness.audit.loaders.python.imports import imported, module_path
from harness.audit.loaders.python.making import ENGINES, POOLS, made
from harness.audit.loaders.python.syntax import Function, Module, keyword, last_name
from harness.audit.loaders.python.teardowns import Given, in_middleware, over_teardown
from harness.audit.parts import Use
from harness.audit.reading import Calling, Taking

_FOR_LATER = frozenset({"create_task", "ensure_future", "start_soon", "submit"})
MOST_CALLS = 4
"""Of functions on the way to a connection."""

_FORKING = frozenset({"Process", "Pool", "ProcessPoolExecutor"})


def uses(module: Module) -> tuple[Use, ...]:
    """Everything that the module is seen to do."""
    found = [
        *nested(module),
        *_through_helpers(module),
        *over_teardown(module),
        *in_middleware(module),
        *_forking(module),
        *_pool_over_pool(module),
        *_opened_in_constructor(module),
    ]
    return tuple(sorted(set(found), key=lambda use: (use.place, use.practice)))


def nested(module: Module, session: Given = given_session) -> Iterator[Use]:
    """A second connection while the first is held, in one function."""
    sources = sources_of(module)
    for function, body in bodies_of(module).items():
        if not body.taken:
            continue
        given = session(module, function)
        if session is not given_session and not given:
            continue  # what it does is no matter of the session that is asked about
        for taken, above in body.taken:
            alike = [each for each in above if sources.are_one(each, taken)]
            if alike:
                yield _second(module, taken, len(alike) + 1)
            elif not above and given and is_held(function, given, taken.node):
                first = Held("", "session", taken.node)
                if taken.kind != "pool" and (
                    taken.kind == "session" or sources.are_one(first, taken)
                ):
                    yield _second(module, taken, 2)


def _second(module: Module, taken: Held, connections: int) -> Use:
    place = module.place(taken.node, "nested-checkout")
    pool = "" if taken.kind == "session" else taken.source
    return Use("nested-checkout", place, connections=connections, pool=pool)


def _through_helpers(module: Module) -> Iterator[Use]:
    """A connection is held, and a function of this file that takes one of its own is called."""
    sources = sources_of(module)
    takes = {function.name: own for function, own in _taken(module).items()}
    for body in bodies_of(module).values():
        for node, above in body.calls:
            if not isinstance(node.func, ast.Name) or not above:
                continue
            own = () if _is_for_later(module, node) else takes.get(node.func.id, ())
            held = above[-1]
            if any(taken.kind != "session" and sources.are_one(held, taken) for taken in own):
                yield _second(module, Held(held.source, held.kind, node), len(above) + 1)


def _taken(module: Module) -> dict[Function, list[Held]]:
    """What each function takes of its own, by itself or by others of this file that it calls."""
    bodies = bodies_of(module)
    takes = {
        function: [taken for taken, above in body.taken if not above]
        for function, body in bodies.items()
    }
    calls: dict[Function, set[str]] = {}
    named = {function.name: function for function in bodies}
    for function, body in bodies.items():
        calls[function] = {
            node.func.id
            for node, above in body.calls
            if isinstance(node.func, ast.Name) and not above
            if not _is_for_later(module, node) and not _is_conditional(module, node)
        }
    for _ in range(MOST_CALLS):
        for function, called in calls.items():
            further = [taken for each in called & named.keys() for taken in takes[named[each]]]
            takes[function] += [taken for taken in further if taken not in takes[function]]
    return takes


def _is_for_later(module: Module, call: ast.Call) -> bool:
    """Whether nobody waits for it here: ``create_task(record())``."""
    above = module.parent(call)
    return isinstance(above, ast.Call) and last_name(above.func) in _FOR_LATER


def takings(module: Module) -> tuple[Taking, ...]:
    """Functions of this file that take a connection, whatever they are given."""
    takes = _taken(module)
    found = {
        Taking(f"{module_path(module.file.name)}/{function.name}", _path_of(module, taken.source))
        for function, own in takes.items()
        if module.function_of(function) is None
        for taken in own
        if taken.kind != "session" and not _is_conditional(module, taken.node)
    }
    return tuple(sorted(found, key=lambda each: (each.function, each.pool)))


def callings(module: Module) -> tuple[Calling, ...]:
    """Functions of other files that are called while a connection is held."""
    found = []
    for body in bodies_of(module).values():
        for node, above in body.calls:
            if not above or above[-1].kind == "session":
                continue
            first = node.func
            while isinstance(first, ast.Attribute):
                first = first.value
            if isinstance(first, ast.Name) and first.id in module.imports:
                held = above[-1]
                use = _second(module, Held(held.source, held.kind, node), len(above) + 1)
                called = imported(module, module.qualified(node.func))
                found.append(Calling(called, _path_of(module, held.source), use))
    return tuple(found)


def _is_conditional(module: Module, node: ast.AST) -> bool:
    """Whether it depends on something: on a connection that is given, for instance."""
    for above in module.around(node):
        if isinstance(above, Function):
            return False
        if isinstance(above, ast.If | ast.IfExp | ast.Match):
            return True
    return False


def _path_of(module: Module, name: str) -> str:
    """What a name of this file stands for: what it imports, or its own."""
    if name in module.imports:
        return imported(module, module.imports[name])
    return f"{module_path(module.file.name)}/{name}"


def _forking(module: Module) -> Iterator[Use]:
    """Processes that are forked off after an engine was made when the file was imported."""
    makers = {id(call) for call, _ in made(module)}
    at_import = [
        call for call in module.calls if id(call) in makers and module.function_of(call) is None
    ]
    if not at_import or disposes(module.tree) or "dispose" in module.file.text:
        return
    if re.search(r"""["'](spawn|forkserver)["']""", module.file.text):
        return
    for call in module.calls:
        full = module.qualified(call.func)
        root, last = full.partition(".")[0], full.rpartition(".")[2]
        if full == "os.fork" or (
            last in _FORKING and root in ("multiprocessing", "concurrent", "billiard")
        ):
            yield Use("fork-after-engine", module.place(call, "fork-after-engine"))


def _pool_over_pool(module: Module) -> Iterator[Use]:
    """``create_engine(creator=pool.getconn)`` without ``poolclass=NullPool``."""
    for call, name in made(module):
        if name not in ENGINES:
            continue
        creator = keyword(call, "creator") or keyword(call, "async_creator")
        classed = keyword(call, "poolclass")
        if creator is None or (
            classed is not None and last_name(module.meant(classed)) == "NullPool"
        ):
            continue
        inner = creator.body if isinstance(creator, ast.Lambda) else creator
        function = inner.func if isinstance(inner, ast.Call) else inner
        if last_name(function) in ("getconn", "get_conn") and not any(
            each.arg is None for each in call.keywords
        ):
            yield Use("pool-over-pool", module.place(call, "pool-over-pool"))


def _opened_in_constructor(module: Module) -> Iterator[Use]:
    """An asynchronous pool of psycopg_pool that is neither ``open=False`` nor in a ``with``."""
    for call, name in made(module):
        if name not in POOLS or not name.startswith("Async"):
            continue
        opened = keyword(call, "open")
        hidden = any(each.arg is None for each in call.keywords)
        if isinstance(module.parent(call), ast.withitem) or (opened is None and hidden):
            continue
        if opened is None or (isinstance(opened, ast.Constant) and opened.value is True):
            yield Use("opened-in-constructor", module.place(call, "opened-in-constructor"))
