"""Texts as syntax trees, if need be of newer syntax in an older spelling of the same lines.

Only what stands in the way of a tree is rewritten: type parameters and ``type`` statements
(PEP 695), ``except`` without parentheses (PEP 758) and template strings (PEP 750). Lines stay
where they are.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
import warnings

_HEADER = re.compile(r"^[ \t]*(?:async[ \t]+def|def|class|type)[ \t]+\w+[ \t]*\[", re.MULTILINE)
_TYPE = re.compile(r"^([ \t]*)type[ \t]+(\w+)[ \t]*(?==)", re.MULTILINE)
_EXCEPT = re.compile(
    r"^([ \t]*except\*?[ \t]+)([\w.]+(?:[ \t]*,[ \t]*[\w.]+)+)[ \t]*(?=:|[ \t]as[ \t])",
    re.MULTILINE,
)
_TEMPLATE = re.compile(r"""(?<![\w"'])(r?)t(r?)(?=["'])""", re.IGNORECASE)
LONGEST = 2_000
"""Characters between the brackets of type parameters."""


_NOT_PARSED = (SyntaxError, ValueError, RecursionError, MemoryError)


class NotPython(ValueError):  # noqa: N818 - it is said, not raised further
    """Why a file is not Python, and the line."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


def tree_of(text: str) -> ast.Module:
    """The tree, if need be of newer syntax in an older spelling. Raises `NotPython`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of strange escapes, for instance: not our matter
        try:
            return ast.parse(text)
        except SyntaxError as error:
            with contextlib.suppress(*_NOT_PARSED):
                return ast.parse(in_older_syntax(text))
            running = f"{sys.version_info.major}.{sys.version_info.minor}"
            why = f"not Python, or newer than the {running} that reads it"
            raise NotPython(f"{why}: {type(error).__name__}", error.lineno or 0) from None
        except _NOT_PARSED as error:
            raise NotPython(f"not Python: {type(error).__name__}", 0) from None


def in_older_syntax(text: str) -> str:
    """The text as an older Python might read it; it may still be none."""
    text = _EXCEPT.sub(r"\1(\2)", text)
    text = _TEMPLATE.sub(r"\1f\2", text)
    pieces, end = [], 0
    for found in _HEADER.finditer(text):
        opened = found.end() - 1
        closed = _closing(text, opened)
        if opened < end or closed is None:
            continue
        # As many lines as there were.
        pieces += [text[end:opened], "\\\n" * text.count("\n", opened, closed)]
        end = closed
    return _TYPE.sub(r"\1\2", "".join((*pieces, text[end:])))


def _closing(text: str, opened: int) -> int | None:
    """The place behind the bracket that closes the one at ``opened``."""
    depth = 0
    for at in range(opened, min(len(text), opened + LONGEST)):
        depth += {"[": 1, "]": -1}.get(text[at], 0)
        if not depth:
            return at + 1
    return None
