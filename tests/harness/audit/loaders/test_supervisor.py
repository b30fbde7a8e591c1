"""supervisord's programs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import supervisor
from harness.audit.reading import Deployment
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

TEXT = f"""\
[supervisord]
minfds=4096

[program:web]
command=/srv/venv/bin/gunicorn shop.wsgi
    --workers 4 --threads 8   ; four of them
environment=POOL_SIZE="5",DATABASE_URL="postgresql://u:{SECRET}@db/shop",NAME='a,b'
autorestart=true

[program:jobs]
command=celery -A shop worker -c %(ENV_JOBS)s
numprocs=3
process_name=%(program_name)s_%(process_num)02d

[program:shell]
command=python manage.py shell
autostart=false

[group:all]
programs=web,jobs
"""


def deployments(text: str = TEXT) -> dict[str, Deployment]:
    found = read(supervisor, "ops/supervisor/shop.conf", text)
    assert SECRET not in texts(found)
    return {each.name: each for each in found.deployments}


def test_each_program_is_a_deployment() -> None:
    found = deployments()
    assert set(found) == {"web", "jobs"}
    web, jobs = found["web"].runtime, found["jobs"].runtime
    assert web is not None
    assert jobs is not None
    assert (web.processes.known, web.threads.known, web.serves.known) == (4, 8, True)
    assert (found["web"].replicas.known, found["jobs"].replicas.known) == (1, 3)
    assert (jobs.serves.known, jobs.processes.known) == (False, None)
    assert jobs.processes.variable is not None
    assert jobs.processes.variable.name == "JOBS"


def test_its_variables_are_its_environment() -> None:
    environment = deployments()["web"].environment
    assert environment["POOL_SIZE"][0] == "5"
    assert environment["POOL_SIZE"][1].line == 7
    assert environment["NAME"][0] == "a,b"


def test_a_pooler_is_one() -> None:
    text = "[program:pgbouncer]\ncommand=pgbouncer /etc/pgbouncer/pgbouncer.ini\n"
    found = read(supervisor, "supervisord.conf", text)
    assert [each.name for each in found.poolers] == ["pgbouncer"]


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("supervisord.conf", "[program:x]\ncommand=y\n", True),
        ("conf.d/x.ini", "[program:x]\n", True),
        ("supervisord.conf", "[supervisord]\nnodaemon=true\n", False),
        ("notes.txt", "[program:x]\n", False),
    ],
)
def test_it_is_known_by_a_programs_section(name: str, text: str, known: bool) -> None:
    assert supervisor.recognises(source(name, text)) is known


@pytest.mark.parametrize("text", ["numprocs=many", "numprocs=%(ENV_N)s"])
def test_a_number_that_is_none_is_not_known(text: str) -> None:
    found = deployments(f"[program:web]\ncommand=gunicorn app\n{text}\n")
    assert not found["web"].replicas.is_known


@given(st.text(alphabet="[program:x]\ncommand=gunicorn;% ()ENV_s\"',\t", max_size=80))
def test_any_text_at_all(text: str) -> None:
    supervisor.load(source("supervisord.conf", text))
