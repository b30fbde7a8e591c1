"""Endpoints that keep their session after their work.

FastAPI ends a dependency with ``yield`` after the answer is sent and the tasks are done (not so
from 0.106 to 0.117). Source: https://fastapi.tiangolo.com/advanced/advanced-dependencies/
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from harness.audit.loaders.python.holding import given_session, is_held, sources_of
from harness.audit.loaders.python.syntax import (
    Function,
    Module,
    defaults_of,
    inside,
    keyword,
    last_name,
)
from harness.audit.parts import Use

_ROUTES = frozenset({"get", "post", "put", "patch", "delete", "api_route", "route"})
_STREAMS = frozenset({"StreamingResponse", "EventSourceResponse"})
_IN_MEMORY = frozenset({"BytesIO", "StringIO"})

Given = Callable[[Module, Function], str]
"""Tells the parameter in which a function is given a session; "" for none."""


def _is_endpoint(function: Function) -> bool:
    return any(
        isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr in _ROUTES
        for each in function.decorator_list
    )


def over_teardown(module: Module, given: Given = given_session) -> Iterator[Use]:
    """An endpoint that still has its session while it streams, or while background tasks run.

    FastAPI ends a dependency with ``yield`` after the answer is sent and the tasks are done (not
    so from 0.106 to 0.117). Source:
    https://fastapi.tiangolo.com/advanced/advanced-dependencies/
    """
    for function in module.functions:
        session = given(module, function) if _is_endpoint(function) else ""
        if not session:
            continue
        for stream in (each for each in inside(function) if _is_streamed(each)):
            if is_held(function, session, stream) or _mentions(stream, session, function):
                yield Use("session-over-teardown", module.place(stream, "session-over-teardown"))
                break
        else:
            if is_held(function, session) and (tasks := [*_tasks(function)]):
                place = module.place(tasks[0], "session-over-teardown")
                yield Use("session-over-teardown", place)


def in_middleware(module: Module) -> Iterator[Use]:
    """A middleware that holds a session around everything that a request is, its answer too."""
    if "call_next" not in module.file.text:
        return
    sources = sources_of(module)
    for function in module.functions:
        if not any(argument.arg == "call_next" for argument, _ in defaults_of(function)):
            continue
        for node in inside(function):
            if not isinstance(node, ast.With | ast.AsyncWith):
                continue
            held = any(sources.held_by(item.context_expr) for item in node.items)
            if held and any(_calls_on(each) for each in inside(node)):
                yield Use("session-over-teardown", module.place(node, "session-over-teardown"))


def _calls_on(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) == "call_next"


def _is_streamed(node: ast.AST) -> bool:
    """Whether it answers with a stream; what is in memory is sent at once, slow clients aside."""
    if not isinstance(node, ast.Call) or last_name(node.func) not in _STREAMS:
        return False
    content = node.args[0] if node.args else keyword(node, "content")
    return not isinstance(content, ast.Call) or last_name(content.func) not in _IN_MEMORY


def _mentions(stream: ast.AST, name: str, function: Function) -> bool:
    """Whether a stream is made of something that uses the session."""
    inner = {each.name: each for each in ast.walk(function) if isinstance(each, Function)}
    for each in ast.walk(stream):
        if not isinstance(each, ast.Name):
            continue
        used = inner.get(each.id)
        if each.id == name or (used is not None and _names(used, name)):
            return True
    return False


def _names(node: ast.AST, name: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node))


def _tasks(function: Function) -> Iterator[ast.Call]:
    """``background_tasks.add_task(…)`` on a parameter that is a `BackgroundTasks`."""
    names = {
        argument.arg
        for argument, _ in defaults_of(function)
        if argument.annotation is not None and last_name(argument.annotation) == "BackgroundTasks"
    }
    for each in inside(function):
        if (
            isinstance(each, ast.Call)
            and isinstance(each.func, ast.Attribute)
            and each.func.attr == "add_task"
            and last_name(each.func.value) in names
        ):
            yield each
