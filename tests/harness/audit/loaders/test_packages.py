"""Dependencies: what requirement files, manifests and lock files have, with its lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import packages
from harness.audit.parts import Package
from tests.harness.audit.loaders.reading import SECRET, read, source, texts


def found(name: str, text: str) -> dict[str, Package]:
    return {each.name: each for each in read(packages, name, text).packages}


def test_requirements_are_read_with_their_lines() -> None:
    text = """\
# what we need
-r base.txt
--index-url https://user:hunter2-canary@packages.example
requests==2.0
Psycopg_Pool[binary]>=3.1,<3.2 ; python_version > "3.8"  # the pool
sqlalchemy==2.0.30 \\
    --hash=sha256:aaaa \\
    --hash=sha256:bbbb
django
git+https://hunter2-canary@example.org/x.git
"""
    said = found("requirements-dev.txt", text)
    assert set(said) == {"psycopg-pool", "sqlalchemy", "django"}
    pool = said["psycopg-pool"]
    assert (pool.specifier.known, pool.place.line) == ("<3.2,>=3.1", 5)
    assert not pool.version.is_known
    assert (said["sqlalchemy"].version.known, said["sqlalchemy"].place.line) == ("2.0.30", 6)
    assert said["django"].specifier.known == ""
    assert SECRET not in texts(read(packages, "requirements-dev.txt", text))


@pytest.mark.parametrize("name", ["requirements/base.txt", "constraints.txt", "requirements.in"])
def test_requirement_files_have_several_names(name: str) -> None:
    assert found(name, "psycopg-pool==3.2.6")["psycopg-pool"].version.known == "3.2.6"


def test_a_manifest_has_its_groups() -> None:
    text = """\
[project]
name = "psycopg-pool-user"
dependencies = [
  "fastapi>=0.110",
]
[project.optional-dependencies]
db = ["psycopg-pool<3.2.8", "broken requirement here"]
[dependency-groups]
dev = ["asyncpg==0.30.0", {include-group = "other"}]
"""
    said = found("pyproject.toml", text)
    assert (said["fastapi"].specifier.known, said["fastapi"].place.line) == (">=0.110", 4)
    assert (said["psycopg-pool"].specifier.known, said["psycopg-pool"].place.line) == ("<3.2.8", 7)
    assert said["asyncpg"].version.known == "0.30.0"


@pytest.mark.parametrize(
    ("constraint", "specifier"),
    [
        ("^3.2", "<4,>=3.2"),
        ("^0.110.1", "<0.111,>=0.110.1"),
        ("~3.2.1", "<3.3,>=3.2.1"),
        ("~3", "<4,>=3"),
        ("3.2.6", "==3.2.6"),
        (">=3.1,<3.2", "<3.2,>=3.1"),
        ("3.2.*", "==3.2.*"),
        ("*", ""),
    ],
)
def test_poetry_has_constraints_of_its_own(constraint: str, specifier: str) -> None:
    text = f'[tool.poetry.group.db.dependencies]\npsycopg-pool = "{constraint}"\n'
    pool = found("pyproject.toml", text)["psycopg-pool"]
    assert (pool.specifier.known, pool.place.line) == (specifier, 2)


def test_alternatives_are_passed_over() -> None:
    text = '[tool.poetry.dependencies]\npsycopg-pool = "^3.1 || ^4.0"\n'
    assert found("pyproject.toml", text) == {}


LOCKED = """\
version = 1

[[package]]
name = "psycopg"
version = "3.2.3"
dependencies = [
  { name = "psycopg-pool" },
]

[[package]]
name = "psycopg-pool"
version = "3.2.6"
"""


@pytest.mark.parametrize("name", ["poetry.lock", "uv.lock", "pdm.lock", "pylock.toml"])
def test_a_lock_file_has_versions(name: str) -> None:
    text = LOCKED.replace("[[package]]", "[[packages]]") if name == "pylock.toml" else LOCKED
    pool = found(name, text)["psycopg-pool"]
    assert (pool.version.known, pool.place.line) == ("3.2.6", 12)
    assert not pool.specifier.is_known


def test_pipenvs_lock_is_json() -> None:
    text = """\
{
  "default": {
    "psycopg-pool": {
      "hashes": ["sha256:a"],
      "version": "==3.2.6"
    }
  },
  "develop": {"celery": "*"}
}
"""
    pool = found("Pipfile.lock", text)["psycopg-pool"]
    assert (pool.version.known, pool.place.line) == ("3.2.6", 5)


@pytest.mark.parametrize(("name", "kind"), [("pyproject.toml", "TOML"), ("Pipfile.lock", "JSON")])
def test_what_is_not_understood_is_said(name: str, kind: str) -> None:
    reading = read(packages, name, f'password = "{SECRET}')
    (unread,) = reading.unread
    assert f"not valid {kind}" in unread.why
    assert SECRET not in texts(reading)


@pytest.mark.parametrize("name", ["setup.py", "notes.txt", "package.json", "settings.toml"])
def test_other_files_are_not_recognised(name: str) -> None:
    assert not packages.recognises(source(name, "psycopg-pool==3.2.6"))


@given(st.text(max_size=120))
def test_no_text_makes_it_fall(text: str) -> None:
    for name in ("requirements.txt", "pyproject.toml", "uv.lock", "Pipfile.lock"):
        packages.load(source(name, text))
        packages.load(source(name, f"psycopg-pool{text}\nsqlalchemy=={text}"))
    packages.load(source("uv.lock", "package = [3, {name = 4}, {name = 'psycopg-pool'}]"))
    packages.load(source("pyproject.toml", "project = 3\ntool = [1]\ndependency-groups = 'x'"))
    packages.load(source("Pipfile.lock", '{"default": [1], "develop": {"psycopg-pool": 3}}'))
