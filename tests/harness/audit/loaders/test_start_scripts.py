"""A script that starts a server says how it is served."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import start_scripts
from harness.audit.sources import SourceFile
from tests.harness.audit.loaders.reading import read

SCRIPT = """\
#!/bin/sh
set -eu
# gunicorn needs the schema
alembic upgrade head
exec gunicorn app:app \\
    --workers "${WEB_CONCURRENCY:-3}" \\
    --threads 8
"""


def test_the_last_server_counts_with_its_lines() -> None:
    (found,) = read(start_scripts, "api/docker/start.sh", SCRIPT).runtimes
    assert (found.processes.known, found.threads.known) == (3, 8)
    place = found.processes.place
    assert place is not None
    assert (place.file, place.line) == ("api/docker/start.sh", 6)
    assert found.processes.variable is not None
    assert found.processes.variable.name == "WEB_CONCURRENCY"


@pytest.mark.parametrize(
    ("name", "folder"),
    [("start.sh", "."), ("docker/start.sh", "."), ("api/bin/run", "api"), ("api/go.sh", "api")],
)
def test_the_program_stands_beside_a_folder_of_scripts(name: str, folder: str) -> None:
    (found,) = read(start_scripts, name, SCRIPT).runtimes
    assert found.folder == folder


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("start.sh", "uvicorn app:app\n", True),
        ("run", "#!/usr/bin/env bash\ncelery -A app worker\n", True),
        ("run", "uvicorn app:app\n", False),
        ("notes.txt", "uvicorn app:app\n", False),
        ("backup.sh", "pg_dump app\n", False),
    ],
)
def test_it_is_known_by_name_or_first_line_and_by_what_it_starts(
    name: str, text: str, known: bool
) -> None:
    assert start_scripts.recognises(SourceFile(Path(name), name, text)) is known


def test_a_script_that_starts_none_says_nothing() -> None:
    said = read(start_scripts, "check.sh", "echo gunicorn is fine\n")
    assert said.runtimes == ()


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("bin/lint", "python -m flake8 .", False),
        ("bin/run-tests", "python -m pytest", False),
        ("mvnw", "exec java -cp wrapper.jar Main", False),
        ("docker/entrypoint.sh", "python -m shop", True),
        ("start.sh", "exec java -jar shop.jar", True),
        ("bin/lint", "gunicorn app:app", True),
    ],
)
def test_an_interpreter_counts_in_a_script_that_starts_something(
    name: str, text: str, counts: bool
) -> None:
    said = read(start_scripts, name, f"#!/bin/sh\n{text}\n")
    assert len(said.runtimes) == counts


FUNCTIONS = """\
#!/bin/bash
worker() {
  exec celery -A shop worker --concurrency 2
}
server() {
  exec gunicorn -w 4 shop.wsgi
}
case "$1" in
  worker) worker ;;
  server) server ;;
  manage) python manage.py "$@" ;;
esac
"""


def test_of_a_script_that_is_told_what_to_start_nobody_knows_which() -> None:
    (found,) = read(start_scripts, "docker-entrypoint", FUNCTIONS).runtimes
    assert not found.processes.is_known
    assert found.processes.why == "docker-entrypoint starts one of several programs"
    assert not found.serves.is_known


def test_one_that_only_prepares_by_a_word_starts_what_it_starts() -> None:
    text = (
        "#!/bin/sh\ncase $1 in\n  migrate) python manage.py migrate ;;\nesac\ngunicorn -w 4 shop\n"
    )
    (found,) = read(start_scripts, "docker-entrypoint", text).runtimes
    assert found.processes.known == 4


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    start_scripts.load(SourceFile(Path("start.sh"), "start.sh", f"gunicorn {text}"))
