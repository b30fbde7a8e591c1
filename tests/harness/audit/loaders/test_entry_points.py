"""What an entry point starts for each word that it is given."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.joining.entry_points import started
from harness.audit.loaders import compose, dockerfile, start_scripts
from harness.audit.reading import EntryPoint, Reading, Runtime
from harness.audit.sources import SourceFile
from tests.harness.audit.loaders.reading import read, source

CASE = """\
#!/bin/sh
set -e
case "$1" in
  web|"serve")
    shift
    exec gunicorn app:app \\
      --workers "${WORKERS:-3}" "$@"
    ;;
  worker) exec celery -A app worker -c 5 ;;
  migrate)
    exec flask db upgrade
    ;;
  *)
    exec "$@"
    ;;
esac
"""
IF = """\
#!/bin/bash
if [ "$1" = "worker" ]; then
  if [ -n "$DEBUG" ]; then set -x; fi
  exec celery -A app worker -c 5
elif [[ "${1:-web}" == 'web' ]]
then
  exec gunicorn app:app -w 3
else
  exec uvicorn app:app --workers 2
fi
"""


def point(text: str, name: str = "docker/entrypoint.sh") -> EntryPoint | None:
    found = read(start_scripts, name, text).entry_points
    return found[0] if found else None


def processes(text: str) -> dict[str, int | None]:
    found = point(text)
    assert found is not None
    return {
        word: None if each is None else each.processes.known for word, each in found.starts.items()
    }


def test_an_arm_starts_what_stands_in_it() -> None:
    assert processes(CASE) == {"web": 3, "serve": 3, "worker": 5, "migrate": None}
    found = point(CASE)
    assert found is not None
    web, worker = found.starts["web"], found.starts["worker"]
    assert isinstance(web, Runtime)
    assert isinstance(worker, Runtime)
    assert (web.serves.known, worker.serves.known, found.folder) == (True, False, ".")
    assert web.processes.place is not None
    assert (web.processes.place.line, web.processes.variable is not None) == (7, True)


def test_so_does_a_branch() -> None:
    assert processes(IF) == {"worker": 5, "web": 3, "*": 2}


def test_what_is_started_besides_is_for_any_other_word() -> None:
    text = '#!/bin/sh\nif [ "$1" = "migrate" ]; then\n  alembic upgrade head\n  exit\nfi\n'
    assert processes(f"{text}exec gunicorn app:app -w 4\n") == {"migrate": None, "*": 4}


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/sh\nexec gunicorn app:app\n",
        '#!/bin/sh\ncase "$MODE" in\n  web) gunicorn app:app ;;\nesac\n',
        '#!/bin/sh\nif [ "$2" = "web" ]; then gunicorn app:app; fi\n',
        '#!/bin/sh\nserve() {\n  gunicorn app:app\n}\ncase "$1" in\n  web) serve ;;\nesac\n',
        '#!/bin/sh\ncase "$1" in\n  *) gunicorn app:app ;;\nesac\n',
    ],
)
def test_what_is_decided_otherwise_is_no_choice_by_a_word(text: str) -> None:
    assert point(text) is None


def deployed(script: str, service: str, image: str = "") -> Reading:
    """A service of a compose file whose image has this entry point, as it starts."""
    built = f'FROM python:3.12\nENTRYPOINT ["docker/entrypoint.sh"]\n{image}\n'
    readings = [
        read(compose, "compose.yaml", f"services:\n  web:\n    build: .\n{service}\n"),
        dockerfile.load(source("Dockerfile", built)),
        read(start_scripts, "docker/entrypoint.sh", script),
    ]
    found = started(readings)
    return Reading(
        deployments=found[0].deployments,
        runtimes=(*found[1].runtimes, *found[2].runtimes),
    )


@pytest.mark.parametrize(
    ("command", "count"),
    [("web", 3), ("[worker]", 5), ("[docker/entrypoint.sh, worker]", 5)],
)
def test_a_command_is_the_word(command: str, count: int) -> None:
    (found,) = deployed(CASE, f"    command: {command}").deployments
    assert found.runtime is not None
    assert (found.runtime.processes.known, found.runtime.folder) == (count, ".")


def test_a_task_is_no_deployment() -> None:
    assert deployed(CASE, "    command: migrate").deployments == ()


def test_a_word_that_no_script_knows_is_not_known() -> None:
    (found,) = deployed(CASE, "    command: shell").deployments
    assert found.runtime is not None
    assert "shell does not say what it starts" in found.runtime.processes.why
    (found,) = deployed(CASE, "    image: x\n    command: shell").deployments
    assert found.runtime is not None


def test_an_image_says_its_own_word() -> None:
    (found,) = deployed(CASE, "", 'CMD ["worker"]').runtimes
    assert found.processes.known == 5
    assert deployed(CASE, "").runtimes == ()
    assert deployed(CASE, "", 'CMD ["shell"]').runtimes == ()
    assert {each.processes.known for each in deployed(IF, "").runtimes} == {2}


def test_of_two_scripts_nobody_knows_which() -> None:
    one, other = (read(start_scripts, f"{name}/entrypoint.sh", CASE) for name in ("a", "b"))
    asked = read(compose, "compose.yaml", "services:\n  web:\n    build: .\n    command: web\n")
    (found,) = started([asked, one, other])[0].deployments
    assert found.runtime is not None
    assert not found.runtime.processes.is_known


LINES = st.sampled_from(
    ['case "$1" in', "web)", "gunicorn a", ";;", "esac", 'if [ "$1" = "a" ]; then', "fi", "else"]
)


@given(st.lists(LINES | st.text(alphabet="ifcase $1\"'()|;*\n\\", max_size=20), max_size=12))
def test_no_script_makes_it_fall(lines: list[str]) -> None:
    text = "\n".join(["#!/bin/sh # gunicorn", *lines])
    start_scripts.load(SourceFile(Path("run.sh"), "run.sh", text))
