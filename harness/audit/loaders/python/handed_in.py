"""Objects of settings that a module makes of the environment: other modules read their fields.

``Postgres(pool_size=int(os.environ["POOL_SIZE"]))`` in one file is what another means by
``config.postgres.pool_size``, in whichever file the class stands.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from harness.audit.loaders.python.declared import constant, is_secretive
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.records import fields_of
from harness.audit.loaders.python.syntax import Module, last_name
from harness.audit.reading import Setting

_CLASS = re.compile(r"[A-Z]\w*[a-z]\w*")


def handed_in(module: Module) -> tuple[Setting, ...]:
    """A setting for each field that an environment variable is put into."""
    expressions = Expressions(module)
    return tuple(setting for call in module.calls for setting in _of(expressions, call))


def _of(expressions: Expressions, call: ast.Call) -> Iterator[Setting]:
    module = expressions.module
    name = last_name(call.func)
    own = module.owner_of(call) if name == "cls" else module.classes.get(name)
    name = own.name if own is not None else name
    if _CLASS.fullmatch(name) is None:
        return
    names = () if own is None else fields_of(module, own)
    given = dict(zip(names, call.args, strict=False))
    given |= {each.arg: each.value for each in call.keywords if each.arg}
    above = module.parent(call)
    called = above.arg or "" if isinstance(above, ast.keyword) else module.name_of(call)
    owners = frozenset({name, called} - {""})
    for field, node in given.items():
        if is_secretive(field):
            continue
        value = expressions.value(node, field)
        if value.variable is None or (found := constant(field, value)) is None:
            continue
        variable, text = found
        place = module.place(node, field)
        yield Setting(
            name=field, variable=variable, place=place, text=text, owners=owners, given=True
        )
