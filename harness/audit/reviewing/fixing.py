"""Safe fixes, made in memory, proven by another audit, and only then written."""

from __future__ import annotations

import difflib
import itertools
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from harness.audit.auditing import Audit, audit_sources, may_be_secret
from harness.audit.chain import Declared
from harness.audit.finding import Edit, Finding
from harness.audit.loaders import load
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile, lines_of, read
from harness.errors import UsageError, printable

BOM = b"\xef\xbb\xbf"
WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_SETTING = re.compile(r"(?P<indent>\s*)(?:- )?['\"]?[\w.-]+['\"]?\s*(?:[:=]\s*[^\s=]|:$)")
HIDDEN = "… (a line that may hold a secret)"

_BETWEEN = r"""['"]?[\s:=(]{1,8}['"]?"""
"""What may stand between a key and its value."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """An edit that is not made, and why."""

    finding: Finding
    why: str


@dataclass(frozen=True, slots=True)
class Fixes:
    """What was fixed in memory: the texts before and after by file, and the audit after it."""

    before: Mapping[str, SourceFile]
    after: Mapping[str, SourceFile]
    made: tuple[Finding, ...]
    dropped: tuple[Dropped, ...]
    audit: Audit

    @property
    def changed(self) -> tuple[str, ...]:
        """The files whose text is another."""
        return tuple(
            name for name in self.before if self.before[name].text != self.after[name].text
        )


def fixed(
    audit: Audit,
    findings: Iterable[Finding],
    declared: Declared,
    live: Sequence[Reading] = (),
) -> Fixes:
    """The edits of ``findings``, one after the other, each proven by another audit.

    One that leaves its finding there, brings another, or makes a file unreadable is dropped.
    """
    reading = _Remembering(load)
    now, made, dropped = audit, list[Finding](), list[Dropped]()
    for finding in findings:
        if finding.edit is None:
            continue
        source = now.sources.get(finding.edit.place.file)
        text = None if source is None else edited(finding.edit, source.text)
        if source is None or text is None:
            dropped.append(Dropped(finding, "the value does not stand on the line as it is read"))
            continue
        changed = {**now.sources, source.name: replace(source, text=text)}
        after = audit_sources(changed.values(), declared, reading, live)
        if why := _worse(finding, now, after):
            dropped.append(Dropped(finding, why))
            continue
        # What could not be read at all is no source, and stays as it was.
        now = replace(after, unread=audit.unread, passed_over=audit.passed_over)
        made.append(finding)
    return Fixes(audit.sources, now.sources, tuple(made), tuple(dropped), now)


def edited(edit: Edit, text: str) -> str | None:
    """``text`` with the edit in it; None where the old value does not stand there, just once."""
    lines = lines_of(text)
    number = edit.place.line - 1
    if not 0 <= number < len(lines) or "\n" in edit.new_text or "\r" in edit.new_text:
        return None
    span = _value(edit, lines[number])
    if span is None:
        return None
    begin, end = span
    line = lines[number]
    new = _as_written(line[begin:end], edit.new_text)
    lines[number] = f"{line[:begin]}{new}{line[end:]}"
    return "".join(lines)


def span(edit: Edit, text: str) -> tuple[int, int] | None:
    """Where in its line the old value stands, as columns from 0; None where it does not."""
    lines = lines_of(text)
    number = edit.place.line - 1
    return _value(edit, lines[number]) if 0 <= number < len(lines) else None


def unified(fixes: Fixes) -> Iterator[str]:
    """A unified diff of all files, line by line. Lines that may hold a secret are not shown."""
    edits: dict[str, list[Edit]] = {}
    for finding in fixes.made:
        if finding.edit is not None:
            edits.setdefault(finding.edit.place.file, []).append(finding.edit)
    for name in fixes.changed:
        before = fixes.before[name].lines
        after = fixes.after[name].lines
        yield from difflib.unified_diff(
            _shown(before, before, after), _shown(after, before, after), name, name, lineterm=""
        )


def write(fixes: Fixes) -> tuple[str, ...]:
    """Write the changed files, all or none, and say which.

    Line endings, a byte order mark and the mode stay; a link stays a link. Raises `UsageError`
    for a file that is not as it was read any more, or cannot be written.
    """
    contents: dict[Path, bytes] = {}
    for name in fixes.changed:
        source = fixes.before[name]
        real = Path(os.path.realpath(source.path))
        now = read(real, name)
        if not isinstance(now, SourceFile) or now.text != source.text:
            raise UsageError(
                f"{printable(name)} has changed since it was read: nothing was written",
                remedy="Audit again.",
            )
        if not real.stat().st_mode & WRITABLE or not os.access(real, os.W_OK):
            raise UsageError(
                f"{printable(name)} is read-only: nothing was written",
                remedy="Permit writing it first.",
            )
        mark = BOM if real.read_bytes().startswith(BOM) else b""
        contents[real] = mark + fixes.after[name].text.encode("utf-8")
    _replace(contents)
    return fixes.changed


def _replace(contents: Mapping[Path, bytes]) -> None:
    """Everything is written beside its place first; only renaming is left, and is undone."""
    undo: list[tuple[Path, bytes]] = []
    with ExitStack() as beside_all:
        ready: list[tuple[Path, Path]] = []
        try:
            for path, content in contents.items():
                beside = path.with_name(f".{path.name}.{os.getpid()}")
                beside_all.callback(beside.unlink, missing_ok=True)
                beside.write_bytes(content)
                _like(path, beside)
                ready.append((beside, path))
            for beside, path in ready:
                old = path.read_bytes()
                os.replace(beside, path)
                undo.append((path, old))
        except OSError as error:
            for path, old in undo:
                path.write_bytes(old)
            raise UsageError(
                f"{error.filename or 'a file'} cannot be written: {error.strerror}; "
                "nothing was changed"
            ) from None


def _like(path: Path, beside: Path) -> None:
    """The owner and mode of ``path``; who may not give a file away keeps it."""
    now = path.stat()
    with suppress(OSError):
        os.chown(beside, now.st_uid, now.st_gid)
    shutil.copymode(path, beside)


class _Remembering:
    """Reads each text once: a fix changes one file of many."""

    def __init__(self, load: Callable[[SourceFile], Reading | None]) -> None:
        self._load = load
        self._known: dict[tuple[str, str], Reading | None] = {}

    def __call__(self, file: SourceFile) -> Reading | None:
        key = (file.name, file.text)
        if key not in self._known:
            self._known[key] = self._load(file)
        return self._known[key]


def _worse(finding: Finding, before: Audit, after: Audit) -> str:
    """Why ``after`` is not what the edit was for; empty where it is."""
    there, left = _counted(before.findings), _counted(after.findings)
    if brought := sorted({rule for rule, _, _ in left - there}):
        return f"it would bring {', '.join(brought)}"
    if left[_what(finding)] >= there[_what(finding)]:
        return "the finding would stay"
    if len(after.files) < len(before.files) or not {unread.file for unread in after.unread} <= {
        unread.file for unread in before.unread
    }:
        return "the file could not be read any more"
    # Of its own rule: another one may well have a question once this harm is gone.
    mine = [sum(u.id == finding.id for u in each.unknown) for each in (before, after)]
    if mine[1] > mine[0]:
        return "it could not be told any more"
    return ""


def _counted(findings: Iterable[Finding]) -> Counter[tuple[str, str, str]]:
    return Counter(_what(finding) for finding in findings)


def _what(finding: Finding) -> tuple[str, str, str]:
    return finding.id, finding.place.file, finding.place.key


def _value(edit: Edit, line: str) -> tuple[int, int] | None:
    """A number may be written with a fraction of nothing, and with the unit of seconds."""
    key = re.escape(edit.place.key.rpartition(".")[2])
    if not key:
        return None
    old = re.escape(edit.old_text) + (r"(?:\.0+)?" if edit.old_text.isdigit() else "")
    value = rf"(?<!\w){key}{_BETWEEN}(?P<value>{old})(?P<unit>s?)(?![\w.])"
    found = list(re.finditer(value, line, re.IGNORECASE))
    if len(found) != 1:
        return None
    begin, end = found[0].span("value")
    return begin, end if edit.new_text[-1:].isdigit() else found[0].end("unit")


def _as_written(old: str, new: str) -> str:
    """``new`` in the case of ``old``: True for False, true for false, TRUE for FALSE."""
    if not (old.isalpha() and new.isalpha()):
        return new
    return new.upper() if old.isupper() else new.title() if old.istitle() else new.lower()


def _shown(lines: list[str], before: list[str], after: list[str]) -> list[str]:
    """Edits keep the number of lines, so that each has its counterpart.

    What follows a line with a secret may be more of it, a block or a key of several lines: it is
    hidden up to the next setting that stands no deeper.
    """
    shown = []
    depth: int | None = None
    for line, old, new in zip(lines, before, after, strict=True):
        setting = _SETTING.match(line)
        if setting is not None and (depth is None or len(setting["indent"]) <= depth):
            depth = None
        if may_be_secret(line):
            depth = len(line) - len(line.lstrip()) if depth is None else depth
            shown.append(HIDDEN if old == new else _changed_part(line, old, new))
        else:
            shown.append(line if depth is None or old != new else HIDDEN)
    return shown


def _changed_part(line: str, old: str, new: str) -> str:
    """Of a line that may hold a secret, the word that an edit changes."""
    begin = _common(old, new)
    end = _common(old[begin:][::-1], new[begin:][::-1])
    word = re.search(r"[\w.-]*['\"]?[\s:=(]{0,8}['\"]?[\w.-]*$", line[:begin])
    start = word.start() if word else begin
    return f"… {line[start : len(line) - end]} …"


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in same)
