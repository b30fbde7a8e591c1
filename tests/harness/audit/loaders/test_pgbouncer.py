"""pgbouncer.ini: its settings, its databases, what it includes, and how many may log in."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.joining.server_files import together
from harness.audit.loaders import load, pgbouncer
from harness.audit.parts import Pooler
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile

SECRET = "canary-hunter2"


def read(**files: str) -> Reading:
    """All files together, each by its name with ``__`` for ``/`` and ``_ini`` for ``.ini``."""
    readings = []
    for key, text in files.items():
        name = key.replace("__", "/").replace("_ini", ".ini").replace("_txt", ".txt")
        found = load(SourceFile(Path(name), name, text))
        assert found is not None, f"{name} is of no known format"
        readings.append(found)
    found = together(readings)
    unread = (*(each for reading in readings for each in reading.unread), *found.unread)
    return Reading(poolers=found.poolers, unread=unread)


def one(text: str) -> Pooler:
    """The pooler of one file."""
    (pooler,) = read(pgbouncer_ini=text).poolers
    return pooler


def test_it_is_read_with_its_lines() -> None:
    pooler = one(
        "[databases]\n* = host=db\n[pgbouncer]\npool_mode = Session\nmax_client_conn=500\n"
    )
    assert (pooler.pool_mode.known, pooler.max_client_conn.known) == ("session", 500)
    assert pooler.pool_mode.place is not None
    assert pooler.max_client_conn.place is not None
    assert (pooler.pool_mode.place.line, pooler.max_client_conn.place.line) == (4, 5)
    assert pooler.max_client_conn.place.key == "max_client_conn"


def test_the_documented_defaults_hold_for_what_is_not_said() -> None:
    """https://www.pgbouncer.org/config.html"""
    pooler = one("[pgbouncer]\n")
    found = {
        "pool_mode": pooler.pool_mode,
        "default_pool_size": pooler.default_pool_size,
        "min_pool_size": pooler.min_pool_size,
        "reserve_pool_size": pooler.reserve_pool_size,
        "reserve_pool_timeout": pooler.reserve_pool_timeout_s,
        "max_client_conn": pooler.max_client_conn,
        "max_db_connections": pooler.max_db_connections,
        "max_user_connections": pooler.max_user_connections,
        "query_wait_timeout": pooler.query_wait_timeout_s,
        "query_timeout": pooler.query_timeout_s,
        "client_idle_timeout": pooler.client_idle_timeout_s,
        "idle_transaction_timeout": pooler.idle_transaction_timeout_s,
        "server_idle_timeout": pooler.server_idle_timeout_s,
        "server_lifetime": pooler.server_lifetime_s,
        "server_login_retry": pooler.server_login_retry_s,
        "max_prepared_statements": pooler.max_prepared_statements,
    }
    assert {name: value.known for name, value in found.items()} == {
        "pool_mode": "session",
        "default_pool_size": 20,
        "min_pool_size": 0,
        "reserve_pool_size": 0,
        "reserve_pool_timeout": 5,
        "max_client_conn": 100,
        "max_db_connections": math.inf,
        "max_user_connections": math.inf,
        "query_wait_timeout": 120,
        "query_timeout": math.inf,
        "client_idle_timeout": math.inf,
        "idle_transaction_timeout": math.inf,
        "server_idle_timeout": 600,
        "server_lifetime": 3600,
        "server_login_retry": 15,
        "max_prepared_statements": 200,
    }
    assert {value.origin for value in found.values()} == {"default"}
    assert "1.24" in pooler.max_prepared_statements.why


def test_zero_is_no_limit_where_it_is_documented_so() -> None:
    names = ("query_wait_timeout", "client_idle_timeout", "reserve_pool_timeout", "query_timeout")
    pooler = one("[pgbouncer]\n" + "".join(f"{name} = 0\n" for name in names))
    assert pooler.query_wait_timeout_s.known == math.inf
    assert pooler.reserve_pool_timeout_s.known == math.inf, "the reserve is never used"
    assert one("[pgbouncer]\ndefault_pool_size = 0\n").default_pool_size.known == math.inf
    assert one("[pgbouncer]\nserver_lifetime = 0\n").server_lifetime_s.known == 0, "used once"


