"""The branches of code that lead to where a pool is made, as far as the file shows them.

A branch counts where the code goes one way and not the others: the arms of an ``if``, a
conditional expression, a ``match`` or a ``try``; what follows an ``if`` that returns; the entries
of a dict of factories, of which one is looked up. In a loop all ways may be gone, and in a
function that is called several times those that its parameters decide.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harness.audit.branches import Branch, common
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.operations import as_python, changed
from harness.audit.loaders.python.syntax import Function, Module
from harness.audit.reading import truth
from harness.audit.values import Value

DEEPEST = 6
"""Of functions that call each other on the way to a pool."""

_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.comprehension)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def called(module: Module, name: str) -> Iterator[ast.Name]:
    """Where a function or class is called, given back, or put into a dict of its like."""
    for node in module.names.get(name, ()):
        above = module.parent(node)
        is_called = isinstance(above, ast.Call) and above.func is node
        if is_called or isinstance(above, ast.Dict | ast.Return | ast.Assign | ast.IfExp):
            yield node


class Branches:
    """The branches of one module."""

    def __init__(self, expressions: Expressions) -> None:
        self._expressions = expressions
        self._module = expressions.module
        self._seen: dict[ast.AST, tuple[Branch, ...]] = {}
        self._tests: dict[ast.expr, Value[int]] = {}
        self._parameters_ask: dict[Function, dict[str, bool]] = {}

    def to(self, node: ast.AST, depth: int = 0) -> tuple[Branch, ...]:
        """Those that lead to ``node``, the outermost first."""
        found: list[Branch] = []  # the innermost first
        child, around = node, None
        for above in self._module.around(node):
            if isinstance(above, (*_LOOPS, *_COMPREHENSIONS)):
                found.clear()
            if isinstance(child, ast.stmt):
                found += self._left_before(child, above)
            found += self._at(above, child)
            child = above
            if isinstance(above, Function | ast.ClassDef | ast.Lambda):
                around = above
                break
        if isinstance(around, Function) and self._is_called_often(around):
            found = [each for each in found if not self._asks_parameters(each, around)]
        inner = tuple(reversed(found))
        return (*self._around(around, depth), *inner)

    def _around(self, function: ast.AST | None, depth: int) -> tuple[Branch, ...]:
        """What leads to the function itself, in this file."""
        if function is None or depth >= DEEPEST:
            return ()
        if isinstance(function, ast.Lambda):
            return self.to(function, depth + 1)
        above = self._module.parent(function)
        if isinstance(above, ast.ClassDef):
            function = above
        name = getattr(function, "name", "")
        if self._module.bound.get(name) != [None]:
            return ()
        if function not in self._seen:
            self._seen[function] = ()  # one that calls itself is reached by others first
            found = [self.to(each, depth + 1) for each in called(self._module, name)]
            self._seen[function] = common(found) if found else ()
        return self._seen[function]

    def _at(self, above: ast.AST, child: ast.AST) -> list[Branch]:
        """The branch of ``above`` that ``child`` stands in."""
        if isinstance(above, ast.If):
            way = 0 if child in above.body else 1 if child in above.orelse else None
            return self._branch(above, way, self._of_test(above.test))
        if isinstance(above, ast.IfExp):
            way = {above.body: 0, above.orelse: 1}.get(child)  # type: ignore[call-overload]
            return self._branch(above, way, self._of_test(above.test))
        if isinstance(above, ast.Match):
            way = above.cases.index(child) if child in above.cases else None
            return self._branch(above, way, _of_cases(self._expressions, above))
        if isinstance(above, ast.Try):
            way = next((n for n, each in enumerate(above.handlers, 1) if each is child), None)
            if child in above.body or child in above.orelse:
                way = 0
            return self._branch(above, way if above.handlers else None, _not_known())
        if isinstance(above, ast.Dict) and isinstance(child, ast.Lambda | ast.Name):
            return self._of_entry(above, child)
        return []

    def _left_before(self, statement: ast.stmt, above: ast.AST) -> list[Branch]:
        """What an ``if`` before the statement returns, the statement does not make."""
        found: list[Branch] = []
        for name in ("body", "orelse", "finalbody"):
            block = getattr(above, name, None)
            if not isinstance(block, list) or statement not in block:
                continue
            for each in block[: block.index(statement)]:
                if isinstance(each, ast.If):
                    ends = [_returns(each.body), _returns(each.orelse)]
                    if ends.count(True) == 1:
                        way = ends.index(False)
                        found += self._branch(each, way, self._of_test(each.test))
                elif isinstance(each, ast.Match):
                    found += self._after_match(each)
        return found[::-1]

    def _after_match(self, node: ast.Match) -> list[Branch]:
        """Behind a ``match``: the cases that do not return, or none of them."""
        ways = {n for n, case in enumerate(node.cases) if not _returns(case.body)}
        if len(ways) == len(node.cases):
            return []
        chosen = _of_cases(self._expressions, node)
        return [Branch(self._place_of(node), frozenset({*ways, len(node.cases)}), chosen)]

    def _branch(self, node: ast.AST, way: int | None, chosen: Value[int]) -> list[Branch]:
        return [] if way is None else [Branch(self._place_of(node), frozenset({way}), chosen)]

    def _place_of(self, node: ast.AST) -> str:
        column = getattr(node, "col_offset", 0)
        return f"{self._module.place(node)}:{column}"

    def _of_entry(self, node: ast.Dict, child: ast.AST) -> list[Branch]:
        """The entry of a dict of factories: only where each use of the dict looks one up."""
        name = self._module.name_of(node)
        at_once = isinstance(self._module.parent(node), ast.Subscript)
        uses: Sequence[ast.expr] = [node] if at_once else self._module.names.get(name, ())
        lookups = [_looked_up(self._module, each) for each in uses]
        if not lookups or None in lookups or child not in node.values:
            return []
        chosen = _not_known()
        if len(lookups) == 1 and (subject := lookups[0]) is not None:
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            value = self._expressions.value(subject, "the choice")
            chosen = changed(value, lambda said: keys.index(as_python(said)), "the choice")
        return self._branch(node, node.values.index(child), chosen)

    def _is_called_often(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        calls = [*called(self._module, function.name)]
        looped = any(
            isinstance(above, (*_LOOPS, *_COMPREHENSIONS))
            for each in calls
            for above in self._module.around(each)
        )
        return looped or len(calls) > 1

    def _asks_parameters(
        self, branch: Branch, function: ast.FunctionDef | ast.AsyncFunctionDef
    ) -> bool:
        """Whether a parameter decides: each call may decide otherwise."""
        if function not in self._parameters_ask:
            given = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
            asks = self._parameters_ask[function] = {}
            for node in ast.walk(function):
                asked = getattr(node, "test", None) or getattr(node, "subject", None)
                if asked is not None:
                    names = (each.id for each in ast.walk(asked) if isinstance(each, ast.Name))
                    asks.setdefault(self._place_of(node), not given.isdisjoint(names))
        return self._parameters_ask[function].get(branch.choice, False)

    def _of_test(self, test: ast.expr) -> Value[int]:
        """0 where the test holds, 1 where it does not."""
        if test not in self._tests:
            holds = _true(self._expressions, test)
            self._tests[test] = changed(holds, lambda true: 0 if true else 1, "the choice")
        return self._tests[test]


def _returns(block: Sequence[ast.stmt]) -> bool:
    """Whether a block always ends its function by giving something back."""
    if not block:
        return False
    last = block[-1]
    if isinstance(last, ast.If):
        return _returns(last.body) and _returns(last.orelse)
    return isinstance(last, ast.Return)


def _looked_up(module: Module, used: ast.expr) -> ast.expr | None:
    """What is looked up where a dict is used; None where it is used otherwise."""
    above = module.parent(used)
    if isinstance(above, ast.Subscript) and above.value is used:
        return above.slice
    if isinstance(above, ast.Attribute) and above.attr == "get":
        call = module.parent(above)
        if isinstance(call, ast.Call) and len(call.args) == 1:
            return call.args[0]
    return None


def _not_known() -> Value[Any]:
    return Value.unknown("the code chooses it when it runs")


def _true(expressions: Expressions, test: ast.expr) -> Value[bool]:
    value = expressions.value(test, "the choice")
    # A setting that is declared as a truth has its text read as one; a text by itself is true.
    declared = value.variable is not None and value.variable.attribute

    def holds(said: object) -> bool:
        if declared and isinstance(said, str):
            try:
                return truth(said)
            except ValueError:
                return bool(said)
        return bool(as_python(said))

    return changed(value, holds, "the choice")


def _of_cases(expressions: Expressions, node: ast.Match) -> Value[int]:
    """The number of the case that the subject meets."""
    tests: list[Callable[[object], bool]] = []
    for case in node.cases:
        test = _meets(case.pattern)
        if test is None or case.guard is not None:
            return _not_known()
        tests.append(test)

    def met(said: object) -> int:
        subject = as_python(said)
        return next((n for n, test in enumerate(tests) if test(subject)), len(tests))

    return changed(expressions.value(node.subject, "the choice"), met, "the choice")


def _meets(pattern: ast.pattern) -> Callable[[object], bool] | None:
    """What a pattern asks of its subject; None where it is not understood."""
    if isinstance(pattern, ast.MatchAs) and pattern.pattern is None:
        return lambda _: True
    if isinstance(pattern, ast.MatchValue) and isinstance(pattern.value, ast.Constant):
        wanted = pattern.value.value
        return lambda said: said == wanted
    if isinstance(pattern, ast.MatchSingleton):
        single = pattern.value
        return lambda said: said is single
    if isinstance(pattern, ast.MatchOr):
        inner = [_meets(each) for each in pattern.patterns]
        if any(each is None for each in inner):
            return None
        return lambda said: any(each is not None and each(said) for each in inner)
    return None
