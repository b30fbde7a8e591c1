"""Command lines: which server one starts, behind whatever prepares it, and how often it forks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders.commands import (
    ends_by_itself,
    located,
    program_of,
    properties_of,
    runtime_of,
    words_at,
)
from harness.audit.reading import Runtime
from harness.audit.values import Place

HERE = Place("Procfile", 1, "web")


def start(command: str, **environment: str) -> Runtime:
    """What the command starts."""
    settings = {key: (text, HERE) for key, text in environment.items()}
    found = runtime_of(words_at(command, HERE), HERE, ".", settings)
    assert found is not None, f"nothing is known in: {command}"
    return found


@pytest.mark.parametrize(
    ("command", "processes", "threads", "timeout_s"),
    [
        ("gunicorn app:app", 1, 1, 30),
        ("gunicorn -w 4 app:app", 4, 1, 30),
        ("ddtrace-run python -m gunicorn.app.wsgiapp -w 4 app:app", 4, 1, 30),
        ("gunicorn -w4 --threads=8 app:app", 4, 8, math.inf),
        ("gunicorn --workers=3 -k gthread --threads 2 --timeout 5 app:app", 3, 2, math.inf),
        ("gunicorn -k gevent --worker-connections 50 app:app", 1, 50, math.inf),
        ("gunicorn -k eventlet app:app", 1, 1000, math.inf),
        ("gunicorn -t 0 app:app", 1, 1, math.inf),
        ("gunicorn -w 2 -k uvicorn.workers.UvicornWorker app:app", 2, None, math.inf),
        ("uvicorn app:app", 1, None, math.inf),
        ("uvicorn app:app --workers 3 --limit-concurrency 50", 3, 50, math.inf),
        ("uvicorn app:app --workers 3 --reload", None, None, math.inf),
        ("fastapi run --workers 4 app.py", 4, None, math.inf),
        ("fastapi dev app.py", None, None, math.inf),
        ("hypercorn -w 2 app:app", 2, None, math.inf),
        ("granian --interface wsgi --workers 2 --blocking-threads 6 app:app", 2, 6, math.inf),
        ("waitress-serve --threads=6 app:app", 1, 6, math.inf),
        ("uwsgi --http :80 -p 4 --threads 2 --harakiri 20", 4, 2, 20),
        ("celery -A app worker -c 4", 4, 1, math.inf),
        ("celery -A app worker -P threads --concurrency=9", 1, 9, math.inf),
        ("celery -A app worker --pool solo", 1, 1, math.inf),
        ("celery -A app worker --autoscale=10,2", 10, 1, math.inf),
        ("celery -A app beat", 1, 1, math.inf),
        ("celery -A app flower", 1, None, math.inf),
        ("dramatiq app -p 2", 2, 8, math.inf),
        ("python manage.py runserver 0.0.0.0:80", 1, None, math.inf),
        ("python -u app.py", 1, None, None),
        ("java -jar app.jar", 1, None, None),
    ],
)
def test_a_server_and_its_processes(
    command: str, processes: int, threads: float | None, timeout_s: float | None
) -> None:
    found = start(command)
    assert (found.processes.known, found.threads.known, found.timeout_s.known) == (
        processes,
        threads,
        timeout_s,
    )


@pytest.mark.parametrize(
    "command",
    [
        "exec gunicorn -w 4 app:app",
        "/srv/venv/bin/gunicorn -w 4 app:app",
        "python -m gunicorn -w 4 app:app",
        "/usr/bin/python3.13 /srv/venv/bin/gunicorn -w 4 app:app",
        "poetry run gunicorn -w 4 app:app",
        "uv run --frozen --extra web gunicorn -w 4 app:app",
        "pipenv run gunicorn -w 4 app:app",
        "dumb-init -- gunicorn -w 4 app:app",
        "/usr/bin/tini -g -- gunicorn -w 4 app:app",
        "gosu app gunicorn -w 4 app:app",
        "DEBUG=0 env PORT=80 gunicorn -w 4 app:app",
        "./docker-entrypoint.sh gunicorn -w 4 app:app",
        "./wait-for-it.sh db:5432 -t 30 -- gunicorn -w 4 app:app",
        "newrelic-admin run-program gunicorn -w 4 app:app",
        "sh -c 'alembic upgrade head && exec gunicorn -w 4 app:app'",
        "bash -ec 'python manage.py migrate; gunicorn -w 4 app:app'",
        "python manage.py migrate && gunicorn -w 4 app:app",
        "gunicorn -w 2 -w 4 app:app",
        "WEB_CONCURRENCY=4 gunicorn app:app",
        "env N=4 gunicorn -w $N app:app",
        "watchmedo auto-restart -d . -p '*.py' -- gunicorn -w 4 app:app",
    ],
)
def test_what_prepares_it_is_passed_over(command: str) -> None:
    assert start(command).processes.known == 4


@pytest.mark.parametrize("command", ["", "nginx -g 'daemon off;'", "pip install gunicorn", "npm x"])
def test_other_programs_are_not_known(command: str) -> None:
    assert runtime_of(words_at(command, HERE), HERE, ".") is None


def test_a_variable_decides_what_it_stands_for() -> None:
    unknown, defaulted = start("gunicorn -w $N app"), start("gunicorn -w ${N:-3} app")
    assert unknown.processes.variable is not None
    assert (unknown.processes.known, unknown.processes.variable.name) == (None, "N")
    assert defaulted.processes.known == 3
    assert defaulted.processes.resolved({"N": ("7", HERE)}).known == 7


def test_where_nothing_is_said_web_concurrency_is() -> None:
    for command in ("gunicorn app:app", "uvicorn app:app"):
        found = start(command).processes
        assert found.origin == "default"
        assert found.resolved({"WEB_CONCURRENCY": ("6", HERE)}).known == 6
    said = start("gunicorn -w 2 app:app").processes
    assert said.resolved({"WEB_CONCURRENCY": ("6", HERE)}).known == 2, "an option holds over it"


def test_one_that_reloads_is_a_developers() -> None:
    """How many production has, another file says, or none does."""
    assert "developer's" in start("uvicorn app:app --reload").processes.why


def test_arguments_of_gunicorn_in_the_environment_give_way_to_the_command() -> None:
    said = {"GUNICORN_CMD_ARGS": "--workers=5 --timeout 9 --preload"}
    found, over = start("gunicorn app", **said), start("gunicorn -w 2 app", **said)
    assert (found.processes.known, found.timeout_s.known, found.preload.known) == (5, 9, True)
    assert over.processes.known == 2


def test_a_fleet_of_workers_serves_no_requests() -> None:
    assert start("celery -A app worker -c 4").serves.known is False
    assert start("gunicorn app").serves.known is True
    assert not start("python app.py").serves.is_known


def test_a_process_for_each_core_is_not_known() -> None:
    assert "core" in start("celery -A app worker").processes.why


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("gunicorn -c gunicorn.conf.py app", "gunicorn.conf.py"),
        ("gunicorn --config=file:conf/g.py app", "conf/g.py"),
        ("gunicorn -c python:shop.gunicorn app", "shop/gunicorn.py"),
        ("gunicorn -c $CONFIG app", ""),
        ("uwsgi --ini app.ini", "app.ini"),
    ],
)
def test_the_settings_file_that_is_named(command: str, file: str) -> None:
    assert start(command).settings_file == file


@pytest.mark.parametrize("text", ["gunicorn -w hunter2 app", "gunicorn -w -3 app", "gunicorn -w"])
def test_what_is_not_understood_is_not_repeated(text: str) -> None:
    found = start(text).processes
    assert not found.is_known
    assert "hunter2" not in found.why


@pytest.mark.parametrize(
    ("command", "ends"),
    [
        ("alembic upgrade head", True),
        ("sh -c 'sleep 2 && python manage.py migrate --noinput'", True),
        ("flask db upgrade", True),
        ("poetry run ./manage.py collectstatic", True),
        ("python manage.py migrate && gunicorn app", False),
        ("python manage.py qcluster", False),
        ("flask run", False),
        ("", False),
    ],
)
def test_a_task_that_is_done_once(command: str, ends: bool) -> None:
    assert ends_by_itself(words_at(command, HERE)) is ends


def test_javas_properties_are_springs_variables() -> None:
    words = words_at("java -Dspring.datasource.hikari.maximum-pool-size=7 -Dx=y -jar a.jar", HERE)
    ((name, (text, place)),) = properties_of(words).items()
    assert (name, text) == ("SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", "7")
    assert place.key == "spring.datasource.hikari.maximum-pool-size"


def test_words_are_found_on_their_lines() -> None:
    text = "command: >-\n  gunicorn\n  -w 4 -w 4\n  app"
    words = words_at("gunicorn -w 4 -w 4 app", Place("compose.yaml", 1))
    assert [place.line for _, place in located(words, text)] == [2, 3, 3, 3, 3, 4]


def test_the_program_is_that_of_the_last_command() -> None:
    name, arguments = program_of(words_at("sh -c 'sleep 1; exec postgres -c a=1'", HERE))
    assert (name, [word for word, _ in arguments]) == ("postgres", ["-c", "a=1"])


@given(st.text(max_size=120))
def test_no_text_makes_it_fall(text: str) -> None:
    for command in (text, f"gunicorn {text}", f"sh -c '{text}'", f"python {text}"):
        words = words_at(command, HERE)
        runtime_of(words, HERE, ".")
        program_of(words)
        ends_by_itself(words)
        properties_of(words)
        located(words, text)


WORDS = ("sh", "-c", "exec", "--", "-m", "python", "uv", "run", "tini", "gunicorn", "-w", "&&")


@given(st.lists(st.sampled_from(WORDS)))
def test_no_order_of_words_makes_it_fall(words: list[str]) -> None:
    runtime_of([(word, HERE) for word in words], HERE, ".")
    ends_by_itself([(word, HERE) for word in words])


def test_pserve_leaves_everything_to_its_file() -> None:
    found = start("/srv/env/bin/pserve etc/production.ini#shop http_port=80")
    assert (found.settings_file, found.serves.known) == ("etc/production.ini", True)
    assert not any(
        value.is_known for value in (found.processes, found.threads, found.timeout_s, found.preload)
    )
    assert start("pserve $CONFIG.ini").settings_file == ""
