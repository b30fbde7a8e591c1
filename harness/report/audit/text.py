"""An audit for a terminal: findings by rule, each with its line, and all that was not judged."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from harness.audit.chain import Chain
from harness.audit.finding import SEVERITIES, Finding, Severity, Unknown, Unread
from harness.audit.proofs import can_be_played
from harness.audit.reviewing.fixing import span
from harness.audit.reviewing.review import Review, counts
from harness.audit.reviewing.suppressions import Suppression
from harness.audit.rules import RULES
from harness.audit.rules.alternatives import at_once
from harness.audit.sources import UNREMARKABLE
from harness.audit.values import Place

T = TypeVar("T")

WIDEST = 160
"""Columns of a file's line that are shown where no width is given."""

MOST_SHOWN = 8
"""Of what is listed but is no finding; more are counted. JSON has all."""

MOST_ALIKE = 2
"""Files that are named where many are not read for the same reason."""

MOST_CHAINS = 2
"""That are described; each incident among the files has one of its own."""

STYLES: Mapping[Severity, str] = {
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold cyan",
}
SUPPRESSION = "suppressed"
_CONSOLE = Console()
"""Folding asks for one; nothing is printed by it."""

_SO_FOR_MORE = re.compile(r" \(and \d+ more like it\)$")

_TITLES = {rule.ID: rule.TITLE for rule in RULES}


def as_text(review: Review, width: int | None = None, *, quiet: bool = False) -> Iterator[Text]:
    """Line by line, the gravest first; folded to ``width`` columns where one is given.

    ``quiet``: the findings alone. Nothing that a file may hold moves the cursor or sets a colour.
    """
    for line in _lines(review, width, quiet=quiet):
        yield printable(line)


def printable(text: Text) -> Text:
    """``text`` with a sign in place of each control character."""
    if not text.plain.isprintable():
        text.plain = "".join(sign if sign.isprintable() else "\ufffd" for sign in text.plain)
    return text


def _lines(review: Review, width: int | None, *, quiet: bool) -> Iterator[Text]:
    for (_, _), group in itertools.groupby(review.findings, key=lambda f: (f.severity, f.id)):
        yield from _group(tuple(group), review, width)
        yield Text()
    if quiet:
        return
    told = [*_unknown(review.audit.unknown), *_unread(review.audit.unread), *_decided(review)]
    for text in told:
        yield from _folded(text, width, 6)
    if told:
        yield Text()
    # Last is what most files are part of; overlays are often alike.
    joined = {line.plain: line for line in map(chain_line, review.audit.chains[::-1])}
    for line in itertools.islice(joined.values(), MOST_CHAINS):
        yield from _folded(line, width, 2)
    if len(joined) > MOST_CHAINS:
        yield Text(f"… and {_count(len(joined) - MOST_CHAINS, 'more chain')}", "dim")
    yield from _folded(summary(review), width, 2)
    if review.findings:
        first = review.findings[0].id
        yield from _folded(Text(f"why: pooldrill audit --explain {first}", "dim"), width, 2)
        chains = review.audit.chains
        played = next((each.id for each in review.findings if can_be_played(each, chains)), None)
        if played is not None:
            hint = f"see it happen with these values: add --prove {played}"
            yield from _folded(Text(hint, "dim"), width, 2)


def summary(review: Review) -> Text:
    """What was read, what counts, and what was left out, in a line."""
    audit = review.audit
    numbers = counts(review.findings)
    said = Text(f"{_count(len(audit.files), 'file')} audited: ")
    parts = [
        Text(_count(numbers[severity], severity), STYLES[severity])
        for severity in SEVERITIES
        if numbers.get(severity)
    ]
    said.append_text(Text(", ").join(parts) if parts else Text("nothing found", "bold green"))
    if audit.unknown:
        said.append(f", {len(audit.unknown)} that cannot be told")
    if review.suppressed:
        said.append(f", {len(review.suppressed)} {SUPPRESSION}")
    if review.known:
        said.append(f", {len(review.known)} known from {review.known_by}")
    if audit.passed_over:
        files = sum(audit.passed_over.values())
        folders = ", ".join(f"{name}/" for name in audit.passed_over)
        said.append(f"\n{_count(files, 'file')} in {folders} passed over: --include-tests", "dim")
    return said


