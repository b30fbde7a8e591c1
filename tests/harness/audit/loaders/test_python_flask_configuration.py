"""What a Flask application's configuration is given, for other files that ask it."""

from __future__ import annotations

import pytest

from harness.audit.loaders import python
from harness.audit.reading import Setting
from tests.harness.audit.loaders.reading import SECRET, read, texts

BEFORE = "import os\nfrom flask import Flask\ndef create_app():\n    app = Flask(__name__)\n"
BY_ENVIRONMENT = "app.config.from_prefixed_env('PARCELS')"


def given(*lines: str) -> dict[str, Setting]:
    text = BEFORE + "".join(f"    {line}\n" for line in lines)
    found = read(python, "parcels/__init__.py", text).settings
    return {each.name: each for each in found if "config" in each.owners}


@pytest.mark.parametrize(
    "line",
    [
        "app.config.from_mapping(DB_MAX=12)",
        "app.config.from_mapping({'DB_MAX': 12})",
        "app.config.update(DB_MAX=12)",
        "app.config['DB_MAX'] = 12",
        "app.config.setdefault('DB_MAX', 12)",
        "self.app.config.from_mapping(DB_MAX=6 + 6)",
    ],
)
def test_every_way_to_give_it_a_key(line: str) -> None:
    found = given(line, BY_ENVIRONMENT)["DB_MAX"]
    assert (found.text, found.variable, found.place.line) == ("12", "PARCELS_DB_MAX", 5)


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        ("app.config.from_prefixed_env()", "FLASK_DB_MAX"),
        ("app.config.from_prefixed_env(prefix='APP')", "APP_DB_MAX"),
        ("app.config.from_prefixed_env(PREFIX)", ""),
        ("app.config.from_object('parcels.settings')", ""),
    ],
)
def test_variables_that_hold_over_it_have_the_prefix(line: str, variable: str) -> None:
    assert given("app.config.from_mapping(DB_MAX=12)", line)["DB_MAX"].variable == variable


def test_a_variable_of_its_own_is_that() -> None:
    line = "app.config['DB_MAX'] = int(os.environ.get('POOL', '7'))"
    found = given(line, BY_ENVIRONMENT)["DB_MAX"]
    assert (found.text, found.variable) == ("7", "POOL")


def test_what_is_no_key_of_flasks_or_no_configuration_is_none() -> None:
    assert given("app.config.from_mapping(db_max=12)", "cache.update(DB_MAX=12)") == {}
    assert given("app.state['DB_MAX'] = 12", BY_ENVIRONMENT) == {}


def test_no_secret_is_kept() -> None:
    text = f"{BEFORE}    app.config.from_mapping(SECRET_KEY='{SECRET}', DB_PASSWORD='{SECRET}')\n"
    assert SECRET not in texts(read(python, "parcels/__init__.py", text).settings)
