"""Kubernetes' objects: deployments with their environment and counts, databases, and the edge."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.chain import Declared
from harness.audit.joining.join import joined
from harness.audit.loaders import kubernetes
from harness.audit.parts import Gateway
from harness.audit.reading import Deployment, Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Value
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

OURS = Path(__file__).parents[4] / "deploy" / "kubernetes"


def load(text: str, name: str = "k8s/app.yaml") -> Reading:
    return read(kubernetes, name, text)


def workload(
    container: str, kind: str = "Deployment", spec: str = "replicas: 4", **pod: str
) -> str:
    """An object whose pod has one container, in YAML's flow style."""
    more = "".join(f", {key}: {value}" for key, value in pod.items())
    return (
        f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: api}}\nspec:\n  {spec}\n"
        f"  template:\n    metadata: {{labels: {{app: api}}}}\n"
        f"    spec: {{containers: [{container}]{more}}}\n"
    )


def deployed(text: str) -> Deployment:
    (found,) = load(text).deployments
    return found


def line_of(value: Value[Any]) -> int:
    assert value.place is not None
    return value.place.line


APP = "{name: api, image: registry.example/api:1}"


def test_a_deployment_with_all_that_it_says() -> None:
    text = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 3
  strategy: {rollingUpdate: {maxSurge: 2}}
  template:
    spec:
      initContainers:
        - {name: migrate, image: app, command: [gunicorn, -w, "9"]}
      containers:
        - name: api
          image: registry.example/api:1
          command: [sh, -c]
          args: ["exec gunicorn -w $(WORKERS) api:app"]
          env:
            - {name: WORKERS, value: "4"}
            - name: DATABASE_URL
              valueFrom: {secretKeyRef: {name: db, key: url}}
          envFrom:
            - configMapRef: {name: api}
            - secretRef: {name: hidden}
        - {name: proxy, image: "envoyproxy/envoy:v1"}
