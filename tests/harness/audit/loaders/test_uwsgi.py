"""uWSGI's ini file says how a program is served."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import paste, uwsgi
from harness.audit.reading import Runtime
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value
from tests.harness.audit.loaders.reading import read

FILE = """\
[uwsgi]
; serves the shop
master
if-not-env = UWSGI_PROCESSES
processes = 4
endif =
threads = 2
harakiri = 60 ; seconds
lazy-apps = true
if-env = LISTEN
http-socket = :8080
endif =
"""


def runtime(text: str, name: str = "shop/docker/uwsgi.ini") -> Runtime:
    (found,) = read(uwsgi, name, text).runtimes
    return found


def test_processes_threads_and_time_are_read_with_their_lines() -> None:
    found = runtime(FILE)
    assert found.folder == "shop"
    assert found.threads == Value.at(2.0, Place("shop/docker/uwsgi.ini", 7, "threads"))
    assert found.timeout_s.known == 60
    assert found.preload.known is False
    assert found.serves.known is True


def test_an_option_that_its_own_variable_replaces_is_decided_by_it() -> None:
    processes = runtime(FILE).processes
    assert processes.known == 4
    here = Place("compose.yaml", 3)
    assert processes.resolved({"UWSGI_PROCESSES": ("9", here)}).known == 9


def test_what_no_file_says_a_variable_may_say() -> None:
    found = runtime("[uwsgi]\nmodule = shop\n")
    assert (found.processes.known, found.threads.known) == (1, 1)
    assert (found.timeout_s.known, found.preload.known) == (math.inf, True)
    environment = {"UWSGI_WORKERS": ("3", Place(".env", 1)), "UWSGI_THREADS": ("5", Place(".env"))}
    assert found.processes.resolved(environment).known == 3
    assert found.threads.resolved(environment).known == 5


@pytest.mark.parametrize(
    ("text", "processes", "threads"),
    [
        ("workers = 3", 3, 1),
        ("p = 3", 3, 1),
        ("processes = 2\nprocesses = 5", 5, 1),
        ("gevent = 100", 1, 100),
        ("processes = %k", None, 1),
        ("processes = $(WORKERS)", None, 1),
        ("if-env = BIG\nprocesses = 9\nendif =", None, 1),
        ("include = other.ini", None, None),
        ("[other]\nprocesses = 7", 1, 1),
        ("processes = 0", 1, 1),
    ],
)
def test_spellings_conditions_and_what_is_elsewhere(
    text: str, processes: int | None, threads: int | None
) -> None:
    found = runtime(f"[uwsgi]\n{text}\n")
    assert (found.processes.known, found.threads.known) == (processes, threads)


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("uwsgi.ini", "[uwsgi]\n", True),
        ("uwsgi.ini.j2", "[uwsgi]\n", True),
        ("uwsgi.py", "[uwsgi]\n", False),
        ("php.ini", "[php]\n; [uwsgi]\n", False),
    ],
)
def test_it_is_known_by_its_section(name: str, text: str, known: bool) -> None:
    assert uwsgi.recognises(SourceFile(Path(name), name, text)) is known


def test_another_programs_ini_file_is_none_of_pastedeploys() -> None:
    grafana = "app_mode = production\n[server]\nhttp_port = 3000\n"
    for text, known in ((grafana, False), ("[server:main]\nuse = egg:waitress\n", True)):
        assert paste.recognises(SourceFile(Path("a.ini"), "a.ini", text)) is known


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    uwsgi.load(SourceFile(Path("u.ini"), "u.ini", f"[uwsgi]\n{text}"))
