"""What an expression comes to: a constant, or what an environment variable or a setting decides."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any, TypeVar

from harness.audit.loaders.database_urls import Pieces
from harness.audit.loaders.python.formatting import formatted
from harness.audit.loaders.python.inlining import inlined
from harness.audit.loaders.python.mappings import MOST_PARTS, Entries, Mappings
from harness.audit.loaders.python.operations import (
    ARITHMETIC,
    CALLED,
    COMPARED,
    METHODS,
    NOTHING,
    Nothing,
    as_python,
    changed,
    combined,
    first_true,
    joined,
    of_numbers,
    of_text,
    with_replaced,
)
from harness.audit.loaders.python.records import field_of
from harness.audit.loaders.python.syntax import DEEPEST, Module, last_name, text_of
from harness.audit.loaders.python.variables import asked_for, is_name
from harness.audit.reading import number, truth
from harness.audit.values import Place, Value, Variable

T = TypeVar("T")


UNCHANGED = frozenset({"unicode_string", "get_secret_value", "render_as_string", "human_repr"})
"""Methods that give the text of what a setting holds."""


class Expressions:
    """Expressions of one module. Nothing of what it says of an unknown one repeats a text."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._mappings = Mappings(module)
        self._left = MOST_PARTS

    def number(self, node: ast.expr, key: str, nothing: float | None = None) -> Value[float]:
        """A number; ``nothing`` is what None stands for."""

        def read(value: object) -> float:
            if isinstance(value, Nothing) and nothing is not None:
                return nothing
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError
            return float(value) if isinstance(value, float) else number(str(value))

        return changed(self.value(node, key), read, key)

    def truth(self, node: ast.expr, key: str) -> Value[bool]:
        """True or False."""

        def read(value: object) -> bool:
            if not isinstance(value, bool | str):
                raise ValueError
            return value if isinstance(value, bool) else truth(value.strip())

        return changed(self.value(node, key), read, key)

    def text(self, node: ast.expr, key: str) -> Value[str]:
        """A text."""

        def read(value: object) -> str:
            if not isinstance(value, str):
                raise ValueError
            return value

        return changed(self.value(node, key), read, key)

    def value(self, node: ast.expr, key: str) -> Value[Any]:
        """Whatever it comes to, at the line where it stands."""
        self._left = MOST_PARTS
        return self._value(node, key, 0)

    def pieces(self, node: ast.expr, key: str) -> Pieces | None:
        """A text that is put together of constants and values; None where it is none."""
        node = self.module.meant(node)
        if isinstance(node, ast.JoinedStr):
            return [
                text if (text := text_of(each)) is not None else self._piece(each, key)
                for each in node.values
            ]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._added(node, key)
        if (parts := formatted(self.module, node)) is not None:
            return [each if isinstance(each, str) else self._piece(each, key) for each in parts]
        return None

    def _added(self, node: ast.BinOp, key: str) -> Pieces:
        """``"postgresql://" + user + "@db"``, without recursion: such sums may be long."""
        terms: list[ast.expr] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
            terms.append(left.right)
            left = left.left
        return [
            text if (text := text_of(each)) is not None else self._piece(each, key)
            for each in (left, *reversed(terms))
        ]

    def _piece(self, node: ast.expr, key: str) -> Value[str]:
        inner = node.value if isinstance(node, ast.FormattedValue) else node
        return changed(self.value(inner, key), str, key)

    def entries(self, node: ast.expr | None) -> Entries:
        """The entries of a dict, wherever in the file it is written."""
        return self._mappings.entries(node)

    def keywords(self, call: ast.Call) -> Entries:
        """The keywords of a call, those of a ``**`` whose dict is in the file included."""
        return self._mappings.keywords(call)

    def _value(self, node: ast.expr, key: str, depth: int) -> Value[Any]:
        place = self.module.place(node, key)
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            return Value.unknown(f"{key} is computed when the code runs", place)
        if isinstance(node, ast.Constant):
            return Value.at(NOTHING if node.value is None else node.value, place)
        if isinstance(node, ast.Name):
            return self._named(node, key, place, depth)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, key, place, depth)
        if isinstance(node, ast.Subscript):
            return self._subscript(node, key, place, depth)
        if isinstance(node, ast.Call):
            return self._call(node, key, place, depth)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            parts = [self._value(each, key, depth + 1) for each in node.elts]
            return combined(lambda *values: values, parts, key, place)
        if isinstance(node, ast.Await):
            return self._value(node.value, key, depth + 1)
        return self._operation(node, key, place, depth)

    def _operation(self, node: ast.expr, key: str, place: Place, depth: int) -> Value[Any]:
        def of(each: ast.expr) -> Value[Any]:
            return self._value(each, key, depth + 1)

        if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            operate = ARITHMETIC[type(node.op)]
            return combined(of_numbers(operate), [of(node.left), of(node.right)], key, place)
        if isinstance(node, ast.UnaryOp):
            operand = of(node.operand)
            if isinstance(node.op, ast.USub):
                return changed(operand, operator.neg, key)
            if isinstance(node.op, ast.Not):
                return changed(operand, lambda value: not as_python(value), key)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
            compare = COMPARED[type(node.ops[0])]
            return combined(compare, [of(node.left), of(node.comparators[0])], key, place)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and len(node.values) == 2:
            return first_true(of(node.values[0]), of(node.values[1]))
        if isinstance(node, ast.IfExp):
            test = of(node.test)
            if test.is_known and test.variable is None:
                return of(node.body if as_python(test.known) else node.orelse)
        if isinstance(node, ast.JoinedStr) and depth < DEEPEST:
            parts = [of(e.value if isinstance(e, ast.FormattedValue) else e) for e in node.values]
            return combined(joined, parts, key, place)
        return Value.unknown(f"{key} is computed when the code runs", place)

    def _named(self, node: ast.Name, key: str, place: Place, depth: int) -> Value[Any]:
        if (meant := self.module.once(node.id)) is not None:
            return self._value(meant, key, depth + 1)
        if (full := self.module.imports.get(node.id)) and "." in full:
            module, _, name = full.rpartition(".")
            return _declared_elsewhere(name, key, place, module.rpartition(".")[2])
        if node.id in self.module.parameters:
            return Value.unknown(f"{key} is given by who calls the function that uses it", place)
        return Value.unknown(f"{key} is computed when the code runs", place)

    def _attribute(self, node: ast.Attribute, key: str, place: Place, depth: int) -> Value[Any]:
        if self.module.qualified(node) in ("math.inf", "numpy.inf"):
            return Value.at(math.inf, place)
        if (meant := field_of(self.module, node)) is not None:
            return self._value(meant, key, depth + 1)
        return _declared_elsewhere(node.attr, key, place, self.owner_of(node.value))

    def owner_of(self, node: ast.expr) -> str:
        """The class of what a setting is an attribute of, where it is shown; else its name."""
        if isinstance(node, ast.Name):
            given = self.module.parameters.get(node.id)
            if given is not None and given.annotation is not None:
                return last_name(given.annotation) or text_of(given.annotation) or node.id
            made = self.module.meant(node)
            if isinstance(made, ast.Call):
                return last_name(made.func) or node.id
        return last_name(node)

    def _subscript(self, node: ast.Subscript, key: str, place: Place, depth: int) -> Value[Any]:
        name = text_of(node.slice)
        if name is None or not is_name(name):
            return Value.unknown(f"{key} is computed when the code runs", place)
        if self._is_environment(node.value):
            return _from_environment(name, key, place)
        entries = self.entries(node.value)
        if name in entries.nodes:
            return self._value(entries.nodes[name], key, depth + 1)
        return _declared_elsewhere(name, key, place)

    def _is_environment(self, node: ast.expr) -> bool:
        return self.module.qualified(node) in ("os.environ", "environ", "decouple.config", "env")

    def _call(self, node: ast.Call, key: str, place: Place, depth: int) -> Value[Any]:
        if (found := self._variable(node, key, place, depth)) is not None:
            return found
        name, full = last_name(node.func), self.module.qualified(node.func)
        arguments = [self._value(each, key, depth + 1) for each in node.args]
        if isinstance(node.func, ast.Name) and name in CALLED and len(arguments) == 1:
            convert = CALLED[name]
            return changed(arguments[0], lambda value: convert(as_python(value)), key)
        if isinstance(node.func, ast.Name) and name in ("min", "max") and len(arguments) > 1:
            return combined(min if name == "min" else max, arguments, key, place)
        if full in ("typing.cast", "cast") and len(arguments) == 2:
            return arguments[1]
        if name == "make_url" and arguments:
            return arguments[0]
        if name == "cpu_count":
            return Value.unknown(f"{key} is counted from the cores of where it runs", place)
        if name == "total_seconds" and isinstance(node.func, ast.Attribute):
            return self._duration(node.func.value, key, place, depth)
        if isinstance(node.func, ast.Attribute):
            inner = self._value(node.func.value, key, depth + 1)
            if name in UNCHANGED:
                return inner
            if name in METHODS and not arguments:
                return changed(inner, of_text(METHODS[name]), key)
            if name in ("startswith", "endswith") and len(arguments) == 1:
                return combined(getattr(str, name), [inner, *arguments], key, place)
            if name == "replace" and len(arguments) >= 2:
                return combined(with_replaced, [inner, *arguments[:2]], key, place)
        if (meant := inlined(self.module, node)) is not None:
            return self._value(meant, key, depth + 1)
        return Value.unknown(f"{key} is computed when the code runs", place)

    def _duration(self, node: ast.expr, key: str, place: Place, depth: int) -> Value[Any]:
        units = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
        computed: Value[Any] = Value.unknown(f"{key} is computed when the code runs", place)
        if not isinstance(node, ast.Call) or last_name(node.func) != "timedelta" or node.args:
            return computed
        if any(each.arg not in units for each in node.keywords):
            return computed
        factors = [units[each.arg or ""] for each in node.keywords]
        parts = [self._value(each.value, key, depth + 1) for each in node.keywords]

        def total(*said: float) -> float:
            return sum(factor * each for factor, each in zip(factors, said, strict=True))

        return combined(total, parts, key, place)

    def _variable(self, node: ast.Call, key: str, place: Place, depth: int) -> Value[Any] | None:
        """What an environment variable decides; None where the call asks for none."""
        asked = asked_for(self.module, node)
        if asked is None:
            return None
        if asked.default is None:
            return _from_environment(asked.name, key, place, asked.read)
        otherwise = self._value(asked.default, key, depth + 1)
        if isinstance(otherwise.known, str) and asked.read is not str:
            otherwise = changed(otherwise, asked.read, key)
        return otherwise.decided_by(Variable(asked.name, asked.read))


def _from_environment(
    name: str, key: str, place: Place, read: Callable[[str], Any] = str
) -> Value[Any]:
    return Value.unknown(
        f"{key} is taken from the environment: {name}", place, Variable(name, read)
    )


def _declared_elsewhere(name: str, key: str, place: Place, owner: str = "") -> Value[Any]:
    why = f"{key} is a setting that is declared elsewhere: {name}"
    return Value.unknown(why, place, Variable(name, str, attribute=True, owner=owner))