"""
    found = deployed(text)
    assert (found.name, found.kind, found.image) == ("api", "Deployment", "registry.example/api:1")
    assert (found.replicas.known, found.surge.known, found.hosts) == (3, 2, ("api",))
    assert (line_of(found.replicas), line_of(found.surge)) == (5, 6)
    assert found.environment_files == ("api",)
    assert set(found.environment) == {"WORKERS", "DATABASE_URL"}
    assert found.environment["WORKERS"][0] == "4"
    assert found.runtime is not None
    processes = found.runtime.processes
    assert processes.resolved(found.environment).known == 4
    assert processes.resolved({}).known is None


@pytest.mark.parametrize(
    ("kind", "spec", "replicas", "surge"),
    [
        ("Deployment", "replicas: 4", 4, 1),
        ("Deployment", "replicas: 5", 5, 2),
        ("Deployment", "paused: false", 1, 1),
        ("Deployment", "{replicas: 4, strategy: {type: Recreate}", 4, 0),
        ("Deployment", "{replicas: 4, strategy: {rollingUpdate: {maxSurge: 50%}}", 4, 2),
        ("Deployment", "{replicas: 4, strategy: {rollingUpdate: {maxSurge: 0}}", 4, 0),
        ("Deployment", "{replicas: 3, strategy: {rollingUpdate: {maxSurge: 34%}}", 3, 2),
        ("Rollout", "{replicas: 4, strategy: {blueGreen: {}}", 4, 4),
        ("Rollout", "{replicas: 4, strategy: {canary: {maxSurge: 3}}", 4, 3),
        ("StatefulSet", "replicas: 4", 4, 0),
        ("ReplicaSet", "replicas: 4", 4, 0),
        ("DaemonSet", "minReadySeconds: 1", None, 0),
        ("Job", "parallelism: 2", 2, 0),
    ],
)
def test_how_many_there_are_and_come_besides(
    kind: str, spec: str, replicas: int | None, surge: float
) -> None:
    text = workload(APP, kind, spec)
    if spec.startswith("{"):
        body = f"template: {{spec: {{containers: [{APP}]}}}}"
        text = (
            f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: api}}\nspec: {spec}, {body}}}\n"
        )
    found = deployed(text)
    assert (found.replicas.known, found.surge.known) == (replicas, surge)


def test_a_cron_jobs_pods() -> None:
    pod = f"{{spec: {{containers: [{APP}]}}}}"
    found = deployed(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly}\n"
        f"spec: {{jobTemplate: {{spec: {{parallelism: 3, template: {pod}}}}}}}\n"
    )
    assert (found.name, found.replicas.known) == ("nightly", 3)


def test_the_autoscalers_most() -> None:
    for version in ("autoscaling/v1", "autoscaling/v2"):
        (scale,) = load(
            f"apiVersion: {version}\nkind: HorizontalPodAutoscaler\nmetadata: {{name: h}}\nspec:\n"
            "  scaleTargetRef: {kind: Deployment, name: api}\n  maxReplicas: 9\n"
        ).scales
        assert (scale.of, scale.kind, scale.replicas.known) == ("api", "Deployment", 9)
    (keda,) = load(
        "apiVersion: keda.sh/v1\nkind: ScaledObject\nspec: {scaleTargetRef: {name: api}}\n"
    ).scales
    assert (keda.kind, keda.replicas.known, keda.replicas.origin) == ("Deployment", 100, "default")


def test_an_autoscaler_in_the_same_file_decides_what_a_quarter_is() -> None:
    found = load(
        workload(APP) + "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n"
        "spec: {scaleTargetRef: {kind: Deployment, name: api}, maxReplicas: 12}\n"
    )
    assert found.deployments[0].surge.known == 3


def test_variables_of_config_maps() -> None:
    found = load(
        workload(
            "{name: api, image: app, env: [{name: POOL, valueFrom: {configMapKeyRef: "
            "{name: here, key: pool.size}}}, {name: A, valueFrom: {configMapKeyRef: "
            "{name: there, key: A}}}, {name: B, valueFrom: {configMapKeyRef: "
            "{name: there, key: other}}}, {name: IP, valueFrom: {fieldRef: {fieldPath: x}}}]}"
        )
        + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: here}\ndata:\n  pool.size: '7'\n"
    )
    (api,), (here,) = found.deployments, found.environments
    assert api.environment["POOL"][0] == "7"
    assert api.environment["POOL"][1].line == 14
    assert "A" not in api.environment, "the ConfigMap has it by that name"
    assert api.environment["B"][0] == "$(other)"
    assert "{{" in api.environment["IP"][0]
    assert api.environment_files == ("there",)
    assert (here.name, here.settings["pool.size"][0]) == ("here", "7")


CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  POOL_SIZE: "12"
  pgbouncer.ini: |
    [databases]
    * = host=db

    [pgbouncer]
    pool_mode = transaction
  postgresql.conf: |
    # tuned
    max_connections = 300
  application.yaml: |
    spring:
      datasource:
        url: jdbc:postgresql://db/x
        hikari: {maximum-pool-size: 30}
  broken.ini: |
    [pgbouncer]
    what is this
  inner.yaml: |
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: inner}
    data:
      pgbouncer.ini: "[pgbouncer]\\npool_mode = session"
"""


def test_files_in_a_config_map_are_read_where_they_stand() -> None:
    found = load(CONFIG_MAP)
    lines = CONFIG_MAP.splitlines()
    (pooler,), (server,), (code,) = found.pooler_files, found.server_files, found.codes
    (mode,) = (place for _, key, _, place in pooler.lines if key == "pool_mode")
    assert lines[mode.line - 1].strip() == "pool_mode = transaction"
    (most,) = (place for key, _, place in server.lines if key == "max_connections")
    assert lines[most.line - 1].strip() == "max_connections = 300"
    assert "maximum-pool-size" in lines[line_of(code.pools[0].size) - 1]
    assert {each.name for each in found.environments} >= {"settings"}
    (variables,) = (each for each in found.environments if each.name == "settings")
    assert set(variables.settings) == {"POOL_SIZE"}
    (unread,) = found.unread
    assert lines[unread.line - 1].strip() == "what is this"


def test_services_lead_to_pods_by_their_labels() -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {selector: %s}\n"
    together = load(workload(APP) + "---\n" + service % "{app: api}")
    assert [(each.name, each.deployments) for each in together.services] == [("shop", ("api",))]
    apart = load(service % "{app.kubernetes.io/name: other, tier: web}")
    assert apart.services[0].deployments == ("other",)
    assert load(service % "{}").services == ()


def test_pods_of_a_stateful_set_have_names() -> None:
    found = deployed(workload(APP, "StatefulSet", "serviceName: apis\n  replicas: 2"))
    assert found.hosts == ("api", "api-0.apis", "api-1.apis")


