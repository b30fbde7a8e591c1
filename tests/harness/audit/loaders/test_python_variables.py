"""Calls that ask for environment variables."""

from __future__ import annotations

import pytest

from harness.audit.loaders import python
from harness.audit.values import Place, Value
from tests.harness.audit.loaders.reading import read


def size(before: str, expression: str) -> Value[float]:
    text = f"""\
import os
from sqlalchemy import create_engine
{before}
engine = create_engine("postgresql://u@db/app", pool_size={expression})
"""
    (code,) = read(python, "app/db.py", text).codes
    (pool,) = code.pools
    return pool.size


def said(value: Value[float], name: str, text: str) -> float | None:
    return value.resolved({name: (text, Place(".env", 1, name))}).known


@pytest.mark.parametrize(
    ("before", "expression", "name", "default"),
    [
        ("", 'int(os.environ.get("SIZE", "5"))', "SIZE", 5),
        ("", 'int(os.environ.get("SIZE") or 5)', "SIZE", 5),
        ("", 'int(float(os.getenv("SIZE", "5.0")))', "SIZE", 5),
        ("from os import getenv", 'int(getenv("SIZE", 5))', "SIZE", 5),
        ("import environ\nenv = environ.Env(SIZE=(int, 5))", 'env("SIZE")', "SIZE", 5),
        ("import environ\nenv = environ.Env(SIZE=int)", 'env("SIZE", default=5)', "SIZE", 5),
        ("import environ\nread = environ.Env()", 'read.int("SIZE", default=5)', "SIZE", 5),
        ("from environs import Env\nread = Env()", 'read.int("SIZE", 5)', "SIZE", 5),
        ("from decouple import config", 'config("SIZE", default=5, cast=int)', "SIZE", 5),
        ("from decouple import config as said", 'said("SIZE", 5, cast=int)', "SIZE", 5),
        ("import decouple", 'decouple.config("SIZE", cast=int)', "SIZE", None),
        (
            "from decouple import AutoConfig\nread = AutoConfig('.')",
            'read("SIZE", default=5, cast=int)',
            "SIZE",
            5,
        ),
        (
            "from starlette.config import Config\nread = Config('.env', env_prefix='APP_')",
            'read("SIZE", cast=int, default=5)',
            "APP_SIZE",
            5,
        ),
    ],
)
def test_the_variable_decides_over_its_default(
    before: str, expression: str, name: str, default: float | None
) -> None:
    found = size(before, expression)
    assert found.known == default
    assert said(found, name, "12") == 12


def test_what_another_function_is_called_with_is_no_variable() -> None:
    found = size("from app.flags import read", 'read("SIZE", 5)')
    assert not found.is_known
    assert found.variable is None


def test_a_cast_of_ones_own_is_not_known() -> None:
    found = size("from decouple import config, Csv", 'config("SIZE", cast=Csv())')
    assert said(found, "SIZE", "12") is None
