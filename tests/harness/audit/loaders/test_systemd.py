"""systemd's units: programs, PgBouncer and PostgreSQL of a machine, with their limits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import systemd
from harness.audit.reading import Reading
from tests.harness.audit.loaders.reading import SECRET, read, source, texts


def load(text: str, name: str = "deploy/shop.service") -> Reading:
    return read(systemd, name, f"[Unit]\nDescription=x\n\n[Service]\n{text}\n\n[Install]\nA=b\n")


def test_a_program_with_its_environment() -> None:
    found = load(
        'Environment=ONE=1 "TWO=2 3"\nEnvironment=ONE=4\n'
        "EnvironmentFile=-/etc/shop/shop.env\n"
        "ExecStartPre=/bin/true\n"
        "ExecStart=-/srv/shop/.venv/bin/gunicorn \\\n  # said twice\n  -w 4 shop:app\n"
    )
    (shop,) = found.deployments
    assert (shop.name, shop.kind, shop.replicas.known, shop.surge.known) == (
        "shop",
        "systemd",
        1,
        0,
    )
    assert shop.runtime is not None
    assert shop.runtime.processes.known == 4
    assert shop.runtime.place.line == 9
    assert {key: said[0] for key, said in shop.environment.items()} == {"ONE": "4", "TWO": "2 3"}
    assert shop.environment_files == ("/etc/shop/shop.env", "deploy/shop.env")


def test_the_last_command_holds() -> None:
    found = load("ExecStart=/bin/gunicorn -w 2 a\nExecStart=\nExecStart=/bin/gunicorn -w 3 a")
    assert found.deployments[0].runtime is not None
    assert found.deployments[0].runtime.processes.known == 3


def test_a_template_has_as_many_as_are_started() -> None:
    (worker,) = load("ExecStart=/bin/celery -A a worker -c 2", "worker@.service").deployments
    assert worker.name == "worker"
    assert not worker.replicas.is_known


@pytest.mark.parametrize(
    ("limit", "files"),
    [
        ("LimitNOFILE=4096", 4096),
        ("LimitNOFILE=4096:65536", 4096),
        ("LimitNOFILE=64K", 65536),
        ("LimitNOFILE=infinity", math.inf),
        ("LimitNOFILE=hunter2-canary", None),
        ("", 1024),
    ],
)
def test_open_files_of_pgbouncer(limit: str, files: float | None) -> None:
    text = f"ExecStart=/usr/sbin/pgbouncer /etc/pgbouncer/pgbouncer.ini\n{limit}"
    (pooler,) = load(text, "pgbouncer.service").poolers
    assert (pooler.name, pooler.open_files.known) == ("pgbouncer", files)
    assert pooler.hosts == ("localhost", "127.0.0.1")
    assert not pooler.max_client_conn.is_known, "its ini file says"
    assert SECRET not in texts(pooler)


def test_what_is_added_to_a_unit() -> None:
    path = "etc/systemd/system/pgbouncer.service.d/limits.conf"
    (pooler,) = load("LimitNOFILE=9000", path).poolers
    assert (pooler.name, pooler.open_files.known) == ("pgbouncer", 9000)
    assert load("LimitNOFILE=9000", "shop.service.d/limits.conf") == Reading()


def test_a_server_of_the_machine() -> None:
    text = "ExecStart=/usr/lib/postgresql/17/bin/postgres -D /data -c max_connections=300"
    (server,) = load(text, "postgresql.service").servers
    assert (server.max_connections.known, server.statement_timeout_s.known) == (300, None)


def test_a_unit_that_starts_nothing() -> None:
    assert load("Type=oneshot") == Reading()


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("a.service", "[Service]", True),
        ("a.service", "[Unit]", False),
        ("a.timer", "[Service]", False),
        ("a.conf", "[Service]", False),
    ],
)
def test_by_its_section(name: str, text: str, known: bool) -> None:
    assert systemd.recognises(source(name, text)) is known


def test_no_password_is_in_what_is_read() -> None:
    found = load(
        f'Environment="DB_PASSWORD={SECRET}" URL=postgresql://u:{SECRET}@db/x\n'
        f"ExecStart=/bin/gunicorn -w {SECRET} app"
    )
    assert found.deployments[0].environment["URL"][0] == "postgresql://u@db/x"
    assert SECRET not in texts(found)


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    for whole in (
        text,
        f"ExecStart={text}",
        f"Environment={text}\nExecStart=x",
        f"LimitNOFILE={text}",
    ):
        systemd.load(source("a.service", f"[Service]\n{whole}"))
