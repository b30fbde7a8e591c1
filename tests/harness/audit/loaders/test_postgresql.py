"""PostgreSQL's settings: in files, on a command line and in SQL, as the server reads them."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.finding import Unread
from harness.audit.joining.server_files import together, with_roles
from harness.audit.loaders import alter_system, load, postgresql
from harness.audit.loaders.postgresql import (
    command_settings,
    server_of,
    timeout_s,
    whole_number,
)
from harness.audit.parts import Pool, Server, Target, Workload
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value
from harness.stack.postgres_programs import programs

SECRET = "canary-hunter2"


def source(name: str, text: str) -> SourceFile:
    return SourceFile(Path(name), name, text)


def read(files: dict[str, str]) -> tuple[tuple[Server, ...], tuple[Unread, ...]]:
    """The servers of all files, and what was not read."""
    readings = []
    for name, text in files.items():
        found = load(source(name, text))
        assert found is not None, f"{name} is of no known format"
        readings.append(found)
    found = together(readings)
    return found.servers, (*(each for one in readings for each in one.unread), *found.unread)


def one(text: str) -> Server:
    """The server of one file."""
    ((server,), _) = read({"postgresql.conf": text})
    return server


def test_the_documented_defaults_hold_for_what_is_not_said() -> None:
    """https://www.postgresql.org/docs/current/runtime-config-connection.html"""
    server = one("#max_connections = 7\n")
    assert (server.max_connections.known, server.superuser_reserved.known) == (100, 3)
    assert (server.reserved.known, server.grant.known) == (0, 97)
    timeouts = (
        server.statement_timeout_s,
        server.lock_timeout_s,
        server.idle_in_transaction_timeout_s,
        server.idle_session_timeout_s,
    )
    assert {value.known for value in timeouts} == {math.inf}
    assert {value.origin for value in timeouts} == {"default"}


LINES = """\
# a server
max_connections = 100
Max_Connections\t=\t'250'\t\t# (change requires restart)
superuser_reserved_connections 4
log_line_prefix = '%m # %p '
md5_password_warnings = off
statement_timeout = '1 min'
lock_timeout='1.5s'#a remark
idle_session_timeout = 90000
reserved_connections = 0x10
"""


def test_lines_are_read_as_the_server_reads_them() -> None:
    server = one(LINES)
    assert (server.max_connections.known, server.superuser_reserved.known) == (250, 4)
    assert (server.statement_timeout_s.known, server.lock_timeout_s.known) == (60, 1.5)
    assert (server.idle_session_timeout_s.known, server.reserved.known) == (90, 16)
    assert server.max_connections.place == Place("postgresql.conf", 3, "max_connections")


def test_the_server_itself_reads_the_same(tmp_path: Path) -> None:
    """``postgres -C`` is the oracle."""
    file = tmp_path / "postgresql.conf"
    file.write_text(LINES + f"data_directory = '{tmp_path}'\n")
    server = one(LINES)
    assert whole_number(_asked(tmp_path, "max_connections")) == server.max_connections.known
    assert whole_number(_asked(tmp_path, "reserved_connections")) == server.reserved.known
    assert timeout_s(_asked(tmp_path, "statement_timeout")) == server.statement_timeout_s.known
    assert timeout_s(_asked(tmp_path, "lock_timeout")) == server.lock_timeout_s.known
    assert (
        timeout_s(_asked(tmp_path, "idle_session_timeout")) == server.idle_session_timeout_s.known
    )


def _asked(folder: Path, key: str) -> str:
    folder.chmod(0o700)
    return subprocess.run(
        [str(programs(folder, None) / "postgres"), "-C", key, "-D", str(folder)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", math.inf),
        ("30s", 30),
        ("'5min'", 300),
        ("1.5 s", 1.5),
        ("250", 0.25),
        ("1h", 3600),
        ("2d", 172800),
        ("600us", 0.001),
        ("100us", math.inf),
    ],
)
def test_a_timeout_is_spelled_in_many_ways(text: str, seconds: float) -> None:
    assert timeout_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-1", "5 S", "5 minutes", "1e99", "0x" + "f" * 400, "9" * 400, "25d", "abc", "'"]
)
def test_what_is_no_timeout_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        timeout_s(text)


