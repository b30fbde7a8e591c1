"""Caddyfiles: their ``reverse_proxy``, how long it waits, and how often it tries.

There is no parser for them on PyPI that is kept up; the one that there is, is Caddy itself, a
server of 40 MB. What is needed of the grammar is small: words in lines, quotes, comments, and
braces at the end of a line (https://caddyserver.com/docs/caddyfile/concepts). Snippets that a file
imports from itself are read where they are imported.

Defaults: https://caddyserver.com/docs/caddyfile/directives/reverse_proxy (no timeout for a
response's header or a read, no retry; of what was sent once, only GET is sent again).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from harness.audit.directives import Blocks, Directive, walk
from harness.audit.finding import Unread
from harness.audit.loaders.durations import seconds
from harness.audit.loaders.upstreams import address
from harness.audit.parts import Gateway
from harness.audit.reading import Reading, read_at
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value

CADDY = "Caddy"
PROXY = "reverse_proxy"
DEEPEST = 50
"""Braces in braces; people write four."""

_NAME = re.compile(r"Caddyfile(\..+)?|.+\.(caddyfile|caddy)", re.IGNORECASE)
_TIMEOUTS = ("response_header_timeout", "read_timeout")
_WORD = re.compile(
    r'"((?:[^"\\]|\\.)*)"|`([^`]*)`|<<(\w+)[ \t\r]*\n|(\\?\n)|#[^\n]*|([^\s"`][^\s]*)'
    r"|(\S)|[^\S\n]+",
    re.DOTALL,
)
"""A quotation, one with backticks, the beginning of a document, the end of a line, a comment, a
word. What is none of them is a quotation that does not end."""

_VARIABLE = re.compile(r"\{\$(\w+)(?::([^{}]*))?\}")
_SHOWN = re.compile(r"[\w.:*/-]+")


class NotCaddys(ValueError):  # noqa: N818 - it is said, not raised further
    """What is not Caddy's syntax, at ``line``."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


def recognises(file: SourceFile) -> bool:
    """By its name, and what it does."""
    return _NAME.fullmatch(file.path.name) is not None and PROXY in file.text


def load(file: SourceFile) -> Reading:
    """A gateway for each kind of ``reverse_proxy``."""
    try:
        directives = parsed(file)
    except NotCaddys as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    gateways: dict[object, Gateway] = {}
    for directive, around in walk(_with_snippets(directives)):
        if directive.name == PROXY:
            gateway = _gateway(directive, around)
            alike = gateway.timeout_s.known, gateway.timeout_s.why, gateway.upstreams
            gateways.setdefault((*alike, gateway.attempts.known), gateway)
    return Reading(gateways=tuple(gateways.values()))


def _gateway(directive: Directive, around: Blocks) -> Gateway:
    place = Place(directive.file, directive.line, PROXY)
    matched, upstreams = _arguments(directive.arguments)
    for each in directive.inside:
        if each.name == "to":
            upstreams += each.arguments
    site = around[0].name if around else ""
    where = next((each for each in (matched, site) if _SHOWN.fullmatch(each)), PROXY)
    found = (address(each) for each in upstreams)
    return Gateway(
        name=f"Caddy ({where})",
        place=place,
        timeout_s=_timeout(directive, place),
        attempts=_attempts(directive, place),
        retry_budget=Value.default(math.inf, CADDY, place),
        upstreams=tuple(dict.fromkeys(each[0] for each in found if each)),
    )


