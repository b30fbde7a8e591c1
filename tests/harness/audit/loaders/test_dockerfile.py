"""Dockerfiles: what the last stage starts, and with which variables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import dockerfile
from harness.audit.reading import Reading, Runtime, is_stage
from harness.audit.values import Value
from tests.harness.audit.loaders.reading import SECRET, read, source, texts


def load(text: str, name: str = "app/Dockerfile") -> Reading:
    return read(dockerfile, name, text)


def started(text: str) -> Runtime:
    (found,) = (each for each in load(text).runtimes if not is_stage(each.image))
    return found


def line_of(value: Value[Any]) -> int:
    assert value.place is not None
    return value.place.line


@pytest.mark.parametrize(
    "text",
    [
        'FROM python\nCMD ["gunicorn", "-w", "4", "app"]',
        "FROM python\nCMD gunicorn -w 4 app",
        "FROM python\nCMD alembic upgrade head && exec gunicorn -w 4 app",
        'FROM python\nENTRYPOINT ["gunicorn"]\nCMD ["-w", "4", "app"]',
        'FROM python\nENTRYPOINT ["/entrypoint.sh"]\nCMD ["gunicorn", "-w", "4", "app"]',
        "FROM python\ncmd gunicorn -w 9 app\ncmd gunicorn -w 4 app",
        "FROM node AS build\nCMD gunicorn -w 9 app\nFROM python\nCMD gunicorn -w 4 app",
        "FROM python AS base\nCMD gunicorn -w 4 app\nFROM base\nRUN x",
        "FROM --platform=linux/amd64 python\nCMD gunicorn -w ${N:-4} app",
        "FROM python\nENV N=4\nCMD gunicorn -w $N app",
        "FROM python\nENV WEB_CONCURRENCY 4\nCMD gunicorn app",
        'FROM python\nENV GUNICORN_CMD_ARGS="-w 4 --preload"\nCMD gunicorn app',
        "FROM python\nRUN <<EOF\nCMD gunicorn -w 9 app\nEOF\nCMD gunicorn -w 4 app",
    ],
)
def test_what_the_last_stage_starts(text: str) -> None:
    found = started(text)
    assert (found.processes.known, found.folder) == (4, "app")


def test_an_entrypoint_sets_an_inherited_command_back() -> None:
    text = "FROM x AS base\nCMD gunicorn -w 4 app\nFROM base\nENTRYPOINT gunicorn app\n"
    assert started(text).processes.known == 1


def test_lines_are_those_of_the_file() -> None:
    text = 'FROM x\n# web\nCMD ["gunicorn", \\\n  "app", \\\n  "--workers", "3"]\n'
    found = started(text)
    assert found.processes.known == 3
    assert line_of(found.processes) == 5


def test_a_variable_may_still_be_set_where_the_image_runs() -> None:
    found = started("FROM x\nENV N=4\nCMD gunicorn -w $N app").processes
    assert found.resolved({"N": ("8", started("FROM x\nCMD gunicorn a").place)}).known == 8


def test_its_variables_are_an_environment() -> None:
    text = 'FROM x\nENV POOL_SIZE=7 NAME="a b" \\\n    OTHER=1\n'
    (found,) = load(text).environments
    assert found.name == "app/Dockerfile"
    assert {key: said[0] for key, said in found.settings.items()} == {
        "POOL_SIZE": "7",
        "NAME": "a b",
        "OTHER": "1",
    }


def test_an_image_made_of_a_databases_has_settings_of_one() -> None:
    (server,) = load('FROM postgres:17\nCMD ["postgres", "-c", "max_connections=300"]').servers
    assert (server.max_connections.known, server.hosts) == (300, ())


def test_an_image_that_only_starts_one_says_nothing() -> None:
    found = load('FROM debian\nCMD ["pgbouncer", "/etc/pgbouncer/pgbouncer.ini"]')
    assert replace(found, images=()) == Reading()


def test_our_own_dockerfile_starts_no_server_by_default() -> None:
    text = "FROM a AS service\nCMD gunicorn app\nFROM b AS pooldrill\nCMD pooldrill --help\n"
    (asked,) = (each for each in load(text).runtimes if not is_stage(each.image))
    assert (asked.argument, asked.processes.is_known) == ("pooldrill", False)


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("Dockerfile", "FROM x", True),
        ("Dockerfile.prod", "from x", True),
        ("api.Dockerfile", "ARG V=1\nFROM x:$V", True),
        ("Containerfile", "FROM x", True),
        ("Dockerfile.dockerignore", "FROM x", False),
        ("Dockerfile", "nothing", False),
        ("dockerfile.py", "FROM x", True),
    ],
)
def test_by_its_name_and_what_it_builds_upon(name: str, text: str, known: bool) -> None:
    assert dockerfile.recognises(source(name, text)) is known


@pytest.mark.parametrize(
    "text", ["FROM", "FROM x\nENV", "FROM x\nENV a b=c =", "FROM x\nCMD {}", "FROM x\nCMD [1, 2]"]
)
def test_odd_lines_are_no_failure(text: str) -> None:
    dockerfile.load(source("Dockerfile", text))


def test_no_password_is_in_what_is_read() -> None:
    found = load(
        f"FROM x\nENV DB_PASSWORD={SECRET} URL=postgresql://u:{SECRET}@db/x\n"
        f"ENV PASSWORD {SECRET}\nCMD gunicorn -w {SECRET} app\n"
    )
    assert SECRET not in texts(found)


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    for whole in (
        text,
        f"FROM x\n{text}",
        f"FROM x\nENV {text}",
        f"FROM x\nCMD {text}\nFROM {text}",
    ):
        dockerfile.load(source("Dockerfile", whole))


@pytest.mark.parametrize(
    ("more", "starts"), [("", False), ("CMD run", True), ("ENTRYPOINT [x]", True)]
)
def test_what_an_image_is_built_upon_and_whether_it_starts_something(
    more: str, starts: bool
) -> None:
    image, first = load(f"FROM node:24 AS first\nFROM cypress/browsers:1\n{more}\n").images
    assert (first.name, first.base, first.starts) == ("app/Dockerfile#first", "node:24", False)
    assert (image.name, image.base, image.starts) == (
        "app/Dockerfile",
        "cypress/browsers:1",
        starts,
    )


STAGES = """\
FROM python AS base
ENV POOL=4
FROM base AS Web
CMD gunicorn -w 3 app
FROM base AS jobs
ENV POOL=9
CMD celery -A app worker -c 8
FROM base
CMD gunicorn -w 1 app
"""


def test_a_stage_with_a_name_is_an_image_for_those_who_build_it() -> None:
    found = load(STAGES)
    names = ["app/Dockerfile", *(f"app/Dockerfile#{name}" for name in ("base", "web", "jobs"))]
    assert [each.name for each in found.images] == names
    started = {each.image: each.processes.known for each in found.runtimes}
    assert started == {names[0]: 1, names[2]: 3, names[3]: 8}
    pools = {each.name: each.settings["POOL"][0] for each in found.environments}
    assert pools == dict(zip(names, ["4", "4", "4", "9"], strict=True))


def test_of_two_stages_with_one_name_the_later_is_meant() -> None:
    text = "FROM a AS x\nCMD gunicorn -w 2 app\nFROM b AS y\nFROM c AS x\nCMD gunicorn -w 5 app\n"
    found = {each.image: each.processes.known for each in load(text).runtimes}
    assert found == {"app/Dockerfile": 5, "app/Dockerfile#x": 5}
