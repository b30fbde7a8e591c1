"""Procfiles, and what ``app.json`` says of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import procfile
from harness.audit.reading import Reading
from tests.harness.audit.loaders.reading import SECRET, read, source, texts


def load(text: str, name: str = "app/Procfile") -> Reading:
    return read(procfile, name, text)


def test_a_deployment_for_each_process_that_stays() -> None:
    text = (
        "release: python manage.py migrate\n"
        "web: gunicorn -w ${WEB_CONCURRENCY:-3} shop:app\n\n# background\n"
        "worker: celery -A shop worker -c 4\nother: python jobs.py\n"
    )
    web, worker, other = load(text).deployments
    assert (web.name, web.kind, web.folder, web.place.line) == ("web", "Procfile", "app", 2)
    assert web.runtime is not None
    assert worker.runtime is not None
    assert other.runtime is not None
    assert (web.runtime.processes.known, web.runtime.serves.known) == (3, True)
    assert (worker.runtime.processes.known, worker.runtime.serves.known) == (4, False)
    assert other.runtime.serves.known is False, "only web has requests"
    assert not web.replicas.is_known
    assert web.environment_files == ("app/app.json",)


def test_app_json_counts_them() -> None:
    text = """{
      "buildpacks": [],
      "env": {"WEB_CONCURRENCY": {"value": "3"}, "POOL": "5", "SECRET": {"generator": "secret"}},
      "formation": {"web": {"quantity": 2}, "worker": {"size": "hobby"}}
    }"""
    found = load(text, "app/app.json")
    (scale,), (environment,) = found.scales, found.environments
    assert (scale.of, scale.kind, scale.replicas.known) == ("web", "Procfile", 2)
    assert environment.name == "app/app.json"
    assert {key: said[0] for key, said in environment.settings.items()} == {
        "WEB_CONCURRENCY": "3",
        "POOL": "5",
    }


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("Procfile", "", True),
        ("Procfile.dev", "web: x", True),
        ("app.json", '{"name": "expo"}', False),
        ("app.json", '{"formation": {}}', True),
        ("procfile.py", "", False),
    ],
)
def test_by_its_name(name: str, text: str, known: bool) -> None:
    assert procfile.recognises(source(name, text)) is known


def test_what_is_not_understood_is_said() -> None:
    (unread,) = load('{"formation": [}', "app.json").unread
    assert "not valid" in unread.why


def test_no_password_is_in_what_is_read() -> None:
    found = load(f'{{"addons": [], "env": {{"DB_PASSWORD": "{SECRET}"}}}}', "app.json")
    assert SECRET not in texts(found)
    assert SECRET not in texts(load(f"web: DB_PASSWORD={SECRET} gunicorn -w {SECRET} app"))


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    procfile.load(source("Procfile", text))
    procfile.load(source("Procfile", f"web: {text}"))
    procfile.load(source("app.json", f'{{"formation": {text}}}'))