def test_a_list_and_json_are_read_as_well() -> None:
    objects = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"template": {"spec": {"containers": [{"name": "x", "image": "app"}]}}},
        }
        for name in ("one", "two")
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    assert [each.name for each in load(text, "all.json").deployments] == ["one", "two"]


# -- databases -------------------------------------------------------------------------------------


def test_postgresql_by_its_image() -> None:
    found = load(
        workload(
            "{name: db, image: 'postgres:17', args: [-c, max_connections=$(MOST), -c,"
            " statement_timeout=5s], env: [{name: MOST, value: '300'}],"
            " resources: {limits: {cpu: 2500m}}}",
            "StatefulSet",
        )
    )
    (server,) = found.servers
    assert (server.max_connections.known, server.statement_timeout_s.known) == (300, 5)
    assert (server.cores.known, server.hosts) == (2.5, ("api",))
    assert found.deployments == ()


def test_pgbouncer_beside_a_program() -> None:
    found = load(
        workload(
            "{name: bouncer, image: 'edoburu/pgbouncer:v1.24.1', "
            "env: [{name: DB_HOST, value: db}]},"
            f" {APP}"
        )
    )
    (pooler,), (api,) = found.poolers, found.deployments
    assert (pooler.name, pooler.replicas.known) == ("bouncer", 4)
    assert pooler.hosts == ("localhost", "127.0.0.1")
    assert (api.name, api.hosts) == ("api", ("api",))
    assert pooler.databases[0].host.known == "db"


def test_pgbouncer_with_a_config_map_has_no_defaults() -> None:
    found = load(
        workload(
            "{name: b, image: 'edoburu/pgbouncer:v1.24.1', env: [{name: DB_HOST, value: db}],"
            " volumeMounts: [{name: c, mountPath: /etc/pgbouncer}]}",
            volumes="[{name: c, configMap: {name: bouncer}}]",
        )
    )
    assert not found.poolers[0].default_pool_size.is_known
    elsewhere = load(
        workload("{name: b, image: own/pgbouncer, envFrom: [{configMapRef: {name: b}}]}")
    )
    assert not elsewhere.poolers[0].default_pool_size.is_known


def test_who_watches() -> None:
    found = load(
        workload(
            "{name: x, image: 'prometheuscommunity/postgres-exporter',"
            " env: [{name: DATA_SOURCE_USER, value: watcher}]}"
        )
    )
    assert found.monitors[0].user.known == "watcher"


def test_operators_of_postgresql() -> None:
    found = load(
        """\
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: main}
spec:
  instances: 3
  postgresql: {parameters: {max_connections: "250", lock_timeout: 3s}}
  resources: {limits: {cpu: "4"}}
---
apiVersion: postgresql.cnpg.io/v1
kind: Pooler
metadata: {name: main-pool}
spec:
  cluster: {name: main}
  instances: 2
  type: rw
  pgbouncer: {poolMode: transaction, parameters: {max_client_conn: "900"}}
---
apiVersion: acid.zalan.do/v1
kind: postgresql
metadata: {name: other}
spec: {postgresql: {parameters: {max_connections: "77"}}}
---
apiVersion: postgres-operator.crunchydata.com/v1beta1
kind: PostgresCluster
metadata: {name: third}
spec:
  patroni: {dynamicConfiguration: {postgresql: {parameters: {max_connections: 88}}}}
  proxy: {pgBouncer: {replicas: 2, config: {global: {pool_mode: transaction}}}}
"""
    )
    main, other, third = found.servers
    assert (main.max_connections.known, main.lock_timeout_s.known, main.cores.known) == (250, 3, 4)
    assert "main-rw" in main.hosts
    assert (other.max_connections.known, other.statement_timeout_s.known) == (77, None)
    assert (third.max_connections.known, third.statement_timeout_s.known) == (88, math.inf)
    pool, proxy = found.poolers
    assert (pool.pool_mode.known, pool.max_client_conn.known) == ("transaction", 900)
    assert (pool.replicas.known, pool.databases[0].host.known) == (2, "main-rw")
    assert (proxy.replicas.known, proxy.databases[0].host.known) == (2, "third-primary")


# -- the edge --------------------------------------------------------------------------------------


def edge(annotations: str, controller: str = "nginx") -> Gateway:
    (found,) = load(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: shop\n"
        f"  annotations: {{{annotations}}}\n"
        f"spec: {{ingressClassName: {controller}, rules: [{{http: {{paths: [{{backend: "
        "{service: {name: api}}}]}}]}\n"
    ).gateways
    return found


