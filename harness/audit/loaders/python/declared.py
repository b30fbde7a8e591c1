"""Settings that a module declares for other modules: classes of settings, and constants.

Sources: https://pydantic.dev/docs/validation/latest/concepts/pydantic_settings/
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath

from harness.audit.loaders.database_urls import without_password
from harness.audit.loaders.python.addresses import address_of
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.operations import Nothing
from harness.audit.loaders.python.records import default_of, made_with
from harness.audit.loaders.python.syntax import (
    Function,
    Module,
    keyword,
    last_name,
    returned_at_once,
    text_of,
)
from harness.audit.reading import Setting, number, truth
from harness.audit.values import Value

_SECRETIVE = re.compile(r"pass|pwd|secret|token|(?<!pool)key|credential", re.IGNORECASE)
_TEXTUAL = re.compile(
    r"host|server|name|user|database|db|options|engine|kind|type|mode|flavou?r|implementation"
    r"|backend|driver|pool|environment|profile|stage",
    re.IGNORECASE,
)
"""Names of settings whose text may be kept, though it is no number, truth or database URL."""

_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*")
_ANY = re.compile(r"\w+")
_CONFIGURATION = re.compile(r"config|settings", re.IGNORECASE)
DEEPEST = 4
"""Of models in models."""


def is_secretive(name: str) -> bool:
    """Whether a setting of this name may be a secret."""
    return _SECRETIVE.search(name) is not None


def settings(module: Module) -> tuple[Setting, ...]:
    """Everything that `settings.pool_size` or `config.POOL_SIZE` elsewhere may mean."""
    found = [*_constants(module)]
    for node in module.classes.values():
        if _is_settings(module, node):
            prefix = _configured(module, node, "env_prefix")
            delimiter = _configured(module, node, "env_nested_delimiter")
            owners = _owners(module, node)
            fields = [*_fields(module, node, prefix, delimiter, owners)]
            found += [*fields, *_properties(module, node, {each.name: each for each in fields})]
    return tuple(found)


def _owners(module: Module, node: ast.AST | None) -> frozenset[str]:
    """A class and the objects that are made of it; the module of what stands in no class."""
    if not isinstance(node, ast.ClassDef):
        path = PurePath(module.file.name)
        return frozenset({path.parent.name if path.name == "__init__.py" else path.stem})
    above = [(name, module.parent(name)) for name in module.names.get(node.name, ())]
    objects = [module.name_of(call) for _, call in above if isinstance(call, ast.Call)]
    return frozenset({node.name, *objects} - {""})


def _properties(
    module: Module, node: ast.ClassDef, declared: Mapping[str, Setting]
) -> Iterator[Setting]:
    """A database's URL that a settings class puts together of its fields."""
    expressions = Expressions(module)
    for each in node.body:
        if not isinstance(each, Function) or len(each.args.args) != 1:
            continue
        value = returned_at_once(each)
        text = None if value is None else address_of(expressions, value, declared)
        if text is not None:
            yield Setting(
                name=each.name, variable="", place=module.place(each, each.name), text=text
            )


def _is_settings(module: Module, node: ast.ClassDef, depth: int = 0) -> bool:
    """A subclass of ``BaseSettings``, by way of others of the same file, too."""
    for base in node.bases:
        name = last_name(base)
        if name == "BaseSettings":
            return True
        above = module.classes.get(name)
        if above is None or above is node or depth >= DEEPEST:
            continue
        if _is_settings(module, above, depth + 1):
            return True
    return False


def _configuration(node: ast.ClassDef) -> dict[str, ast.expr]:
    """``model_config = SettingsConfigDict(…)``, and pydantic 1's ``class Config``."""
    found: dict[str, ast.expr] = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and last_name(statement.targets[0]) == "model_config":
            value = statement.value
            if isinstance(value, ast.Call):
                found |= {each.arg: each.value for each in value.keywords if each.arg}
            elif isinstance(value, ast.Dict):
                pairs = zip(value.keys, value.values, strict=True)
                found |= {text: each for key, each in pairs if (text := text_of(key))}
        elif isinstance(statement, ast.ClassDef) and statement.name == "Config":
            for inner in statement.body:
                if isinstance(inner, ast.Assign):
                    found[last_name(inner.targets[0])] = inner.value
    return found


def _configured(module: Module, node: ast.ClassDef, key: str, depth: int = 0) -> str:
    """A text of its configuration, its own or that of a class above; "" where none says it."""
    said = text_of(_configuration(node).get(key))
    if said is not None or depth >= DEEPEST:
        return said or ""
    above = [module.classes.get(last_name(base)) for base in node.bases]
    inherited = (
        _configured(module, each, key, depth + 1)
        for each in above
        if each is not None and each is not node
    )
    return next((text for text in inherited if text), "")


