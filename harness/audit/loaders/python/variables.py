"""Calls that ask for an environment variable, by Python's own and the usual libraries' ways.

Sources: https://django-environ.readthedocs.io/en/latest/, https://github.com/sloria/environs,
https://github.com/HBNetwork/python-decouple and https://starlette.dev/config/
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.audit.loaders.python.syntax import Module, keyword, last_name, text_of
from harness.audit.reading import number, truth

_READERS: Mapping[str, Callable[[str], Any]] = {
    "int": lambda text: int(text),
    "float": number,
    "bool": truth,
    "str": str,
}
_HABITUAL = frozenset({"env", "environ", "config", "Env"})
"""What environs, django-environ, decouple and Starlette's configuration are called by habit."""
_PACKAGES = frozenset({"environ", "environs", "decouple", "starlette"})
_MAKERS = frozenset({"Env", "FileAwareEnv", "AutoConfig", "Config"})
_NAME = re.compile(r"\w{1,100}")


@dataclass(frozen=True, slots=True)
class Asked:
    """The variable that is asked for, how its text is read, and what holds without it."""

    name: str
    read: Callable[[str], Any]
    default: ast.expr | None


def is_name(text: str) -> bool:
    """Whether it may be a variable's name."""
    return _NAME.fullmatch(text) is not None


def asked_for(module: Module, node: ast.Call) -> Asked | None:
    """What a call asks the environment for; None where it asks for nothing.

    ``os.getenv("X", 5)``, ``os.environ.get``, environs' and django-environ's
    ``env.int("X", default=5)``, decouple's and Starlette's ``config("X", cast=int)``.
    """
    name = text_of(node.args[0]) if node.args else text_of(keyword(node, "key"))
    if name is None or not is_name(name):
        return None
    function, positional = node.func, node.args[1] if len(node.args) > 1 else None
    read: Callable[[str], Any] = str
    prefix, declared = "", None
    if module.qualified(function) in ("os.getenv", "os.environ.get", "getenv", "environ.get"):
        pass
    elif _is_called_reader(module, function):
        if isinstance(function, ast.Name):
            prefix, declared = _prefix_of(module, function), _declared(module, function, name)
        cast = keyword(node, "cast")
        # django-environ's second argument is the cast, decouple's the default.
        if positional is not None and last_name(positional) in _READERS:
            cast, positional = positional, None
        if cast is None and declared is not None:
            cast = declared[0]
        if cast is not None:
            read = _READERS.get(last_name(cast), _not_read)
    elif isinstance(function, ast.Attribute) and _is_reader(module, function.value):
        if function.attr not in _READERS:
            return None
        read = _READERS[function.attr]
    else:
        return None
    default = keyword(node, "default") or positional
    if default is None and declared is not None:
        default = declared[1]
    return Asked(f"{prefix}{name}", read, default)


def _is_reader(module: Module, node: ast.expr) -> bool:
    """What is called so by habit, or is decouple's, or made by one of the libraries' classes."""
    if last_name(node) in _HABITUAL or module.qualified(node) == "decouple.config":
        return True
    return isinstance(node, ast.Name) and _made(module, node) is not None


def _is_called_reader(module: Module, function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return _is_reader(module, function)
    return module.qualified(function) == "decouple.config"


def _made(module: Module, node: ast.Name) -> ast.Call | None:
    """The call that makes a reader: ``environ.Env(POOL_SIZE=(int, 5))``."""
    call = module.meant(node)
    if not isinstance(call, ast.Call) or last_name(call.func) not in _MAKERS:
        return None
    return call if module.qualified(call.func).partition(".")[0] in _PACKAGES else None


def _prefix_of(module: Module, node: ast.Name) -> str:
    """Starlette's ``Config(env_prefix="APP_")``."""
    call = _made(module, node)
    return "" if call is None else text_of(keyword(call, "env_prefix")) or ""


def _declared(module: Module, node: ast.Name, name: str) -> tuple[ast.expr, ast.expr | None] | None:
    """Cast and default that django-environ's ``Env`` is made with for a variable."""
    call = _made(module, node)
    said = None if call is None else keyword(call, name)
    if said is None:
        return None
    if isinstance(said, ast.Tuple) and len(said.elts) == 2:
        return said.elts[0], said.elts[1]
    return said, None


def _not_read(text: str) -> Any:
    raise ValueError(text)