@pytest.mark.parametrize(
    ("text", "value"), [("100", 100), ("'100'", 100), ("0x64", 100), ("0144", 100), ("99.6", 100)]
)
def test_a_whole_number_is_spelled_in_many_ways(text: str, value: float) -> None:
    assert whole_number(text) == value


@pytest.mark.parametrize("text", ["100kB", "many", "2147483648", "nan", "inf"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        whole_number(text)


def test_a_command_line_sets_in_several_ways() -> None:
    line = "postgres -c max_connections=60 -cstatement_timeout=30s --lock-timeout=5s -N 40 -D /data"
    words = [(word, Place("compose.yaml", 3)) for word in line.split()]
    found = command_settings(words)
    assert {key: text for key, (text, _) in found.items()} == {
        "max_connections": "40",
        "statement_timeout": "30s",
        "lock_timeout": "5s",
    }
    assert found["lock_timeout"][1] == Place("compose.yaml", 3, "lock_timeout")


def test_a_server_with_a_file_of_settings_has_no_defaults() -> None:
    place = Place("compose.yaml", 3)
    words = [("-c", place), ("config_file=/etc/x.conf", place), ("-cmax_connections=9", place)]
    server = server_of(command_settings(words), name="db", place=place, hosts=("db",))
    assert server.max_connections.known == 9
    assert "config_file" in server.reserved.why
    assert server.hosts == ("db",)


def test_files_hold_over_each_other_in_the_documented_order() -> None:
    files = {
        "pg/postgresql.conf": "max_connections = 1\ninclude_dir 'conf.d'\nlock_timeout = 1s\n",
        "pg/conf.d/20-more.conf": "max_connections = 3\nlock_timeout = 9s\n",
        "pg/conf.d/10-first.conf": "max_connections = 2\nstatement_timeout = 2s\n",
        "pg/postgresql.auto.conf": "statement_timeout = '4s'\n",
    }
    ((server,), unread) = read(files)
    assert not unread
    assert (server.name, server.place.file) == ("PostgreSQL", "pg/postgresql.conf")
    assert server.max_connections.place == Place("pg/conf.d/20-more.conf", 1, "max_connections")
    assert (server.lock_timeout_s.known, server.statement_timeout_s.known) == (1, 4)


def test_a_part_of_a_configuration_has_no_defaults() -> None:
    ((server,), _) = read({"conf.d/10-limits.conf": "max_connections = 50\n"})
    assert server.max_connections.known == 50
    assert "is a part" in server.reserved.why
    ((server,), _) = read({"network.conf": "listen_addresses = '*'\n"})
    assert "is a part" in server.max_connections.why, "it says too little to be all of it"


def test_what_is_included_and_not_audited_may_say_anything() -> None:
    ((server,), (unread,)) = read({"postgresql.conf": "include '/etc/shared.conf'\n"})
    assert (unread.file, unread.line) == ("postgresql.conf", 1)
    assert "postgresql.conf:1" in server.max_connections.why


def test_an_empty_folder_of_more_settings_is_usual() -> None:
    ((server,), (unread,)) = read({"postgresql.conf": "include_dir = 'conf.d'\n"})
    assert unread.line == 1
    assert server.max_connections.known == 100


def test_files_that_include_each_other_are_unread() -> None:
    files = {
        "postgresql.conf": "max_connections = 5\ninclude 'more.conf'\n",
        "more.conf": "lock_timeout = 1s\ninclude 'postgresql.conf'\n",
    }
    ((server,), unread) = read(files)
    assert [each.why for each in unread] == ["it includes itself"]
    assert (server.max_connections.known, server.lock_timeout_s.known) == (5, 1)
    assert not server.reserved.is_known


def test_a_word_that_begins_like_a_setting_is_another() -> None:
    assert one("max_connections5\nmax_connections_7 = 8\n").max_connections.known == 100
    assert one("max_connections'50'\n").max_connections.known == 50


@pytest.mark.parametrize("piece", ["a", " ", "9", "=", "'", "grant ", "''", "$a$", "a.", "(", "\\"])
def test_a_long_line_takes_no_longer(piece: str) -> None:
    """A pattern that tries every split of 30,000 characters would take for ever."""
    long = piece * (30_000 // len(piece))
    for name in ("postgresql.conf", "x.conf"):
        for head in ("", "max_connections = ", "max_connections "):
            file = source(name, head + long + "!")
            postgresql.recognises(file)
            together([postgresql.load(file)])
    file = source("x.sql", "ALTER ROLE x SET statement_timeout = " + long)
    alter_system.recognises(file)
    alter_system.load(file)


def test_a_template_is_read_as_far_as_it_says_something() -> None:
    text = "{% if x %}\nmax_connections = {{ most }}\n{% endif %}\nlock_timeout = ${LOCK:-2s}\n"
    ((server,), unread) = read({"postgresql.conf.j2": text + "work_mem = 4MB\n"})
    assert not unread
    assert "filled in elsewhere" in server.max_connections.why
    assert server.lock_timeout_s.known == 2


def test_a_line_that_is_no_setting_is_unread() -> None:
    _, (unread,) = read({"postgresql.conf": f"max_connections = 5\n?? {SECRET}\n"})
    assert (unread.line, SECRET in unread.why) == (2, False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nginx.conf", "worker_connections 1024;\n"),
        ("my.conf", "[mysqld]\nmax_connections = 100\n"),
        ("pgpool.conf", "listen_addresses = '*'\nnum_init_children = 32\n"),
        ("redis.conf", "timeout 0\n"),
        ("notes.txt", "max_connections = 100\n"),
    ],
)
def test_other_files_are_nobodys(name: str, text: str) -> None:
    assert not postgresql.recognises(source(name, text))


SQL = f"""\
-- ALTER SYSTEM SET max_connections = 1;
CREATE ROLE shop LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 20;
ALTER SYSTEM SET max_connections TO '300';
ALTER ROLE ALL SET lock_timeout = '9s';
ALTER ROLE "Shop Owner" SET statement_timeout = '1s';
ALTER USER shop SET statement_timeout = '5s';
ALTER ROLE shop IN DATABASE orders SET statement_timeout TO 2000;
ALTER DATABASE orders SET idle_in_transaction_session_timeout = $$30s$$;
ALTER ROLE shop SET search_path = {SECRET};
GRANT pg_monitor, other TO watcher, blind;
CREATE ROLE watched SUPERUSER IN ROLE pg_monitor;
GRANT pg_use_reserved_connections TO watcher;
GRANT SELECT ON pg_settings TO shop;
/* GRANT pg_monitor TO nobody; */
"""


def pool_of(user: str, database: str, **values: Value[float]) -> Workload:
    place = Place("app.py", 3)
    target = Target(user=Value.at(user, place), database=Value.at(database, place))
    pool = Pool(name="p", place=place, implementation="sqlalchemy", target=target, **values)
    return Workload(name="app", place=place, pools=(pool,))


@pytest.mark.parametrize(
    ("user", "database", "statement_s", "idle_s", "limit"),
    [
        ("shop", "orders", 2, 30, 20),
        ("shop", "stock", 5, None, 20),
        ("Shop Owner", "stock", 1, None, None),
        ("else", "orders", None, 30, None),
    ],
)
def test_roles_and_databases_give_their_sessions_timeouts(
    user: str,
    database: str,
    statement_s: float | None,
    idle_s: float | None,
    limit: float | None,
) -> None:
    reading = alter_system.load(source("init.sql", SQL))
    (pool,) = with_roles(pool_of(user, database), reading.role_settings).pools
    assert pool.statement_timeout_s.known == statement_s
    assert pool.idle_in_transaction_timeout_s.known == idle_s
    assert pool.lock_timeout_s.known == 9
    assert pool.role_limit.known == limit


def test_what_a_pool_says_itself_holds_over_its_role() -> None:
    reading = alter_system.load(source("init.sql", SQL))
    own = Value.at(0.5, Place("app.py", 4))
    workload = pool_of("shop", "orders", statement_timeout_s=own)
    assert with_roles(workload, reading.role_settings).pools[0].statement_timeout_s == own


def test_statements_have_their_lines() -> None:
    reading = alter_system.load(source("init.sql", SQL))
    places = {(each.role, each.database, each.key): each.place for each in reading.role_settings}
    assert places["shop", "", "statement_timeout"] == Place("init.sql", 6, "statement_timeout")
    assert places["shop", "", "connection limit"].line == 2


def test_alter_system_holds_over_the_file() -> None:
    ((server,), _) = read({"postgresql.conf": "max_connections = 10\n", "init.sql": SQL})
    assert server.max_connections.place == Place("init.sql", 3, "max_connections")
    assert server.reserved.known == 0, "the file is there, and its defaults hold"
    ((alone,), _) = read({"init.sql": SQL})
    assert alone.max_connections.known == 300
    assert not alone.reserved.is_known


def test_roles_that_watch_are_told_with_their_slots() -> None:
    found = together([alter_system.load(source("init.sql", SQL))])
    assert {each.user.known: each.reserved_slot.known for each in found.monitors} == {
        "watcher": True,
        "blind": False,
        "watched": True,
    }


def test_no_secret_stays() -> None:
    reading = alter_system.load(source("init.sql", SQL))
    assert SECRET not in repr((reading, together([reading])))
    text = (
        f"primary_conninfo = 'password={SECRET}'\nssl_passphrase_command = 'echo {SECRET}'\n"
        f"max_connections = {SECRET}\nstatement_timeout = '{SECRET}'\n"
    )
    conf = postgresql.load(source("postgresql.conf", text))
    servers = together([conf])
    assert SECRET not in repr((servers, conf.unread))


def test_other_sql_is_nobodys() -> None:
    text = "CREATE TABLE t (a int);\nGRANT SELECT ON t TO shop;\n"
    assert not alter_system.recognises(source("schema.sql", text))
    assert not alter_system.recognises(source("notes.txt", SQL))


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    for name, head in (
        ("postgresql.conf", ""),
        ("postgresql.conf", "max_connections = "),
        ("postgresql.conf", "include "),
        ("postgresql.auto.conf", "statement_timeout = '"),
    ):
        together([postgresql.load(source(name, head + text))])
    for head in ("", "ALTER SYSTEM SET ", "ALTER ROLE ", "CREATE ROLE x ", "GRANT "):
        reading = alter_system.load(source("init.sql", head + text))
        together([reading])
        with_roles(pool_of("x", "y"), reading.role_settings)


@given(st.lists(st.text(max_size=20), max_size=8))
def test_no_command_line_makes_it_fall(words: list[str]) -> None:
    found = command_settings([(word, Place("x")) for word in words])
    server_of(found, name="x", place=Place("x"))
    assert isinstance(Reading(), Reading)


def test_what_ends_every_transaction_is_read() -> None:
    """PostgreSQL 17; before it nothing does."""
    (server,), _ = read({"postgresql.conf": "max_connections = 100\ntransaction_timeout = 30s\n"})
    assert (server.transaction_timeout_s.known, server.idle_session_timeout_s.known) == (
        30,
        math.inf,
    )
