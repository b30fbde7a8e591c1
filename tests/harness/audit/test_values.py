"""A value knows where it comes from, or why it is not known."""

from __future__ import annotations

from harness.audit.values import Place, Value, read_at

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


def test_a_number_that_nobody_can_mean_is_not_understood() -> None:
    place = Place("compose.yaml", 1)
    for text in ("9" * 400, "-" + "9" * 400, str(2**63)):
        assert not read_at(text, place, "replicas", int).is_known
    assert not read_at("9" * 400, place, "timeout", lambda text: float(int(text))).is_known
    assert read_at(str(2**63 - 1), place, "replicas", int).known == 2**63 - 1