def chain_line(chain: Chain) -> Text:
    """What was joined, from the client's end to the database's; what is missing is said loudly."""
    pools = len(chain.pools())
    hops = [
        _count(len(chain.gateways), "gateway") if chain.gateways else "",
        _pools(chain) if pools else "",
        f"{len(chain.poolers)} PgBouncer" if chain.poolers else "",
        f"{len(chain.servers)} PostgreSQL" if chain.servers else "",
    ]
    alerts = _count(len(chain.alerts), "alert") if chain.alerts else ""
    shown = "; ".join(each for each in (" → ".join(hop for hop in hops if hop), alerts) if each)
    if pools and chain.servers:
        return Text(f"chain: {shown}", "dim")
    if pools:
        return Text.assemble(
            (f"chain: {shown}; ", "dim"),
            ("no PostgreSQL was found, so that what it grants was not judged", "bold yellow"),
            (" (name its files, or give --dsn)", "dim"),
        )
    return Text.assemble(
        (f"chain: {shown or 'nothing of it'}; ", "dim"),
        ("no pool was found, so that nothing was judged of pools", "bold yellow"),
    )


def _pools(chain: Chain) -> str:
    """Those that were found, and how many of them exist at once where code makes one of several."""
    workloads, pools, made = len(chain.workloads), len(chain.pools()), at_once(chain)
    said = f"{_count(workloads, 'workload')} with {_count(pools, 'pool')}"
    if made == pools:
        return said
    who = "it makes" if workloads == 1 else "they make"
    return f"{said}, of which {who} {'one' if made == 1 else f'{made:,}'}"


def _group(findings: tuple[Finding, ...], review: Review, width: int | None) -> Iterator[Text]:
    """One rule's findings: its title once, and its fix once where it is the same for all."""
    first = findings[0]
    head = Text.assemble(
        (first.severity, STYLES[first.severity]), " ", (first.id, "bold"), f"  {_TITLES[first.id]}"
    )
    yield from _folded(head, width, 4)
    same_fix = len({finding.fix for finding in findings}) == 1
    for place, at_place in itertools.groupby(findings, key=lambda f: f.place):
        here = tuple(at_place)
        yield Text.assemble("  ", (str(place), "blue"))
        yield from _excerpt(place, review.audit.lines.get(place), width)
        for finding in here:
            yield from _folded(Text(f"    {finding.message}"), width, 4)
            if not same_fix:
                yield from _folded(_fix(finding, review), width, 9)
    if same_fix:
        yield from _folded(_fix(first, review), width, 9)


def _fix(finding: Finding, review: Review) -> Text:
    """What to do, and whether ``--fix`` can: where the value stands as it was read."""
    edit = finding.edit
    source = review.audit.sources.get(edit.place.file) if edit else None
    can = edit is not None and source is not None and span(edit, source.text) is not None
    hint = ("  (--fix does it)", "dim") if can else ""
    return Text.assemble("    ", ("fix:", "green"), f" {finding.fix}", hint)


