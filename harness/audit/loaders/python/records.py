"""Fields of objects: of dataclasses, attrs and pydantic's models, and of plain classes.

A field is what the object was made with, where this file makes it once, else the class's default.
What settings classes hold the environment decides, and other files may: see `declared`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from harness.audit.loaders.python.syntax import (
    Entries,
    Function,
    Module,
    is_own,
    keyword,
    last_name,
)

_FIELDS = frozenset({"field", "Field", "attrib", "ib"})
_DUMPS = frozenset({"model_dump", "dict", "_asdict"})
_DEEPEST = 4
"""Of classes that inherit from each other."""


def field_of(module: Module, node: ast.Attribute) -> ast.expr | None:
    """What ``config.pool_size`` stands for; None where this file does not show it."""
    if is_own(node):
        owner = module.owner_of(node)
        return None if owner is None else _of_class(module, owner, node.attr)
    if isinstance(node.value, ast.Name) and node.value.id in module.classes:
        return _defaults(module, module.classes[node.value.id]).get(node.attr)
    subject = node.value
    if isinstance(subject, ast.Attribute) and is_own(subject):
        subject = field_of(module, subject) or subject
    call = module.meant(subject)
    made = _made(module, call) if isinstance(call, ast.Call) else None
    is_set_later = any(not is_own(each) for each in module.attributes_set.get(node.attr, ()))
    return None if made is None or is_set_later else made.nodes.get(node.attr)


def dumped(module: Module, call: ast.Call) -> Entries | None:
    """The entries of ``options.model_dump()``, ``asdict(options)``, ``vars(options)``."""
    function, subject = call.func, None
    if isinstance(function, ast.Attribute) and function.attr in _DUMPS and not call.args:
        subject = function.value
    elif last_name(function) in ("asdict", "vars") and len(call.args) == 1:
        subject = call.args[0]
    made = None if subject is None else module.meant(subject)
    found = _made(module, made) if isinstance(made, ast.Call) else None
    if found is None:
        return None
    return Entries(found.nodes, found.hides_some or bool(call.keywords))


def made_with(module: Module, node: ast.ClassDef) -> Mapping[str, ast.expr | None]:
    """What objects of a class are made with in this file, instead of its defaults.

    None for a field that several are made with, or that is hidden.
    """
    found: dict[str, ast.expr | None] = {}
    if _has_constructor(node):
        return found
    above = [(name, module.parent(name)) for name in module.names.get(node.name, ())]
    calls = [call for name, call in above if isinstance(call, ast.Call) and call.func is name]
    names = [*_defaults(module, node)] if calls else []
    for call in calls:
        given = {each.arg: each.value for each in call.keywords if each.arg}
        given |= dict(zip(names, call.args, strict=False))
        for name, value in given.items():
            found[name] = value if len(calls) == 1 else None
        if any(each.arg is None for each in call.keywords):
            found |= dict.fromkeys(set(names) - set(given))
    return found


def fields_of(module: Module, node: ast.ClassDef) -> tuple[str, ...]:
    """What its objects are made with, in this order; () where its constructor is its own."""
    return () if _has_constructor(node) else tuple(_defaults(module, node))


def _made(module: Module, call: ast.Call) -> Entries | None:
    """The fields of an object that a class of this file makes."""
    node = module.classes.get(last_name(call.func))
    if node is None or len(module.bound.get(node.name, ())) != 1 or _is_settings(module, node):
        return None
    if _has_constructor(node):
        return None
    defaults = _defaults(module, node)
    given = dict(zip(defaults, call.args, strict=False))
    given |= {each.arg: each.value for each in call.keywords if each.arg}
    hides = any(each.arg is None for each in call.keywords)
    known = {name: value for name, value in defaults.items() if value is not None and not hides}
    return Entries({**known, **given}, hides)


def _has_constructor(node: ast.ClassDef) -> bool:
    """One of its own, so that what it is called with is no field."""
    return any(isinstance(each, Function) and each.name == "__init__" for each in node.body)


def _is_settings(module: Module, node: ast.ClassDef, depth: int = 0) -> bool:
    bases = [last_name(each) for each in node.bases]
    above = [module.classes[name] for name in bases if name in module.classes]
    return "BaseSettings" in bases or any(
        _is_settings(module, each, depth + 1) for each in above if depth < _DEEPEST
    )


def _of_class(module: Module, node: ast.ClassDef, name: str) -> ast.expr | None:
    """``self.size``: what a method sets it to, once, else what the class says."""
    if _is_settings(module, node):
        return None
    set_to = [
        above.value
        for target in module.attributes_set.get(name, ())
        if is_own(target) and node in module.around(target)
        if isinstance(above := module.parent(target), ast.Assign | ast.AnnAssign)
    ]
    if len(set_to) == 1:
        return set_to[0]
    derived = [each for each in module.classes.values() if node.name in map(last_name, each.bases)]
    if set_to or any(_sets(each, name) for each in derived):
        return None
    given = made_with(module, node)
    return given[name] if name in given else _defaults(module, node).get(name)


def _sets(node: ast.ClassDef, name: str) -> bool:
    """Whether a class sets the name itself, over what it inherits."""
    targets = [
        target
        for each in node.body
        if isinstance(each, ast.Assign | ast.AnnAssign)
        for target in (each.targets if isinstance(each, ast.Assign) else [each.target])
    ]
    return name in map(last_name, targets)


def _defaults(module: Module, node: ast.ClassDef, depth: int = 0) -> dict[str, ast.expr | None]:
    """Its fields in their order, each with its default; None where it has none that is shown."""
    found: dict[str, ast.expr | None] = {}
    for base in node.bases:
        above = module.classes.get(last_name(base))
        if above is not None and above is not node and depth < _DEEPEST:
            found |= _defaults(module, above, depth + 1)
    for statement in node.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign):
            continue
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        if isinstance(target, ast.Name):
            found[target.id] = default_of(statement.value)
    return found


def default_of(value: ast.expr | None) -> ast.expr | None:
    """A field's default: of ``field(default=5)``, ``Field(5)``, ``attr.ib(5)``, or as it stands."""
    if not isinstance(value, ast.Call) or last_name(value.func) not in _FIELDS:
        return value
    factory = keyword(value, "default_factory") or keyword(value, "factory")
    if isinstance(factory, ast.Lambda):
        return factory.body
    said = keyword(value, "default") or (value.args[0] if value.args else None)
    return None if isinstance(said, ast.Constant) and said.value is ... else said
