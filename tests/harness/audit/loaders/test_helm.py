"""Helm's values, where they are plain: counts, variables, and the databases of a chart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import helm
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

VALUES = """\
nameOverride: shop
replicaCount: 2
image: {repository: registry.example/shop, tag: "1"}
env:
  POOL_SIZE: "4"
  FROM_SECRET: {secretKeyRef: {name: x}}
extraEnv:
  - {name: OTHER, value: "5"}
  - {name: HIDDEN, valueFrom: {secretKeyRef: {name: x}}}
args: [gunicorn, -w, "3", "shop:app"]
autoscaling: {enabled: true, maxReplicas: 6}
ingress:
  enabled: true
  className: nginx
  annotations:
    nginx.ingress.kubernetes.io/proxy-read-timeout: "20"
worker:
  replicaCount: 3
  image: {repository: registry.example/worker}
postgresql:
  auth: {password: hunter2-canary}
  primary:
    extendedConfiguration: |
      # tuned
      max_connections = 200
      lock_timeout = 2s
pgbouncer:
  config: {poolMode: transaction, default_pool_size: 7}
"""


def load(text: str, name: str = "chart/values.yaml") -> Reading:
    return read(helm, name, text)


def test_a_program_and_what_comes_with_it() -> None:
    found = load(VALUES)
    shop, worker = found.deployments
    assert (shop.name, shop.image, shop.hosts) == ("shop", "registry.example/shop:1", ("shop",))
    assert shop.replicas.known == 6
    assert {key: said[0] for key, said in shop.environment.items()} == {
        "POOL_SIZE": "4",
        "FROM_SECRET": "{{filled in}}",
        "OTHER": "5",
        "HIDDEN": "{{filled in}}",
    }
    assert shop.runtime is not None
    assert shop.runtime.processes.known == 3
    assert not shop.surge.is_known, "the template says"
    assert (worker.name, worker.replicas.known) == ("shop-worker", 3)
    (gateway,) = found.gateways
    assert (gateway.timeout_s.known, gateway.upstreams) == (20, ("shop",))
    assert SECRET not in texts(found)


def test_postgresql_of_the_chart_has_its_settings_on_their_lines() -> None:
    (server,) = load(VALUES).servers
    assert (server.max_connections.known, server.lock_timeout_s.known) == (200, 2)
    assert server.max_connections.place is not None
    assert "max_connections" in VALUES.splitlines()[server.max_connections.place.line - 1]
    assert "shop-postgresql" in server.hosts
    for off in ("{enabled: false, auth: {}}", "{host: elsewhere}"):
        assert load(f"image: {{repository: x}}\npostgresql: {off}\n").servers == ()


def test_pgbouncer_of_the_chart_in_any_spelling() -> None:
    (pooler,) = load(VALUES).poolers
    assert (pooler.pool_mode.known, pooler.default_pool_size.known) == ("transaction", 7)
    assert not pooler.max_client_conn.is_known, "the chart may have a default of its own"


@pytest.mark.parametrize(
    ("text", "replicas"),
    [
        ("replicaCount: 2\nautoscaling: {enabled: false, maxReplicas: 9}", 2),
        ("replicaCount: 2\nautoscaling: {maxReplicas: 9}", 9),
        ("replicaCount: 2", 2),
        ("image: {repository: x}", None),
        ("replicaCount: hunter2-canary", None),
    ],
)
def test_how_many_there_are(text: str, replicas: int | None) -> None:
    (found,) = load(f"{text}\n").deployments
    assert found.replicas.known == replicas
    assert SECRET not in texts(found)


def test_the_chart_names_its_program(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: inventory\n", "utf-8")
    for path, name in (
        (tmp_path / "values.yaml", "inventory"),
        (Path("/x/shop/values.yaml"), "shop"),
    ):
        found = helm.load(SourceFile(path, str(path), "replicaCount: 2\n"))
        assert found.deployments[0].name == name


TEMPLATE = """\
kind: Deployment
spec:
  {{- if .Values.x }}
      containers:
        - name: {{ .Chart.Name }}
          args:
            - gunicorn
            - --threads=8
            - "--workers={{ .Values.gunicorn.workers }}"
            - --timeout={{ .Values.gunicorn.none }}
          env: {{ .Values.env }}