def test_indented_lines_are_settings_of_their_own() -> None:
    pooler = one("[pgbouncer]\npool_mode = transaction\n   max_client_conn = 300\n")
    assert (pooler.pool_mode.known, pooler.max_client_conn.known) == ("transaction", 300)


def test_the_last_line_holds_and_what_is_commented_does_not() -> None:
    text = "[pgbouncer]\nmax_client_conn = 1\n;max_client_conn = 9\nmax_client_conn = 2\n"
    assert one(text).max_client_conn.known == 2


@pytest.mark.parametrize("text", ["many", "-5", "nan", "1e999", "100 ; a remark", "${CLIENTS}"])
def test_what_is_not_understood_is_unknown_and_not_repeated(text: str) -> None:
    value = one(f"[pgbouncer]\nmax_client_conn = {text}\n").max_client_conn
    assert not value.is_known
    assert "many" not in value.why
    assert "max_client_conn" in value.why


def test_databases_have_their_own_pools() -> None:
    shop, rest = one(
        "[databases]\n"
        f"shop = host=db1 port=5433 dbname=x user=web password='a '' {SECRET}' pool_size=30 "
        "max_db_connections=40 reserve_pool=3\n"
        "* = host=db2\n[pgbouncer]\n"
    ).databases
    assert (shop.name, shop.host.known, shop.user.known) == ("shop", "db1", "web")
    assert (shop.pool_size.known, shop.max_connections.known) == (30, 40)
    assert shop.reserve_pool_size.known == 3
    assert (rest.name, rest.host.known, rest.user.is_known) == ("*", "db2", False)
    assert shop.place.line == 2


def test_a_mode_that_all_databases_have_holds_over_the_pools() -> None:
    every = "[databases]\na = pool_mode=transaction\nb = pool_mode=transaction\n[pgbouncer]\n"
    some = "[databases]\na = pool_mode=transaction\nb =\n[pgbouncer]\n"
    assert one(every).pool_mode.known == "transaction"
    assert one(some).pool_mode.known == "session"


def test_what_it_includes_is_a_part_of_it() -> None:
    main = "%include /etc/pgbouncer/databases.ini\n[pgbouncer]\n%include limits.ini\n"
    found = read(
        conf__pgbouncer_ini=main,
        conf__databases_ini="[databases]\nshop = host=db\n",
        conf__limits_ini="[pgbouncer]\nmax_client_conn = 700\n",
    )
    (pooler,) = found.poolers
    assert [each.name for each in pooler.databases] == ["shop"]
    assert pooler.max_client_conn.known == 700
    assert pooler.max_client_conn.place is not None
    assert pooler.max_client_conn.place.file == "conf/limits.ini"
    assert pooler.default_pool_size.known == 20
    assert not found.unread


def test_what_is_not_audited_may_say_anything() -> None:
    found = read(pgbouncer_ini="[pgbouncer]\nmax_client_conn = 5\n%include other.ini\n")
    (pooler,) = found.poolers
    assert pooler.max_client_conn.known == 5
    assert "pgbouncer.ini:3" in pooler.default_pool_size.why
    assert [each.line for each in found.unread] == [3]


def test_files_that_include_each_other_are_unread() -> None:
    found = read(
        a_ini="[pgbouncer]\nmax_client_conn = 5\n%include b.ini\n",
        b_ini="[pgbouncer]\n%include a.ini\n",
    )
    assert [(each.file, each.why) for each in found.unread] == [("b.ini", "it includes itself")]
    (pooler,) = found.poolers
    assert pooler.max_client_conn.known == 5


def test_of_a_list_of_users_only_their_number_is_kept() -> None:
    users = f'"web" "{SECRET}"\n; a remark\n"job" "SCRAM-SHA-256${SECRET}"\n'
    found = read(
        conf__pgbouncer_ini="[pgbouncer]\nauth_file = /etc/pgbouncer/userlist.txt\n",
        conf__userlist_txt=users,
    )
    (pooler,) = found.poolers
    assert pooler.users.known == 2
    file = SourceFile(Path("userlist.txt"), "userlist.txt", users)
    assert SECRET not in repr(pgbouncer.load(file))


