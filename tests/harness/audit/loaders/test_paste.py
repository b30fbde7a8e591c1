"""PasteDeploy's ini files: an engine by its prefix, and the server that they start."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import paste
from harness.audit.parts import Pool
from harness.audit.reading import Runtime
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

URL = "sqlalchemy.url = postgresql+psycopg://me:x@db/shop?connect_timeout=3"


def pool(*lines: str, url: str = URL, section: str = "app:main") -> Pool:
    (code,) = read(paste, "etc/production.ini", "\n".join([f"[{section}]", url, *lines, ""])).codes
    (found,) = code.pools
    return found


def served(*lines: str) -> Runtime:
    (found,) = read(paste, "production.ini", "\n".join(["[server:main]", *lines, ""])).runtimes
    return found


def test_an_engines_settings() -> None:
    found = pool(
        "sqlalchemy.pool_size = 10",
        "sqlalchemy.max_overflow: 5",
        "sqlalchemy.pool_timeout = 3",
        "sqlalchemy.pool_recycle = 1800",
        "sqlalchemy.pool_pre_ping = true",
        "sqlalchemy.pool_use_lifo = yes",
    )
    assert (found.implementation, found.name) == ("sqlalchemy", "app:main")
    assert (found.size.known, found.max_overflow.known, found.timeout_s.known) == (10, 5, 3)
    assert (found.recycle_s.known, found.pre_ping.known, found.use_lifo.known) == (1800, True, True)
    assert (found.target.host.known, found.connect_timeout_s.known) == ("db", 3)
    place = found.max_overflow.place
    assert place is not None
    assert (place.file, place.line) == ("etc/production.ini", 4)


def test_the_defaults_are_sqlalchemys() -> None:
    found = pool()
    assert (found.size.known, found.max_overflow.known, found.timeout_s.known) == (5, 10, 30)
    assert (found.recycle_s.known, found.pre_ping.known) == (math.inf, False)
    assert found.size.origin == "default"


@pytest.mark.parametrize(
    ("line", "size", "overflow"),
    [
        ("sqlalchemy.pool_size = 0", math.inf, 10),
        ("sqlalchemy.max_overflow = -1", 5, math.inf),
        ("sqlalchemy.pool_size = many", None, 10),
        ("sqlalchemy.pool_size = %(size)s", None, 10),
        ("# sqlalchemy.pool_size = 7", 5, 10),
    ],
)
def test_edges(line: str, size: float | None, overflow: float) -> None:
    found = pool(line)
    assert (found.size.known, found.max_overflow.known) == (size, overflow)


def test_another_prefix_is_known_by_what_stands_behind_it() -> None:
    assert pool("db.main.pool_size = 7", url="db.main.url = postgresql://db/a").size.known == 7
    text = "[app:main]\ncache.url = redis://cache\n"
    assert not read(paste, "a.ini", text).codes
    text = "[app:main]\nsqlalchemy.url = mysql://db/a\n"
    assert not read(paste, "a.ini", text).codes


def test_what_is_used_of_another_file_may_say_it() -> None:
    found = pool("use = config:base.ini", "sqlalchemy.pool_size = 7")
    assert (found.size.known, found.max_overflow.known) == (7, None)
    assert "used" in found.max_overflow.why


def test_defaults_of_the_file_go_to_no_application() -> None:
    text = f"[DEFAULT]\nsqlalchemy.pool_size = 50\n[app:main]\n{URL}\n"
    (code,) = read(paste, "a.ini", text).codes
    assert code.pools[0].size.known == 5


def test_waitress() -> None:
    found = served("use = egg:waitress#main", "threads = 20", "channel_timeout = 30")
    assert (found.processes.known, found.threads.known, found.timeout_s.known) == (1, 20, math.inf)
    assert found.threads.place is not None
    assert found.threads.place.line == 3
    assert served("use = egg:waitress").threads.known == 4


def test_gunicorn() -> None:
    found = served(
        "use = egg:gunicorn#main",
        "workers = 3",
        "threads = 4",
        "timeout = 25",
        "preload_app = true",
    )
    assert (found.processes.known, found.threads.known, found.timeout_s.known) == (3, 4, math.inf)
    assert found.preload.known is True
    sync = served("use = egg:gunicorn", "workers = 3", "timeout = 25", "preload_app = false")
    assert (sync.timeout_s.known, sync.preload.known) == (25, False)


def test_another_server_is_none_that_is_known() -> None:
    assert not read(paste, "a.ini", "[server:main]\nuse = egg:other\n").runtimes


@pytest.mark.parametrize("name", ["development.ini", "test.ini", "testing.local.ini", "dev.ini"])
def test_a_file_for_development_serves_nobody(name: str) -> None:
    assert not read(paste, name, f"[app:main]\n{URL}\n").codes


@pytest.mark.parametrize(
    ("text", "line"), [("[app:main]\na = 1\nno key\n", 3), ("a = 1\n[app:main]\n", 1)]
)
def test_no_ini_file_is_unread(text: str, line: int) -> None:
    (unread,) = read(paste, "a.ini", text).unread
    assert (unread.why, unread.line) == ("not an ini file's syntax", line)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("alembic.ini", f"[alembic]\n{URL}\n"),
        ("pgbouncer.ini", "[databases]\na = host=b\n[pgbouncer]\n"),
        ("app.cfg", f"[app:main]\n{URL}\n"),
    ],
)
def test_other_files_are_not_recognised(name: str, text: str) -> None:
    assert not paste.recognises(source(name, text))


def test_no_secret_is_repeated() -> None:
    text = (
        f"[app:main]\nsession.secret = {SECRET}\n"
        f"sqlalchemy.url = postgresql://me:{SECRET}@db/a?password={SECRET}\n"
        f"sqlalchemy.pool_size = {SECRET}\nsqlalchemy.pool_pre_ping = {SECRET}\n"
        f"[server:main]\nuse = egg:gunicorn\nworkers = {SECRET}\ntimeout = {SECRET}\n"
    )
    assert SECRET not in texts(read(paste, "a.ini", text))
    assert SECRET not in texts(paste.load(source("a.ini", f"{SECRET}\n[app:main]\n")))


@given(st.text(max_size=200), st.text(alphabet="[]=:% \n\tsqlachemy.urpo_iz", max_size=80))
def test_no_text_makes_it_fall(text: str, noise: str) -> None:
    for each in (text, noise, f"[app:main]\n{URL}\n{noise}", f"[app:a]\nsqlalchemy.url = {text}"):
        paste.load(source("a.ini", f"{each}\n[server:main]\nuse = egg:waitress\n{noise}"))