"""


def test_the_command_of_the_only_template_that_has_one(tmp_path: Path) -> None:
    values = SourceFile(
        tmp_path / "values.yaml", "chart/values.yaml", "replicaCount: 2\ngunicorn: {workers: 3}\n"
    )
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "web.yaml").write_text(TEMPLATE, "utf-8")
    (tmp_path / "templates" / "job.yaml").write_text("kind: Service\nargs:\n  - x\n", "utf-8")
    runtime = helm.load(values).deployments[0].runtime
    assert runtime is not None
    assert (runtime.processes.known, runtime.threads.known) == (3, 8)
    assert runtime.processes.place is not None
    assert runtime.threads.place is not None
    assert str(runtime.processes.place) == "chart/values.yaml:2"
    assert str(runtime.threads.place) == "chart/templates/web.yaml:8"
    (tmp_path / "templates" / "worker.yaml").write_text(TEMPLATE, "utf-8")
    assert helm.load(values).deployments[0].runtime is None, "nobody knows which is whose"


@pytest.mark.parametrize(
    ("text", "size", "clients"),
    [
        ("enabled: true\n  poolSize: 25\n  maxClientConnections: 900", 25, 900),
        ("enabled: true\n  image: {repository: own/pgbouncer}", None, None),
    ],
)
def test_a_pgbouncer_that_is_switched_on_is_there(
    text: str, size: int | None, clients: int | None
) -> None:
    (pooler,) = load(f"pgbouncer:\n  {text}\n").poolers
    assert (pooler.default_pool_size.known, pooler.max_client_conn.known) == (size, clients)
    assert pooler.pool_mode.known is None, "the chart's templates may say it"


@pytest.mark.parametrize("text", ["enabled: false\n  poolSize: 25", "image: own/pgbouncer"])
def test_a_pgbouncer_that_is_not_switched_on_is_not(text: str) -> None:
    assert load(f"pgbouncer:\n  {text}\n").poolers == ()


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("values.yaml", "replicaCount: 1\n", True),
        ("values-prod.yaml", "image: {}\n", True),
        ("prod.values.yml", "autoscaling: {}\n", True),
        ("values.yaml", "colours: []\n", False),
        ("ci/values.yaml", "replicaCount: 1\n", False),
        ("settings.yaml", "replicaCount: 1\n", False),
    ],
)
def test_by_its_name_and_its_keys(name: str, text: str, known: bool) -> None:
    assert helm.recognises(source(name, text)) is known


def test_what_is_not_understood_is_said() -> None:
    assert "not valid YAML" in load("image: [\n").unread[0].why
    broken = "postgresql:\n  auth: {}\n  primary:\n    configuration: |\n      = nothing\n"
    assert all(SECRET not in each.why for each in load(broken).unread)


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    helm.load(source("values.yaml", text))
    helm.load(
        source("values.yaml", f"image: x\npostgresql: {{primary: {{configuration: '{text}'}}}}")
    )


KEYS = ("image", "env", "replicaCount", "autoscaling", "enabled", "maxReplicas", "ingress")
MORE = ("postgresql", "primary", "configuration", "pgbouncer", "config", "poolMode", "name", "auth")
SHAPES: Any = st.recursive(
    st.sampled_from(["1", "true", "", "a = b\n=", "{{ x }}"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS + MORE), inner)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(KEYS + MORE), SHAPES))
def test_no_shape_makes_it_fall(shape: dict[str, Any]) -> None:
    helm.load(source("values.yaml", json.dumps(shape)))


@pytest.mark.parametrize(
    ("values", "known"),
    [
        ('config: {DB_POOL_MAX: "60", LOG_LEVEL: info}', "60"),
        ('configMap: {data: {DB_POOL_MAX: "60"}}', "60"),
        ('config: {DB_POOL_MAX: "5"}\nenv: {DB_POOL_MAX: "60"}', "60"),
        ('config: {DB_POOL_MAX: "60", replicas: 3}', None),
        ('worker: {image: x, config: {DB_POOL_MAX: "60"}}', None),
        ("config: {DB_POOL_MAX: {from: there}}", None),
    ],
)
def test_a_mapping_of_variables_is_an_environment(values: str, known: str | None) -> None:
    found = read(helm, "chart/values.yaml", f"nameOverride: shop\nimage: shop\n{values}\n")
    shop = next(each for each in found.deployments if each.name == "shop")
    assert shop.environment.get("DB_POOL_MAX", (None,))[0] == known