@pytest.mark.parametrize(
    ("annotations", "timeout_s", "attempts"),
    [
        ("", 60, None),
        ('nginx.ingress.kubernetes.io/proxy-read-timeout: "10"', 10, None),
        ("nginx.ingress.kubernetes.io/proxy-next-upstream: 'off'", 60, 1),
        ("nginx.ingress.kubernetes.io/proxy-next-upstream: error timeout non_idempotent", 60, 3),
        (
            "nginx.ingress.kubernetes.io/proxy-next-upstream: error non_idempotent, "
            "nginx.ingress.kubernetes.io/proxy-next-upstream-tries: '2'",
            60,
            2,
        ),
        ("nginx.ingress.kubernetes.io/proxy-read-timeout: hunter2-canary", None, None),
    ],
)
def test_an_ingress_of_nginx(
    annotations: str, timeout_s: float | None, attempts: int | None
) -> None:
    found = edge(annotations)
    assert (found.timeout_s.known, found.attempts.known) == (timeout_s, attempts)
    assert found.upstreams == ("api",)
    assert SECRET not in texts(found)


def test_another_controllers_times_are_not_known() -> None:
    assert not edge("", "alb").timeout_s.is_known
    assert (
        edge("nginx.ingress.kubernetes.io/proxy-read-timeout: '5'", "public").timeout_s.known == 5
    )


# -- Kustomize and Helm ----------------------------------------------------------------------------


def test_a_patch_says_nothing_by_default() -> None:
    found = deployed(workload("{name: api, env: [{name: A, value: b}]}", spec="paused: false"))
    assert not found.replicas.is_known
    assert not found.surge.is_known
    assert found.environment["A"][0] == "b"
    text = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: api}\nspec: {replicas: 6}\n"
    (scale,) = load(text).scales
    assert (scale.of, scale.kind, scale.replicas.known) == ("api", "StatefulSet", 6)


def test_a_kustomization() -> None:
    text = """\
resources: [../../base]
configMapGenerator:
  - name: api
    behavior: merge
    literals:
      - POOL_SIZE=12
      - NAME="shop"
replicas:
  - {name: api, count: 6}
patches:
  - target: {kind: Deployment, name: web}
    patch: |-
      - op: replace
        path: /spec/replicas
        value: 7
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: job}
      spec:
        replicas: 8
  - path: other.yaml
"""
    found = read(kubernetes, "overlays/prod/kustomization.yaml", text)
    (environment,) = found.environments
    assert environment.name == "api"
    assert environment.settings["POOL_SIZE"][0] == "12"
    assert environment.settings["NAME"][0] == "shop"
    scales = {(each.of, each.kind): each.replicas for each in found.scales}
    assert scales["api", "Deployment"].known == scales["api", "StatefulSet"].known == 6
    web, job = scales["web", "Deployment"], scales["job", "Deployment"]
    assert (web.known, line_of(web)) == (7, 15)
    assert (job.known, line_of(job)) == (8, 21)


def test_a_config_map_that_is_made_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "app.env").write_text("POOL_SIZE=9\n", "utf-8")
    text = "configMapGenerator: [{name: app, envs: [app.env, missing.env, ../x.env]}]\n"
    path = tmp_path / "kustomization.yaml"
    (environment,) = kubernetes.load(SourceFile(path, "k8s/kustomization.yaml", text)).environments
    said, place = environment.settings["POOL_SIZE"]
    assert (environment.name, said, place.file) == ("app", "9", "k8s/app.env")


def test_a_helm_template_is_said_to_be_unread() -> None:
    text = "{{- if .Values.x }}\napiVersion: apps/v1\nkind: Deployment\nspec: {{ .Values.y }}\n"
    (unread,) = read(kubernetes, "chart/templates/deployment.yaml", text).unread
    assert "Helm template" in unread.why
    assert unread.line == 3
    other = text.replace("Deployment", "ServiceAccount")
    assert read(kubernetes, "chart/templates/account.yaml", other) == Reading()
    whole = workload(APP)
    assert read(kubernetes, "chart/templates/whole.yaml", whole).deployments


# -- our own ---------------------------------------------------------------------------------------


def ours(path: str) -> Reading:
    return load((OURS / path).read_text("utf-8"), f"deploy/kubernetes/{path}")


