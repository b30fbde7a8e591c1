"""``.env`` files: variables with their lines, and no secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import dotenv
from harness.audit.reading import Environment
from tests.harness.audit.loaders.reading import SECRET, read, source, texts


def load(text: str, name: str = "app/.env") -> Environment:
    (found,) = read(dotenv, name, text).environments
    return found


def test_variables_are_read_with_their_lines() -> None:
    found = load("# the pool\n\nAUTH_POOL__SIZE=4\nexport TIMEOUT_S='2.5' # seconds\n\nEMPTY=\n")
    assert found.name == "app/.env"
    assert {key: (text, place.line) for key, (text, place) in found.settings.items()} == {
        "AUTH_POOL__SIZE": ("4", 3),
        "TIMEOUT_S": ("2.5", 4),
        "EMPTY": ("", 6),
    }


def test_the_last_of_a_name_holds() -> None:
    assert load("A=1\nA=2\n").settings["A"][0] == "2"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (".env", True),
        (".env.production", True),
        (".env.example", True),
        ("web.env", True),
        ("env.sample", True),
        ("environment.py", False),
        (".envrc.py", False),
        ("venv", False),
    ],
)
def test_by_its_name(name: str, known: bool) -> None:
    assert dotenv.recognises(source(name, "A=1")) is known


def test_a_gateway_of_ours_is_known_by_its_settings() -> None:
    text = 'GATEWAY_TIMEOUT_S=4\nGATEWAY_UPSTREAMS=[{"name": "a", "url": "http://auth:8000"}]\n'
    (gateway,) = read(dotenv, ".env", text).gateways
    assert (gateway.timeout_s.known, gateway.upstreams) == (4, ("auth",))


def test_what_is_not_understood_is_said() -> None:
    found = read(dotenv, ".env", f"A=1\n={SECRET}\n")
    (unread,) = found.unread
    assert "no KEY=VALUE" in unread.why
    assert unread.line == 2
    assert SECRET not in texts(found)


def test_no_secret_is_in_what_is_read() -> None:
    found = load(
        f"DATABASE_URL=postgresql://u:{SECRET}@db:5432/x\nDB_PASSWORD={SECRET}\n"
        f"SECRET_KEY={SECRET}==\nAPI_TOKEN={SECRET}\nPGPASS='{SECRET}'\n"
        f"JDBC=jdbc:postgresql://db/x?user=u&password={SECRET}\nDSN=host=db password='{SECRET} x'\n"
        "POOL_SIZE=4\n"
    )
    assert SECRET not in texts(found)
    assert found.settings["DATABASE_URL"][0] == "postgresql://u@db:5432/x"
    assert found.settings["POOL_SIZE"][0] == "4"


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    dotenv.load(source(".env", text))
    dotenv.load(source(".env", f"GATEWAY_UPSTREAMS={text}"))