def _arguments(arguments: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The matcher, "" for none, and the upstreams."""
    if arguments and arguments[0].startswith(("/", "@", "*")):
        return arguments[0], arguments[1:]
    return "", arguments


def _timeout(proxy: Directive, place: Place) -> Value[float]:
    """The shorter of those that end a wait for an answer; by default there is none."""
    blocks = [proxy, *(each for each in proxy.inside if each.name == "transport")]
    said = [_time(each) for block in blocks[1:] for each in block.inside if each.name in _TIMEOUTS]
    imported = next(
        (each for block in blocks for each in block.inside if each.name == "import"), None
    )
    if imported is not None and not said:
        there = Place(imported.file, imported.line, "import")
        return Value.unknown("a timeout may stand in what is imported here", there)
    unknown = next((each for each in said if not each.is_known), None)
    shortest = min(said, key=lambda each: each.known or 0.0, default=None)
    return unknown or shortest or Value.default(math.inf, CADDY, place)


def _time(directive: Directive) -> Value[float]:
    place = Place(directive.file, directive.line, directive.name)
    return read_at(_first(directive), place, directive.name, seconds)


def _attempts(proxy: Directive, place: Place) -> Value[int]:
    """The first and ``lb_retries``, where what was sent once may be sent again."""
    said = {each.name: each for each in proxy.inside}
    retries, duration = said.get("lb_retries"), said.get("lb_try_duration")
    if retries is None and duration is None:
        return Value.default(1, CADDY, place)
    if "lb_retry_match" not in said:
        there = Place(place.file, (retries or duration or proxy).line, "lb_retry_match")
        return Value.unknown("only requests that change nothing are tried again", there)
    if retries is None:
        there = Place(place.file, said["lb_try_duration"].line, "lb_try_duration")
        return Value.unknown("it is limited by lb_try_duration, and no count", there)
    there = Place(place.file, retries.line, "lb_retries")
    return read_at(_first(retries), there, "lb_retries", _count).map(lambda count: count + 1)


def _first(directive: Directive) -> str:
    """Its first argument, a variable spelt as a shell does."""
    text = directive.arguments[0] if directive.arguments else ""
    return _VARIABLE.sub(lambda found: f"${{{found[1]}:-{found[2] or ''}}}", text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)


def _with_snippets(blocks: Blocks) -> Blocks:
    """Without ``(name) { … }``, each of which stands where it is imported."""
    snippets = {each.name[1:-1]: each for each in blocks if _is_snippet(each)}

    def opened(inside: Blocks, within: tuple[str, ...]) -> Iterator[Directive]:
        for each in inside:
            name = each.arguments[0] if each.name == "import" and each.arguments else ""
            if name in snippets and name not in within and len(within) < DEEPEST:
                yield from opened(snippets[name].inside, (*within, name))
            else:
                yield Directive(
                    each.name,
                    each.arguments,
                    each.line,
                    tuple(opened(each.inside, within)),
                    each.file,
                )

    return tuple(opened(tuple(each for each in blocks if not _is_snippet(each)), ()))


def _is_snippet(directive: Directive) -> bool:
    return directive.name.startswith("(") and directive.name.endswith(")")


def parsed(file: SourceFile) -> Blocks:
    """The file's directives. Raises `NotCaddys`."""
    found: list[Directive] = []
    open_ones: list[tuple[Sequence[str], int, list[Directive]]] = []
    inner = found
    for words, line in _lines(file.text):
        if words == ["}"]:
            if not open_ones:
                raise NotCaddys("a brace that closes nothing", line)
            (name, *arguments), began, outer = open_ones.pop()
            outer.append(Directive(name, tuple(arguments), began, tuple(inner), file.name))
            inner = outer
        elif words[-1] == "{":
            if len(open_ones) >= DEEPEST:
                raise NotCaddys(f"more than {DEEPEST} braces in each other", line)
            open_ones.append((words[:-1] or [""], line, inner))
            inner = []
        else:
            inner.append(Directive(words[0], tuple(words[1:]), line, (), file.name))
    if open_ones:
        raise NotCaddys("a brace that is not closed", open_ones[-1][1])
    return tuple(found)


def _lines(text: str) -> Iterator[tuple[list[str], int]]:
    """Lines with words, and their numbers."""
    words: list[str] = []
    number = began = 1
    position = 0
    while (found := _WORD.match(text, position)) is not None:
        quoted, raw, marker, end, word, odd = found.groups()
        if odd is not None:
            raise NotCaddys("a quotation that does not end", number)
        after = found.end() if marker is None else _end_of(marker, text, found.end() - 1, number)
        said = next((each for each in (quoted, raw, marker, word) if each is not None), None)
        if said is not None:
            began = began if words else number
            words.append(said)
        if end == "\n" and words:
            yield words, began
            words = []
        number += text.count("\n", position, after)
        position = after
    if words:
        yield words, began


def _end_of(marker: str, text: str, start: int, line: int) -> int:
    """Where a document ends (``<<END``); of what is in it nothing is needed."""
    found = re.compile(rf"\n[ \t]*{marker}\b").search(text, start)
    if found is None:
        raise NotCaddys("a document that does not end", line)
    return found.end()