def test_our_own_base_is_understood() -> None:
    auth, gateway, settings = (
        ours(f"base/{name}.yaml") for name in ("auth", "gateway", "kustomization")
    )
    (service,) = auth.deployments
    (chain,) = joined([auth, settings], Declared())
    ((_, pool),) = chain.pools()
    assert (service.replicas.known, service.surge.known) == (2, 0)
    assert service.environment_files == ("auth",)
    assert pool.size.known == 10, "of the ConfigMap that it names"
    assert (gateway.deployments[0].replicas.known, gateway.deployments[0].surge.known) == (1, 1)
    (edge_,) = settings.gateways
    assert edge_.timeout_s.known == 6
    assert set(edge_.upstreams) <= set(service.hosts)


def test_our_own_overlays_are_understood() -> None:
    production = ours("overlays/production-like/kustomization.yaml")
    assert {each.of: each.replicas.known for each in production.scales} == {"auth": 6}
    assert production.gateways == (), "it changes one, and makes none"
    (scale,) = ours("overlays/production-like/gateway-autoscaler.yaml").scales
    assert (scale.of, scale.replicas.known) == ("gateway", 6)
    (server,) = ours("components/postgres/postgres.yaml").servers
    budget = {"max_connections": ("100", server.place)}
    assert server.max_connections.resolved(budget).known == 100


def test_nothing_of_ours_is_unread() -> None:
    for path in sorted(OURS.rglob("*.yaml")):
        assert ours(str(path.relative_to(OURS))).unread == ()


# -- what is not understood ------------------------------------------------------------------------


def test_no_password_is_in_what_is_read() -> None:
    found = load(
        workload(
            f"{{name: api, image: app, env: [{{name: DB_PASSWORD, value: {SECRET}}},"
            f" {{name: URL, value: 'postgresql://u:{SECRET}@db/x'}}]}}"
        )
        + f"---\nkind: Secret\napiVersion: v1\nstringData: {{password: {SECRET}}}\n"
        + "---\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\n"
        + f"data: {{DB_PASSWORD: {SECRET}, URL: 'postgresql://u:{SECRET}@db/x'}}\n"
    )
    assert found.deployments[0].environment["URL"][0] == "postgresql://u@db/x"
    assert SECRET not in texts(found)


@pytest.mark.parametrize(
    "text",
    [
        "kind: Deployment\napiVersion: [1\n",
        "kind: ConfigMap\napiVersion: v1\ndata: {a: *hunter2-canary}\n",
        "apiVersion: v1\nkind: &a [*a]\n",
    ],
)
def test_what_is_not_understood_is_said(text: str) -> None:
    (unread,) = load(text).unread
    assert "YAML" in unread.why or "contains itself" in unread.why
    assert SECRET not in unread.why


def test_a_config_map_within_itself_ends() -> None:
    text = "x"
    for _ in range(30):
        text = "apiVersion: v1\nkind: ConfigMap\ndata:\n  a.yaml: |\n" + "".join(
            f"    {line}\n" for line in text.splitlines()
        )
    load(text)


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    for head in ("apiVersion: v1\nkind: Deployment\n", "apiVersion: v1\nkind: ConfigMap\ndata:\n"):
        kubernetes.load(source("x.yaml", head + text))
    kubernetes.load(source("kustomization.yaml", text))


KEYS = [
    "metadata",
    "name",
    "spec",
    "replicas",
    "template",
    "containers",
    "image",
    "env",
    "value",
    "valueFrom",
    "envFrom",
    "data",
]
KEYS += [
    "configMapKeyRef",
    "key",
    "strategy",
    "rollingUpdate",
    "maxSurge",
    "selector",
    "labels",
    "rules",
    "http",
    "paths",
]
KEYS += [
    "scaleTargetRef",
    "maxReplicas",
    "patches",
    "patch",
    "target",
    "literals",
    "configMapGenerator",
    "items",
]
VALUES: Any = st.recursive(
    st.sampled_from(["api", "1", "25%", "postgres", "$(X)", "", "a\nb: c", "- op: x\n  path: y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=12,
)
KINDS = (*kubernetes._LOADERS, *kubernetes.OPERATED, "Service", "List")


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_no_shape_makes_it_fall(kind: str, shape: dict[str, Any]) -> None:
    for version in ("v1", "postgresql.cnpg.io/v1", "acid.zalan.do/v1"):
        text = json.dumps({"apiVersion": version, "kind": kind, **shape})
        kubernetes.load(source("x.json", text))
        kubernetes.load(source("kustomization.yaml", json.dumps(shape)))