def _fields(
    module: Module,
    node: ast.ClassDef,
    prefix: str,
    delimiter: str,
    owners: frozenset[str],
    depth: int = 0,
) -> Iterator[Setting]:
    expressions = Expressions(module)
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name, value = statement.target.id, statement.value
        inner = module.classes.get(last_name(statement.annotation))
        if inner is not None and inner is not node and depth < DEEPEST:
            inside = f"{prefix}{name}{delimiter}" if delimiter else ""
            within = frozenset({name, inner.name})
            for each in _fields(module, inner, inside, delimiter, within, depth + 1):
                yield replace(each, variable=each.variable if delimiter else "")
            continue
        variable = _alias(value) or f"{prefix}{name}".upper()
        if isinstance(value, ast.Call) and last_name(value.func) == "Field":
            value = value.args[0] if value.args else keyword(value, "default")
        text = None if value is None else _text(name, expressions.value(value, name))
        yield Setting(
            name=name,
            variable=variable,
            place=module.place(statement, name),
            text=text,
            owners=owners,
        )


def _alias(value: ast.expr | None) -> str | None:
    """The variable that a field names by itself, whatever the prefix."""
    if not isinstance(value, ast.Call):
        return None
    for key in ("validation_alias", "alias", "env"):
        node = keyword(value, key)
        if isinstance(node, ast.Call) and last_name(node.func) == "AliasChoices" and node.args:
            node = node.args[0]
        if (text := text_of(node)) is not None:
            return text
    return None


def _constants(module: Module) -> Iterator[Setting]:
    """``POOL_SIZE = int(os.getenv("POOL_SIZE", 5))``, in a module or a class of constants.

    One that is set several times has no text: which of them holds, the file does not show.
    """
    expressions = Expressions(module)
    ambiguous: set[str] = set()
    for statement, name, node in _assignments(module):
        place, owners = module.place(statement, name), _owners(module, module.parent(statement))
        if len(module.bound.get(name, ())) > 1:
            if name not in ambiguous:
                yield Setting(name=name, variable="", place=place)
            ambiguous.add(name)
            continue
        address = address_of(expressions, node, {})
        found = ("", address) if address else constant(name, expressions.value(node, name))
        if found is not None:
            variable, text = found
            yield Setting(name=name, variable=variable, place=place, text=text, owners=owners)


def _assignments(module: Module) -> Iterator[tuple[ast.stmt, str, ast.expr]]:
    """What a module and its classes set: capitals anywhere, all names where a class is a config."""
    bodies = [(module.tree.body, _CONSTANT)]
    for node in module.classes.values():
        if not _is_settings(module, node) and not any(
            last_name(base) == "BaseModel" for base in node.bases
        ):
            named = _ANY if _CONFIGURATION.search(node.name) else _CONSTANT
            bodies.append((node.body, named))
    for body, named in bodies:
        given = made_with(module, owner) if (owner := _class_of(module, body)) else {}
        for statement in body:
            if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
                continue
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            if not isinstance(target, ast.Name) or not named.fullmatch(target.id):
                continue
            if _SECRETIVE.search(target.id) is None:
                value = given.get(target.id, statement.value)
                if value is not None:
                    yield statement, target.id, default_of(value) or value


def _class_of(module: Module, body: list[ast.stmt]) -> ast.ClassDef | None:
    above = module.parent(body[0]) if body else None
    return above if isinstance(above, ast.ClassDef) else None


def constant(name: str, value: Value[object]) -> tuple[str, str | None] | None:
    """Its variable and default; None for what is no setting, or more than its variable's text."""
    variable, text = value.variable, _text(name, value)
    if variable is None:
        return None if text is None else ("", text)
    if variable.attribute:
        return None
    # What else is done with the text (a division, a comparison), a setting cannot say.
    for probe in ("7", "true"):
        try:
            read = variable.read(probe)
        except ValueError:
            continue
        if str(read).lower() not in (probe, f"{probe}.0"):
            return None
        return variable.name, text
    return variable.name, text


def _text(name: str, value: Value[object]) -> str | None:
    """A default as text, where it is one that may matter and is no secret."""
    known = value.known
    if known is None or isinstance(known, Nothing) or _SECRETIVE.search(name):
        return None
    if isinstance(known, bool | int | float):
        return str(known)
    if not isinstance(known, str):
        return None
    if "://" in known:
        return without_password(known)
    for read in (number, truth):
        try:
            read(known)
        except ValueError:
            continue
        return known
    return known if _TEXTUAL.search(name) else None