def _excerpt(place: Place, line: str | None, width: int | None) -> Iterator[Text]:
    """The line with a caret under its key; nothing where it may hold a secret."""
    if line is None:
        return
    margin, shown = f"    {place.line} | ", line.strip().replace("\t", " ")
    key = place.key.rpartition(".")[2]
    begin = shown.find(key) if key else -1
    room = (width or WIDEST) - len(margin)
    if len(shown) > room:
        left = max(0, min(begin - room // 3, len(shown) - room))
        shown = ("…" if left else "") + shown[left + (left > 0) : left + room - 1] + "…"
        begin = shown.find(key) if key else -1
    yield Text.assemble((margin, "dim"), shown)
    if begin >= 0:
        bar = f"{' ' * (len(margin) - 2)}| "
        yield Text.assemble((bar, "dim"), " " * begin, ("^" * len(key), "bold red"))


def _unknown(unknown: Iterable[Unknown]) -> Iterator[Text]:
    """By what is lacking and where, so that one missing option or fact is one line."""
    lacking: dict[tuple[str, str], _Lack] = {}
    for each in unknown:
        what, colon, why = each.needs.partition(": ")
        where = f"{each.place}: " if each.place else ""
        key = where, _SO_FOR_MORE.sub("", why) if colon else each.needs
        if why.startswith("give --"):
            # An option that is missing is the same for all that it would help.
            where, what = "", ""
            key = where, why
        lack = lacking.setdefault(key, _Lack(where, why if colon else each.needs))
        lack.rules.add(each.id)
        if colon and what:
            lack.whats.setdefault(what)
    if lacking:
        yield Text("cannot be told yet", "bold magenta")
    for lack in _most(sorted(lacking.values(), key=lambda each: -len(each.rules))):
        yield Text.assemble(f"  {lack}", (f"  ({', '.join(sorted(lack.rules))})", "dim"))
    yield from _more(len(lacking))


@dataclass(slots=True)
class _Lack:
    """Something that is lacking at one place, with all that it would tell."""

    where: str
    why: str
    whats: dict[str, None] = field(default_factory=dict)
    rules: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        whats = f"{', '.join(self.whats)}: " if self.whats else ""
        return f"{self.where}{whats}{self.why}"


def _unread(unread: Iterable[Unread]) -> Iterator[Text]:
    """By the reason, the rarest first; what nobody expects to be understood is left out."""
    named: dict[str, list[Unread]] = {}
    for each in unread:
        if each.why not in UNREMARKABLE:
            named.setdefault(each.why, []).append(each)
    lines = [
        line
        for why, group in sorted(named.items(), key=lambda item: len(item[1]))
        for line in _alike(why, [str(Place(each.file, each.line)) for each in group])
    ]
    if lines:
        yield Text("not read", "bold magenta")
    yield from _most(lines)
    yield from _more(len(lines))


def _alike(why: str, places: Sequence[str]) -> Iterator[Text]:
    """Files that are not read for one reason: each, or how many there are."""
    if len(places) <= MOST_ALIKE:
        yield from (Text(f"  {place}: {why}") for place in places)
    else:
        shown = ", ".join(places[:MOST_ALIKE])
        yield Text(f"  {_count(len(places), 'file')}, {shown} and others: {why}")


def _decided(review: Review) -> Iterator[Text]:
    """What was suppressed, what of it is over, what met nothing, and what a baseline has left."""
    if review.suppressed:
        yield Text(SUPPRESSION, "bold magenta")
    for each in _most(review.suppressed):
        finding, by = each.finding, each.by
        said = f"  {finding.place}: {finding.id} until {by.until.isoformat()}: {by.reason}"
        yield Text(said, "dim")
    yield from _more(len(review.suppressed))
    for over in review.expired:
        yield _odd(over, f"expired on {over.until.isoformat()} and no longer suppresses")
    for idle in review.unused:
        yield _odd(idle, "suppresses nothing: take it out")
    if review.gone:
        many = len(review.gone) != 1
        yield Text.assemble(
            ("note ", "bold cyan"),
            f"{len(review.gone)} {'entries' if many else 'entry'} of {review.known_by} "
            f"{'are' if many else 'is'} gone: write it anew with --write-baseline",
        )


def _odd(each: Suppression, what: str) -> Text:
    rules = ", ".join(sorted(each.rules))
    return Text.assemble(("note ", "bold cyan"), f"{each.place}: the suppression of {rules} {what}")


def _most(each: Iterable[T]) -> Iterable[T]:
    return itertools.islice(each, MOST_SHOWN)


def _more(count: int) -> Iterator[Text]:
    if count > MOST_SHOWN:
        yield Text(f"  … and {count - MOST_SHOWN} more; --format json has all", "dim")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _folded(text: Text, width: int | None, indent: int) -> Iterator[Text]:
    """``text`` in lines of ``width`` columns, those after the first indented."""
    for line in text.split("\n"):
        if width is None or line.cell_len <= width:
            yield line
            continue
        yield from _wrapped(line, width, indent)


def _wrapped(line: Text, width: int, indent: int) -> Iterator[Text]:
    lead = len(line.plain) - len(line.plain.lstrip())
    pieces = line[lead:].wrap(_CONSOLE, max(width - indent, 20))
    for number, piece in enumerate(pieces):
        piece.rstrip()
        yield Text(" " * (indent if number else lead)).append_text(piece)
