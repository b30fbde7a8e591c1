"""Compose files that extend each other's services, as Compose merges them; circles end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.joining.compose_files import extending
from harness.audit.loaders import compose
from harness.audit.reading import Deployment, Reading
from tests.harness.audit.loaders.reading import SECRET, read, source, texts


def readings(**files: str) -> dict[str, Reading]:
    """Files by their names without `.yaml`, `__` standing for `/`."""
    names = [f"{name.replace('__', '/')}.yaml" for name in files]
    loaded = [read(compose, name, text) for name, text in zip(names, files.values(), strict=True)]
    return dict(zip(names, extending(loaded), strict=True))


def deployed(reading: Reading) -> Deployment:
    (found,) = reading.deployments
    return found


BASE = """\
services:
  python:
    build: .
    command: gunicorn -w 4 app
    environment: {POOL: "10", URL: "postgresql://u@db/a"}
    env_file: shop.env
    deploy:
      replicas: 3
      resources: {limits: {cpus: "2"}}
"""
BACK = "services:\n  python:\n    extends: {file: compose.yaml, service: web}\n"
FAR = "services:\n  web:\n    extends: {file: common.yaml, service: python}\n"


def test_a_service_has_what_the_other_files_has() -> None:
    web = deployed(readings(compose=FAR, common=BASE)["compose.yaml"])
    assert (web.name, web.place.file, web.folder) == ("web", "compose.yaml", ".")
    assert web.environment["POOL"][0] == "10"
    assert (web.environment["POOL"][1].file, web.environment["POOL"][1].line) == ("common.yaml", 5)
    assert (web.replicas.known, web.environment_files) == (3, ("Dockerfile", "shop.env"))
    assert web.replicas.place is not None
    assert web.replicas.place.file == "common.yaml"
    assert web.runtime is not None
    assert (web.runtime.processes.known, web.runtime.place.file) == (4, "common.yaml")


def test_its_own_holds() -> None:
    own = (
        "    environment: [POOL=20]\n    command: gunicorn -w 2 app\n"
        "    env_file: [more.env]\n    deploy: {replicas: 5}\n"
        "    build: {dockerfile: a/Dockerfile}\n"
    )
    web = deployed(readings(compose=FAR + own, common=BASE)["compose.yaml"])
    assert {key: text for key, (text, _) in web.environment.items()} == {
        "POOL": "20",
        "URL": "postgresql://u@db/a",
    }
    assert web.environment["POOL"][1].file == "compose.yaml"
    assert web.replicas.known == 5
    assert web.runtime is not None
    assert web.runtime.processes.known == 2
    assert web.folder == "a"
    assert web.environment_files[1:] == ("shop.env", "more.env")


def test_labels_are_merged_in_both_forms() -> None:
    base = BASE + "    labels: {traefik.http.routers.a.rule: Host(`a`), traefik.enable: 'true'}\n"
    own = "    labels: [traefik.enable=false]\n"
    assert len(readings(compose=FAR, common=base)["compose.yaml"].gateways) == 1
    assert not readings(compose=FAR + own, common=base)["compose.yaml"].gateways


def test_paths_are_those_of_the_file_that_they_stand_in() -> None:
    far = FAR.replace("common.yaml", "../shared/common.yaml") + "    env_file: own.env\n"
    web = deployed(readings(shop__compose=far, shared__common=BASE)["shop/compose.yaml"])
    assert web.folder == "shared"
    assert web.environment_files == ("shared/Dockerfile", "shared/shop.env", "shop/own.env")


def test_a_service_that_is_there_to_be_extended_does_not_run() -> None:
    found = readings(compose=FAR, common=BASE + "  other:\n    image: app\n")
    assert [each.name for each in found["common.yaml"].deployments] == ["other"]


@pytest.mark.parametrize("more", ["", "include: [common.yaml]\n"])
def test_one_that_is_started_by_itself_runs(more: str) -> None:
    if more:
        found = readings(compose=more + FAR, common=BASE)["common.yaml"]
    else:
        far = FAR.replace("common.yaml", "compose.yaml")
        found = readings(**{"compose.prod": far, "compose": BASE})["compose.yaml"]
    assert deployed(found).name == "python"


def test_a_database_is_extended_too() -> None:
    far = "services:\n  db:\n    extends: {file: base.yaml, service: pg}\n    mem_limit: 1g\n"
    base = "services:\n  pg:\n    image: postgres:17\n    command: -c max_connections=60\n"
    found = readings(compose=far, base=base)
    (server,) = found["compose.yaml"].servers
    assert (server.name, server.max_connections.known) == ("db", 60)
    assert server.max_connections.place is not None
    assert server.max_connections.place.file == "base.yaml"
    assert not found["base.yaml"].servers


def test_one_extends_another_that_extends_a_third() -> None:
    middle = "services:\n  python:\n    extends: {file: base.yaml, service: a}\n"
    base = "services:\n  a:\n    extends: b\n  b:\n    image: app\n    environment: {POOL: 7}\n"
    found = readings(compose=FAR, common=middle, base=base)
    assert deployed(found["compose.yaml"]).environment["POOL"][0] == "7"


@pytest.mark.parametrize(
    ("text", "common", "why"),
    [
        (FAR, BACK, "itself"),
        ("services: {web: {image: a, extends: web}}", BASE, "itself"),
        (FAR.replace("common", "gone"), BASE, "not in a file among"),
        (FAR.replace("common.yaml", "https://x.example/a.yaml"), BASE, "not in a file among"),
        (FAR.replace("python", "gone"), BASE, "a service that is not there"),
        ("include: [gone.yaml]\nservices: {web: {image: a}}", BASE, "includes what is not"),
        ("include: [{path: [gone.yaml]}]\nservices: {web: {image: a}}", BASE, "includes what"),
    ],
)
def test_what_is_not_there_is_said(text: str, common: str, why: str) -> None:
    found = readings(compose=text, common=common)["compose.yaml"]
    (unread,) = found.unread
    assert why in unread.why
    assert unread.line > 0


def test_a_circle_is_said_once_where_it_closes() -> None:
    found = readings(compose=FAR, common=BACK)
    (unread,) = [each for reading in found.values() for each in reading.unread]
    assert (unread.file, unread.line, unread.why) == ("common.yaml", 3, "it extends itself")


def test_a_long_chain_ends() -> None:
    lines = [f"  a{n}:\n    extends: a{n + 1}\n    environment: {{A{n}: x}}\n" for n in range(120)]
    (found,) = extending([read(compose, "compose.yaml", "services:\n" + "".join(lines))])
    assert {each.why for each in found.unread} == {
        "it is extended by 50 services, one by the other",
        "it extends a service that is not there",
    }


def test_what_is_included_is_no_loss() -> None:
    include = "include:\n  - common.yaml\n  - path: [a.yaml, b.yaml]\n    env_file: x.env\n"
    found = readings(compose=f"{include}services: {{w: {{image: a}}}}", common=BASE, a=BASE, b=BASE)
    assert not found["compose.yaml"].unread


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("compose.yaml", "include: [a.yaml]\n", True),
        ("compose.yaml", "x-more: 1\n", False),
        ("base.yaml", "services:\n  a:\n    extends: b\n", True),
        ("base.yaml", "include: [a.yaml]\n", False),
    ],
)
def test_a_file_of_parts_is_recognised(name: str, text: str, known: bool) -> None:
    assert compose.recognises(source(name, text)) is known


def test_others_stay_as_they_are() -> None:
    one, two = read(compose, "a/compose.yaml", BASE), Reading()
    assert extending([one, two]) == [one, two]
    assert extending([replace(one, variant="prod")])[0].variant == "prod"


def test_its_variant_stays() -> None:
    far = replace(read(compose, "envs/prod/compose.yaml", FAR.replace("common", "../../common")))
    base = read(compose, "common.yaml", BASE)
    found, _ = extending([replace(far, variant="prod"), base])
    assert found.variant == "prod"
    assert deployed(found).environment["POOL"][0] == "10"


def test_no_secret_is_repeated() -> None:
    base = (
        f"services:\n  python:\n    image: app\n    environment: [DB_PASSWORD={SECRET}]\n"
        f"    command: app --password {SECRET}\n    deploy: {{replicas: {SECRET}}}\n"
    )
    gone = FAR + f"  b:\n    extends: {{file: {SECRET}, service: {SECRET}}}\n"
    for each in readings(compose=gone, common=base).values():
        assert SECRET not in texts(each)
        assert SECRET not in repr(each)


NAMES = st.sampled_from(["a", "b", "c"])
EXTENDS = st.dictionaries(
    NAMES, st.tuples(st.sampled_from(["x", "y", "z"]), NAMES), min_size=1, max_size=3
)


@given(st.tuples(EXTENDS, EXTENDS, EXTENDS))
def test_no_circle_makes_it_fall(files: tuple[dict[str, tuple[str, str]], ...]) -> None:
    loaded = []
    for name, services in zip("xyz", files, strict=True):
        lines = [
            f"  {each}:\n    image: app\n    extends: {{file: {to}.yaml, service: {of}}}\n"
            for each, (to, of) in services.items()
        ]
        loaded.append(compose.load(source(f"{name}.yaml", "services:\n" + "".join(lines))))
    for found in extending(loaded):
        assert len(found.unread) <= 9
