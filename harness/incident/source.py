"""YAML with a memory for lines: plain data, and where each part of it stood."""

from __future__ import annotations

from typing import Any

import yaml

from harness.errors import Problem

Path = tuple[str | int, ...]

MAX_BYTES = 1_000_000
"""No incident is larger; what is larger is not an incident."""

_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LOADER = yaml.SafeLoader("")

MAX_DEPTH = 20
"""An incident is six levels deep."""


class Source:
    """A YAML document, read into plain data.

    ``what`` it is stands in messages; a file above ``max_bytes`` is refused unread.

    ``data`` is None where the text is no mapping; ``problems`` says why. ``line(path)`` is the
    1-based line of the nearest enclosing thing that has one.
    """

    def __init__(
        self,
        text: str,
        *,
        file: str,
        what: str = "an incident",
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._lines: dict[Path, int] = {}
        self.data: dict[str, Any] | None = None
        if len(text.encode()) > max_bytes:
            self.problems.append(Problem(f"larger than {max_bytes} bytes", file))
            return
        try:
            if self._is_bomb(text):
                return
            node = yaml.compose(text, Loader=_FAST)
            data = self._read(node, ()) if node else None
        except yaml.MarkedYAMLError as error:
            mark = getattr(error, "problem_mark", None)
            said = f"not valid YAML: {error.problem or error.context}"
            self.problems.append(Problem(said, file, mark.line + 1 if mark else None))
            return
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            self.problems.append(Problem(f"not valid YAML: {error}", file))
            return
        if isinstance(data, dict):
            self.data = data
        elif not self.problems:
            self.problems.append(Problem(f"{what} is a mapping of fields", file, 1))

    def _is_bomb(self, text: str) -> bool:
        """Aliases and deep nesting, refused before anything is built: both grow without bound."""
        depth = 0
        for event in yaml.parse(text, Loader=_FAST):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                said = f"aliases (*{event.anchor}) are not read; write the value out"
            elif depth > MAX_DEPTH:
                said = f"not valid YAML here: nested deeper than {MAX_DEPTH}"
            else:
                continue
            mark = event.start_mark
            self.problems.append(Problem(said, self.file, mark.line + 1 if mark else None))
            return True
        return False

    def line(self, path: Path) -> int | None:
        for length in range(len(path), -1, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None

    def problem(self, path: Path, message: str) -> Problem:
        """``message`` about ``path``, with its file and line."""
        return Problem(message, self.file, self.line(path), dotted(path) or None)

    def override(self, path: Path, value: Any) -> None:
        """Put ``value`` at ``path``, making the mappings on the way; KeyError where none fits."""
        assert self.data is not None
        here: Any = self.data
        for number, key in enumerate(path[:-1]):
            if isinstance(here, list):
                here = here[_index(here, key, path[: number + 1])]
            elif isinstance(here, dict):
                here = here.setdefault(key, {})
            else:
                raise KeyError(dotted(path[:number]))
        last = path[-1]
        if isinstance(here, list):
            here[_index(here, last, path)] = value
        elif isinstance(here, dict):
            here[last] = value
        else:
            raise KeyError(dotted(path[:-1]))

    def _read(self, node: yaml.Node, path: Path) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._read(child, (*path, number)) for number, child in enumerate(node.value)]
        return _LOADER.construct_object(node)

    def _read_mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here = (*path, key)
            if key in result:
                message = f"'{key}' stands here twice"
                line = key_node.start_mark.line + 1
                self.problems.append(Problem(message, self.file, line, dotted(here)))
                continue
            self._lines[here] = key_node.start_mark.line + 1
            result[key] = self._read(value_node, here)
        return result


def dotted(path: Path) -> str:
    """``load.phases[1].rate``: how a field path is written in messages."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse_path(text: str) -> Path:
    """``load.phases.1.rate`` or ``load.phases[1].rate`` as a path."""
    parts = text.replace("[", ".").replace("]", "").split(".")
    return tuple(int(part) if part.isdigit() else part for part in parts)


def _index(items: list[Any], key: str | int, path: Path) -> int:
    """A list's item by its number or by its ``name``."""
    if isinstance(key, int) and key < len(items):
        return key
    for number, item in enumerate(items):
        if isinstance(item, dict) and item.get("name") == key:
            return number
    raise KeyError(dotted(path))
