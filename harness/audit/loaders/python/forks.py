"""Hooks that give a forked process connections of its own.

Sources: https://docs.gunicorn.org/en/stable/settings.html#server-hooks,
https://docs.celeryq.dev/en/stable/userguide/signals.html#worker-process-init and
https://docs.sqlalchemy.org/en/20/core/pooling.html#pooling-multiprocessing
"""

from __future__ import annotations

import ast

from harness.audit.loaders.python.syntax import Module, inside, keyword, last_name

HOOKS = frozenset({"post_fork", "post_worker_init"})
"""Of gunicorn, in a worker that has been forked."""

_CELERY_SIGNALS = frozenset({"worker_process_init"})


def disposes_after_fork(module: Module) -> bool:
    """Whether a hook of gunicorn or Celery, or one of os, disposes the engine in a child."""
    for function in module.functions:
        signalled = any(_is_signal(each) for each in function.decorator_list)
        if (function.name in HOOKS or signalled) and disposes(function):
            return True
    return any(_registered(module, call) for call in module.calls)


def _is_signal(decorator: ast.expr) -> bool:
    """``@worker_process_init.connect``, with arguments or without."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    if not isinstance(called, ast.Attribute) or called.attr != "connect":
        return False
    return last_name(called.value) in _CELERY_SIGNALS


def disposes(node: ast.AST) -> bool:
    """Whether an engine is disposed in it."""
    return any(
        isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr in ("dispose", "sync_dispose")
        for each in inside(node)
    )


def _registered(module: Module, call: ast.Call) -> bool:
    """``os.register_at_fork(after_in_child=engine.dispose)``, ``signal.connect(function)``."""
    if module.qualified(call.func) == "os.register_at_fork":
        child = keyword(call, "after_in_child")
        return child is not None and _is_disposal(module, child)
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr == "connect" and call.args:
        return last_name(function.value) in _CELERY_SIGNALS and _is_disposal(module, call.args[0])
    return False


def _is_disposal(module: Module, node: ast.expr) -> bool:
    if isinstance(node, ast.Lambda):
        return disposes(node)
    if last_name(node) == "dispose":
        return True
    return any(
        function.name == last_name(node) and disposes(function) for function in module.functions
    )
