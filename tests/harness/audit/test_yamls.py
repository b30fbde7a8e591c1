"""YAML as plain data with its lines: merges, tags, nulls, blocks, and what is too much."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.yamls import FILLED_IN, Item, NotReadable, documents


def only(text: str) -> Item:
    (found,) = documents(text)
    return found


def test_everything_knows_its_line() -> None:
    found = only("a: 1\nb:\n  - x\n  - {c: 2}\n")
    assert found.line == 1
    assert [item.line for item in found.each("b")] == [3, 4]
    assert found.get("a") == Item(1, text="1")
    behind = found.get("b")
    assert behind is not None
    assert (behind.key_line, behind.line) == (2, 3)
    assert found.each("b")[1].text_at("c") == "2"


def test_nothing_is_told_from_an_empty_text() -> None:
    found = only("a:\nb: ~\nc: null\nd: ''\ne: 'null'\n")
    assert {key: (item.text, item.is_null) for key, item in found.pairs()} == {
        "a": ("", True),
        "b": ("", True),
        "c": ("", True),
        "d": ("", False),
        "e": ("null", False),
    }


def test_a_block_begins_one_line_below() -> None:
    found = only("a: |\n  one\n  two\nb: one\n")
    assert found.get("a") == Item(1, text="one\ntwo\n", block=True)
    assert found.get("b") == Item(4, text="one")


def test_what_is_written_here_wins_over_what_is_merged() -> None:
    text = "one: &one {a: 1, b: 1}\ntwo: &two {b: 2, c: 2}\nall: {<<: [*one, *two], a: 0}\n"
    found = only(text).get("all")
    assert found is not None
    assert {key: item.text for key, item in found.pairs()} == {"a": "0", "b": "1", "c": "2"}


def test_an_alias_stands_for_the_nearest_anchor_before_it() -> None:
    found = only("a: &key one\nb: *key\nc: &key two\nd: [*key, {e: *key}]\n")
    assert (found.text_at("b"), found.each("d")[0].text) == ("one", "two")
    assert found.each("d")[1].text_at("e") == "two"


def test_an_alias_of_no_anchor_is_not_read() -> None:
    with pytest.raises(NotReadable, match="undefined alias"):
        only("a: &key one\nb: &key two\nc: *other\n")


def test_the_last_of_a_key_holds() -> None:
    assert only("a: 1\na: 2\n").text_at("a") == "2"


def test_a_tag_that_makes_something_else_leaves_a_placeholder() -> None:
    found = only(
        "a: !Ref Password\nb: !reference [x, y]\nc: !ENV '${X}'\nd: !override [1]\n"
        "e: !Sub {x: y}\nf: !!str 5\n"
    )
    for key in ("a", "b", "e"):
        assert found.get(key) == Item(found.get(key).line, text=FILLED_IN)  # type: ignore[union-attr]
    assert found.text_at("c") == "${X}"
    assert [item.text for item in found.each("d")] == ["1"]
    assert found.text_at("f") == "5"


def test_several_documents() -> None:
    assert [each.text_at("a") for each in documents("a: 1\n---\n---\na: 2\n")] == ["1", "", "2"]
    assert documents("# nothing\n") == []


@pytest.mark.parametrize(
    ("text", "why", "line"),
    [
        ("a: [\n", "not valid YAML", 2),
        ("a: &a\n  b: *a\n", "contains itself", 1),
        ("a: *hunter2\n", "not valid YAML", 1),
        ("a: 'hunter2\n", "not valid YAML", 2),
        ("a: \x01\n", "not valid YAML", 0),
        ("[" * 100_000, "not valid YAML", 1),
        ("- " * 600 + "x", "not valid YAML", 0),
    ],
)
def test_what_is_not_read_is_said_without_its_text(text: str, why: str, line: int) -> None:
    with pytest.raises(NotReadable, match=why) as raised:
        documents(text)
    assert "hunter2" not in str(raised.value)
    assert line in (0, raised.value.line)


def test_a_bomb_is_not_written_out() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(NotReadable, match="aliases written out"):
        documents("\n".join(lines))


def test_what_another_document_takes_keeps_its_file() -> None:
    (found,) = documents("a: [b, {c: d}]")
    taken = found.from_file("base.yaml")
    (_, inner) = taken.each("a")
    assert (taken.file, inner.file, inner.fields and inner.fields["c"].file) == ("base.yaml",) * 3
    assert taken.from_file("other.yaml").file == "base.yaml"
    assert taken == found


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    for whole in (text, f"a: {text}", f"a: &a\n  {text}\nb: *a\n"):
        with suppress(NotReadable):
            documents(whole)