def test_without_the_list_the_users_are_unknown() -> None:
    assert "not audited" in one("[pgbouncer]\nauth_file = userlist.txt\n").users.why
    assert "no auth_file" in one("[pgbouncer]\n").users.why


@pytest.mark.parametrize("text", ["[pgbouncer]\nwhat is this\n", "[pgbouncer]\n[half\n"])
def test_what_is_no_ini_is_unread(text: str) -> None:
    (unread,) = read(pgbouncer_ini=text).unread
    assert (unread.why, unread.line) == ("not an INI file", 2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("setup.cfg", "[metadata]\nname = x\n"),
        ("tox.ini", "[testenv]\ncommands = echo [pgbouncer]\n"),
        ("requirements.txt", "sqlalchemy\n"),
        ("empty.txt", ""),
        ("pgbouncer.md", "[pgbouncer]\n"),
    ],
)
def test_other_files_are_nobodys(name: str, text: str) -> None:
    assert not pgbouncer.recognises(SourceFile(Path(name), name, text))


def test_no_password_stays() -> None:
    text = (
        f"[databases]\nshop = host=db password={SECRET} auth_query='{SECRET}' "
        f"connect_query='set x to {SECRET}'\n[pgbouncer]\nauth_query = {SECRET}\n"
        f"server_tls_key_file = {SECRET}\nmax_client_conn = {SECRET}\n"
        f"[users]\nu = password={SECRET}\n"
    )
    file = SourceFile(Path("pgbouncer.ini"), "pgbouncer.ini", text)
    reading = pgbouncer.load(file)
    assert SECRET not in repr((reading, together([reading])))


@pytest.mark.parametrize(
    "piece", ["a", " ", "9", "=", "'", "a=", "''", '"', '""', "[", "%include "]
)
def test_a_long_line_takes_no_longer(piece: str) -> None:
    """A pattern that tries every split of 30,000 characters would take for ever."""
    long = piece * (30_000 // len(piece))
    for name, head in (("p.ini", "[databases]\na = "), ("p.ini", ""), ("u.txt", "")):
        file = SourceFile(Path(name), name, head + long)
        pgbouncer.recognises(file)
        together([pgbouncer.load(file)])


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    for name, head in (("p.ini", "[pgbouncer]\n"), ("p.ini", "[databases]\na ="), ("u.txt", '"')):
        file = SourceFile(Path(name), name, head + text)
        pgbouncer.recognises(file)
        together([pgbouncer.load(file)])


TEMPLATE = """\
[databases]
{% for pool in pools %}
{{ pool.name }} = host={{ host }} dbname={{ pool.dbname }}
{% endfor %}
[pgbouncer]
max_client_conn = {{ most }}
{% if is_large %}
default_pool_size = 60
{% endif %}
pool_mode = transaction
{{ more_settings }}
"""


@pytest.mark.parametrize("name", ["pgbouncer.ini.j2", "pgbouncer.ini.erb", "pgbouncer.cfg.tmpl"])
def test_a_template_says_what_stands_there_in_any_case(name: str) -> None:
    text = TEMPLATE
    if name.endswith(".erb"):
        text = text.replace("{% if is_large %}", "<% if @large %>").replace(
            "{% endif %}", "<% end %>"
        )
    (pooler,) = together([pgbouncer.load(SourceFile(Path(name), name, text))]).poolers
    assert load(SourceFile(Path(name), name, text)) is not None
    assert pooler.pool_mode.known == "transaction"
    assert "filled in elsewhere" in pooler.max_client_conn.why
    assert "filled in elsewhere" in pooler.default_pool_size.why


def test_a_line_that_is_no_setting_is_said_where_it_is_no_template() -> None:
    (unread,) = read(pgbouncer_ini=TEMPLATE).unread
    assert unread.line == 2


def test_what_ends_every_transaction_is_read() -> None:
    """PgBouncer 1.25, in seconds; 0 is never."""
    for text, seconds in (("transaction_timeout = 30", 30), ("transaction_timeout = 0", math.inf)):
        (pooler,) = read(pgbouncer_ini=f"[pgbouncer]\nlisten_port = 6432\n{text}\n").poolers
        assert pooler.transaction_timeout_s.known == seconds
