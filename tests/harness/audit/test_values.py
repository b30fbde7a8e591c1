"""A value knows where it comes from, or why it is not known."""

from __future__ import annotations

from harness.audit.values import Place, Value

HERE = Place("app.env", 3, "POOL_SIZE")


def test_a_value_keeps_its_place_when_it_is_changed() -> None:
    assert Value.at(5, HERE).map(lambda n: n * 2) == Value.at(10, HERE)


def test_an_unknown_value_stays_unknown_and_says_why() -> None:
    unknown: Value[int] = Value.unknown("it is filled in elsewhere", HERE)
    assert unknown.map(lambda n: n * 2) == unknown
    assert not unknown.is_known
    assert str(unknown) == "unknown (it is filled in elsewhere)"


def test_a_default_says_whose_it_is() -> None:
    assert str(Value.default(30.0, "SQLAlchemy")) == "30 (default of SQLAlchemy)"


def test_zero_and_false_are_known() -> None:
    assert Value.at(0, HERE).is_known
    assert Value.at(False, HERE).or_else(Value.at(True, HERE)).known is False


def test_a_place_is_written_as_editors_read_it() -> None:
    assert str(HERE) == "app.env:3"
    assert str(Place("app.env")) == "app.env"
