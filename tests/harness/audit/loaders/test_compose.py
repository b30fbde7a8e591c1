"""Compose files: programs, PostgreSQL, PgBouncer and exporters with what they are told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.chain import Declared
from harness.audit.joining.join import joined
from harness.audit.loaders import compose
from harness.audit.parts import Workload
from harness.audit.reading import Deployment, Reading, Runtime
from harness.audit.values import Value
from tests.harness.audit.joining.pieces import environment
from tests.harness.audit.loaders.reading import SECRET, read, source, texts


def load(text: str, name: str = "app/compose.yaml") -> Reading:
    return read(compose, name, text)


def service(text: str, name: str = "web") -> Reading:
    """A file of one service, whose lines begin at the fourth column."""
    lines = "\n".join(f"    {line}" for line in text.strip().splitlines())
    return load(f"services:\n  {name}:\n{lines}\n")


def deployed(text: str) -> Deployment:
    (found,) = service(text).deployments
    return found


def workloads(*readings: Reading) -> tuple[Workload, ...]:
    """What the chain has of them."""
    (chain,) = joined(readings, Declared())
    return chain.workloads


def place_of(value: Value[Any]) -> tuple[int, str]:
    assert value.place is not None
    return value.place.line, value.place.key


AUTH = """\
x-common: &common
  restart: "no"
services:
  api:
    <<: *common
    image: registry.example/auth:1
    environment:
      AUTH_DATABASE_URL: postgresql://auth:hunter2-canary@${HOST:-db}/auth
      AUTH_POOL__SIZE: ${POOL_SIZE:-12}
      AUTH_POOL__MAX_OVERFLOW: ${OVERFLOW}
      AUTH_WORK_MS: "50"
    deploy: {replicas: 3}
  edge:
    image: registry.example/gateway:1
    environment:
      - 'GATEWAY_UPSTREAMS=[{"name": "a", "url": "http://api:8000"}]'
      - GATEWAY_TIMEOUT_S=8
"""


def test_an_auth_service_is_known_by_its_environment() -> None:
    found = load(AUTH)
    (api,), (edge,) = workloads(found), found.gateways
    assert (api.place.line, edge.place.line) == (4, 13), "where its name stands"
    (pool,) = api.pools
    assert (api.replicas.known, api.hold_s.known, api.hosts) == (3, 0.05, ("api",))
    assert api.processes.known == 1
    assert pool.size.known == 12, "a variable's default holds"
    assert place_of(pool.size) == (9, "AUTH_POOL__SIZE")
    assert not pool.max_overflow.is_known, "nobody knows what OVERFLOW will be"
    assert "filled in elsewhere" in pool.max_overflow.why
    assert pool.timeout_s.origin == "default"
    assert pool.target.host.known == "db"
    assert (edge.timeout_s.known, edge.upstreams) == (8, ("api",))


def test_what_its_environment_does_not_say_another_file_may() -> None:
    beside = environment("app/.env", AUTH_POOL__TIMEOUT_S="2", POOL_SIZE="7")
    (api,) = workloads(load(AUTH), beside)
    (pool,) = api.pools
    assert (pool.timeout_s.known, pool.size.known) == (30, 7), "its .env fills in what is asked for"
    named = AUTH.replace(
        "    environment:\n      AUTH", "    env_file: .env\n    environment:\n      AUTH"
    )
    (api,) = workloads(load(named), beside)
    assert api.pools[0].timeout_s.known == 2


def test_an_auth_service_has_the_one_pool_that_it_is_told_of() -> None:
    told = AUTH.replace(
        "AUTH_WORK_MS", "AUTH_POOL__IMPLEMENTATION: psycopg-pool\n      AUTH_WORK_MS"
    )
    (api,) = workloads(load(told))
    assert [pool.implementation for pool in api.pools] == ["psycopg-pool"]
    (api,) = workloads(load(told.replace("psycopg-pool", "$KIND")))
    kinds = [pool.implementation for pool in api.pools]
    assert kinds == ["sqlalchemy", "sqlalchemy", "psycopg-pool", "none"], "any of them"
    assert len({branch.choice for pool in api.pools for branch in pool.branches}) == 1


def test_our_own_compose_file_is_understood() -> None:
    text = (Path(__file__).parents[4] / "docker-compose.yml").read_text("utf-8")
    found = load(text, "docker-compose.yml")
    ours = workloads(found)
    assert [each.name for each in ours] == ["auth-1", "auth-2"]
    assert [len(each.pools) for each in ours] == [1, 1]
    (server,), (pooler,), (gateway,), (monitor,) = (
        found.servers,
        found.poolers,
        found.gateways,
        found.monitors,
    )
    assert (server.grant.known, server.cores.known) == (95, 1)
    assert (pooler.max_client_conn.known, pooler.databases[0].host.known) == (1000, "postgres")
    assert (gateway.timeout_s.known, gateway.upstreams) == (6, ("auth-1", "auth-2"))
    assert monitor.user.known == "monitor"
    names = {each.name for each in found.deployments}
    assert names == {"auth-1", "auth-2", "locust-master", "locust-worker"}
    assert found.unread == ()


@pytest.mark.parametrize("form", ["TWO: '2'\n  ONE: 1", "[TWO=2, ONE=1]", "\n  - TWO=2\n  - ONE=1"])
def test_both_forms_of_an_environment(form: str) -> None:
    form = form if form.startswith(("[", "\n")) else f"\n  {form}"
    found = deployed(f"image: app\nenvironment: {form}")
    assert {key: text for key, (text, _) in found.environment.items()} == {"ONE": "1", "TWO": "2"}


def test_a_variable_without_a_value_is_the_shells() -> None:
    found = deployed('image: app\nenvironment:\n  SHELL_S:\n  EMPTY: ""\n  COST: $$5')
    assert {key: text for key, (text, _) in found.environment.items()} == {
        "SHELL_S": "${SHELL_S}",
        "EMPTY": "",
        "COST": "$5",
    }


@pytest.mark.parametrize(
    ("said", "paths"),
    [
        (".env", ("app/.env",)),
        ("[../common.env, web.env]", ("common.env", "app/web.env")),
        ("[{path: ./web.env, required: false}]", ("app/web.env",)),
    ],
)
def test_files_of_an_environment(said: str, paths: tuple[str, ...]) -> None:
    assert deployed(f"image: app\nenv_file: {said}").environment_files == paths


@pytest.mark.parametrize(
    ("said", "folder", "dockerfile"),
    [
        ("build: .", "app", "app/Dockerfile"),
        ("build: ../api", "api", "api/Dockerfile"),
        (
            "build: {context: ./web, dockerfile: ../prod.Dockerfile}",
            "app/web",
            "app/prod.Dockerfile",
        ),
        ("build: {context: .., dockerfile: web/Dockerfile}", "web", "web/Dockerfile"),
        ("build: {context: .., dockerfile: docker/web/x}", ".", "docker/web/x"),
        ("build: {dockerfile_inline: FROM x}", "app", "app/Dockerfile"),
        ("build: {context: ., target: Web}", "app", "app/Dockerfile#web"),
    ],
)
def test_the_folder_it_is_built_from_has_its_images_variables(
    said: str, folder: str, dockerfile: str
) -> None:
    found = deployed(said)
    assert found.folder == folder
    assert found.environment_files == (dockerfile,)


@pytest.mark.parametrize("said", ["https://example.com/x.git", "git@example.com:x", "${CONTEXT}"])
def test_what_is_built_from_elsewhere_has_no_folder_here(said: str) -> None:
    assert deployed(f"build: {said}").folder == ""


@pytest.mark.parametrize(
    "said",
    [
        "command: gunicorn -w 4 app",
        "command: [gunicorn, -w, '4', app]",
        "command: >-\n  gunicorn\n  -w 4 app",
        "entrypoint: [sh, -c]\ncommand: ['sleep 1; exec gunicorn -w 4 app']",
        "command: gunicorn -w $${WORKERS:-4} app",
        "entrypoint: ./docker-entrypoint.sh\ncommand: gunicorn -w 4 app",
    ],
)
def test_its_command_is_its_runtime(said: str) -> None:
    runtime = deployed(f"build: .\n{said}").runtime
    assert isinstance(runtime, Runtime)
    assert runtime.processes.known == 4


def test_a_command_that_is_not_known_is_not_the_images() -> None:
    runtime = deployed("build: .\ncommand: ./start").runtime
    assert runtime is not None
    assert "start" in runtime.processes.why
    of_an_image = deployed("image: x\ncommand: ./start").runtime
    assert of_an_image is not None
    assert (of_an_image.argument, of_an_image.processes.is_known) == ("start", False)
    assert service("build: .\ncommand: alembic upgrade head").deployments == ()


def test_a_command_of_several_lines_is_read_with_them() -> None:
    found = deployed("build: .\ncommand: >-\n  gunicorn\n  -w 4\n  app").runtime
    assert found is not None
    assert place_of(found.processes) == (6, "--workers")


@pytest.mark.parametrize(
    ("said", "replicas"),
    [
        ("", 1),
        ("deploy: {replicas: 3}", 3),
        ("scale: 2", 2),
        ("deploy: {replicas: '${N:-5}'}", 5),
        ("deploy: {replicas: '${N}'}", None),
        ("deploy: {replicas: '${N:?say it}'}", None),
        ("deploy: {mode: global}", None),
        ("deploy: {replicas: -1}", None),
        ("deploy: {replicas: hunter2-canary}", None),
    ],
)
def test_how_many_there_are(said: str, replicas: int | None) -> None:
    found = deployed(f"image: app\n{said}").replicas
    assert found.known == replicas
    assert SECRET not in found.why


@pytest.mark.parametrize(
    ("said", "surge"),
    [
        ("", 0),
        ("deploy: {update_config: {order: start-first}}", 1),
        ("deploy: {update_config: {order: start-first, parallelism: 2}}", 2),
        ("deploy: {update_config: {order: stop-first, parallelism: 2}}", 0),
    ],
)
def test_an_update_may_start_new_ones_first(said: str, surge: float) -> None:
    assert deployed(f"image: app\n{said}").surge.known == surge


def test_all_its_names() -> None:
    said = "image: app\ncontainer_name: shop\nnetworks:\n  back: {aliases: [api, web]}"
    assert deployed(said).hosts == ("web", "shop", "api")


def test_what_it_extends_is_its_own() -> None:
    found = load(
        "services:\n"
        "  base:\n    image: app\n    environment: {A: 1, B: 1}\n    command: gunicorn -w 4 a\n"
        "  web:\n    extends: base\n    environment: [B=2]\n"
        "  far:\n    extends: {file: other.yaml, service: base}\n    image: x\n"
    )
    web = next(each for each in found.deployments if each.name == "web")
    assert {key: text for key, (text, _) in web.environment.items()} == {"A": "1", "B": "2"}
    assert web.runtime is not None
    assert web.runtime.processes.known == 4


@pytest.mark.parametrize("text", ["a: {extends: a, image: x}", "a: {extends: b}, b: {extends: a}"])
def test_a_circle_of_extends_ends(text: str) -> None:
    load(f"services: {{{text}}}", "compose.yaml")


@pytest.mark.parametrize(
    "image",
    [
        "postgres:18",
        "docker.io/library/postgres",
        "bitnami/postgresql:17",
        "bitnamilegacy/postgresql-repmgr:16",
        "postgis/postgis:16-3.4",
        "timescale/timescaledb-ha:pg17",
        "pgvector/pgvector:pg16",
        "postgres@sha256:0123",
    ],
)
def test_postgresql_by_its_images(image: str) -> None:
    (server,) = service(f"image: {image}\ncommand: -c max_connections=60", "db").servers
    assert (server.name, server.hosts, server.max_connections.known) == ("db", ("db",), 60)
    assert server.superuser_reserved.origin == "default"


def test_an_image_made_of_postgresqls_may_have_other_settings() -> None:
    (server,) = service("image: zulip/zulip-postgresql:14", "db").servers
    assert not server.max_connections.is_known


def test_settings_of_postgresql_by_its_command_and_variables() -> None:
    said = (
        "image: postgres:17\ncpus: 2.5\n"
        "environment: {POSTGRES_INITDB_ARGS: -c max_connections=70}\n"
        "command: >\n  postgres\n  -c statement_timeout=30s\n  --lock-timeout=2s\n"
        "  -c shared_buffers='1GB' -c reserved_connections=${KEPT:-2}"
    )
    (server,) = service(said, "db").servers
    assert (server.max_connections.known, server.statement_timeout_s.known) == (70, 30)
    assert (server.lock_timeout_s.known, server.reserved.known, server.cores.known) == (2, 2, 2.5)
    assert server.idle_in_transaction_timeout_s.known == math.inf
    assert place_of(server.lock_timeout_s) == (9, "lock_timeout")
    bitnami = "image: bitnami/postgresql\nenvironment: {POSTGRESQL_MAX_CONNECTIONS: 300}"
    assert service(bitnami, "db").servers[0].max_connections.known == 300


def test_where_a_file_of_settings_is_mounted_nothing_holds_by_default() -> None:
    for said in (
        "command: postgres -c config_file=/etc/postgresql.conf -c max_connections=60",
        "command: -c max_connections=60\nvolumes: ['./pg.conf:/etc/postgresql/postgresql.conf:ro']",
        "command: -c max_connections=60\nvolumes: [{source: ./conf.d, target: /x/conf.d}]",
    ):
        (server,) = service(f"image: postgres:17\n{said}", "db").servers
        assert server.max_connections.known == 60
        assert not server.statement_timeout_s.is_known


EDOBURU = "{DB_HOST: db, DB_NAME: app, DB_USER: u, POOL_MODE: transaction, MAX_CLIENT_CONN: 300}"
BITNAMI = (
    "{POSTGRESQL_HOST: db, PGBOUNCER_DATABASE: app, POSTGRESQL_USERNAME: u,"
    " PGBOUNCER_POOL_MODE: transaction, PGBOUNCER_MAX_CLIENT_CONN: 300}"
)
OFFICIAL = (
    "{DATABASES_HOST: db, DATABASES_DBNAME: app, DATABASES_USER: u,"
    " PGBOUNCER_POOL_MODE: transaction, PGBOUNCER_MAX_CLIENT_CONN: 300}"
)
BY_URL = (
    "{DATABASE_URL: 'postgres://u:hunter2-canary@db/app', POOL_MODE: transaction,"
    " MAX_CLIENT_CONN: 300}"
)


@pytest.mark.parametrize(
    ("image", "environment"),
    [
        ("edoburu/pgbouncer:v1.24.1-p1", EDOBURU),
        ("bitnami/pgbouncer:1.24.0", BITNAMI),
        ("pgbouncer/pgbouncer:1.24", OFFICIAL),
        ("edoburu/pgbouncer:v1.24.1-p1", BY_URL),
    ],
)
def test_pgbouncer_by_its_images(image: str, environment: str) -> None:
    said = (
        f"image: {image}\nenvironment: {environment}\nulimits: {{nofile: {{soft: 512, hard: 9}}}}"
    )
    (pooler,) = service(said, "bouncer").poolers
    (database,) = pooler.databases
    assert (pooler.pool_mode.known, pooler.max_client_conn.known) == ("transaction", 300)
    assert (pooler.default_pool_size.known, pooler.hosts) == (20, ("bouncer",))
    assert (pooler.open_files.known, pooler.replicas.known) == (512, 1)
    assert pooler.max_prepared_statements.known == 200
    assert (database.host.known, database.name, database.user.known) == ("db", "app", "u")
    assert SECRET not in texts(pooler)


def test_pgbouncer_that_is_told_by_a_file_has_no_defaults() -> None:
    mounted = "image: edoburu/pgbouncer\nvolumes: ['./b.ini:/etc/pgbouncer/pgbouncer.ini']"
    for said in (mounted, "image: own/pgbouncer:3"):
        (pooler,) = service(said, "bouncer").poolers
        assert not pooler.default_pool_size.is_known
        assert pooler.hosts == ("bouncer",)


def test_prepared_statements_depend_on_the_version() -> None:
    said = "environment: {DB_HOST: db}"
    old, new, latest = (
        service(f"image: edoburu/pgbouncer{tag}\n{said}").poolers[0].max_prepared_statements.known
        for tag in (":1.23.1", ":v1.25.0-p1", "")
    )
    assert (old, new, latest) == (0, 200, None)


@pytest.mark.parametrize(
    "variables",
    [
        "{DATA_SOURCE_URI: db/app, DATA_SOURCE_USER: watcher, DATA_SOURCE_PASS: hunter2-canary}",
        "{DATA_SOURCE_NAME: 'postgresql://watcher:hunter2-canary@db:5432/app?sslmode=disable'}",
    ],
)
def test_who_watches(variables: str) -> None:
    said = "image: quay.io/prometheuscommunity/postgres-exporter:v0.17.1\nenvironment: "
    found = service(said + variables, "exporter")
    (monitor,) = found.monitors
    assert (monitor.name, monitor.user.known) == ("exporter", "watcher")
    assert SECRET not in texts(found)


@pytest.mark.parametrize(
    "image",
    [
        "redis:8",
        "rabbitmq:4-management",
        "nginx:1.29-alpine",
        "haproxy:3",
        "traefik:v3",
        "minio/minio",
        "prom/prometheus",
        "dpage/pgadmin4",
        "prometheuscommunity/pgbouncer-exporter",
    ],
)
def test_other_infrastructure_is_none_of_ours(image: str) -> None:
    assert service(f"image: {image}", "x") == Reading()


@pytest.mark.parametrize("name", ["redis-consumer", "vector", "postgres-sync"])
def test_a_program_may_be_called_as_infrastructure_is(name: str) -> None:
    (found,) = service("build: .", name).deployments
    assert found.name == name


def test_an_override_says_nothing_by_default() -> None:
    found = load(
        "services:\n"
        "  web:\n    command: uvicorn app:app --reload\n"
        "  ports:\n    ports: ['80:80']\n"
        "  db:\n    command: postgres -c max_connections=300\n",
        "compose.override.yaml",
    )
    (web,), (db,) = found.deployments, found.servers
    assert not web.replicas.is_known
    assert (db.max_connections.known, db.statement_timeout_s.known) == (300, None)


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("docker-compose.prod.yml", "services: {}", True),
        ("compose.yaml", "services:\n", True),
        ("stack.yml", "services:\n  a:\n    image: x\n", True),
        ("services.yaml", "services:\n  _defaults: {autowire: true}\n", False),
        ("compose.yaml", "version: '3'\n", False),
        ("compose.txt", "services:\n  a:\n    image: x\n", False),
    ],
)
def test_by_name_and_by_content(name: str, text: str, known: bool) -> None:
    assert compose.recognises(source(name, text)) is known


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("services: [\n", "not valid YAML"),
        (f"services: {{}}\n{BOMB}", "aliases written out"),
        ("services: &s\n  a: *s\n", "contains itself"),
        ("services: {}\n---\nservices: {}\n", "one document"),
        ("services: *hunter2-canary\n", "not valid YAML"),
    ],
)
def test_what_is_not_understood_is_said(text: str, why: str) -> None:
    (unread,) = load(text).unread
    assert why in unread.why
    assert SECRET not in unread.why


@pytest.mark.parametrize(
    "text",
    [
        "services:",
        "services: 3",
        "services: [a]",
        "services: {a: }",
        "services: {a: [b]}",
        "services: {a: {image: [], command: {}, environment: 3, deploy: [], volumes: {a: b}}}",
        "services: {a: {build: [], env_file: {}, extends: [], ulimits: {nofile: []}, image: x}}",
        "services: {a: !reset null, b: !override {image: x}, c: {image: !Ref x}}",
    ],
)
def test_odd_shapes_are_no_failure(text: str) -> None:
    load(text)


def test_a_server_may_be_started_from_an_image_that_another_service_builds() -> None:
    found = load(
        "services:\n"
        "  base:\n    build: {context: ./shop, dockerfile: Dockerfile.dev}\n    image: shop:dev\n"
        "  web:\n    image: shop:dev\n    command: gunicorn -w 2 shop.wsgi\n    env_file: web.env\n"
        "  fake:\n    image: shop:dev\n    command: python /tools/fake_statsd.py\n"
        "  other:\n    image: shop:prod\n    command: gunicorn -w 2 shop.wsgi\n"
    )
    folders = {each.name: each.folder for each in found.deployments}
    assert folders == {"base": "app/shop", "web": "app/shop", "fake": "", "other": ""}
    (web,) = (each for each in found.deployments if each.name == "web")
    assert web.environment_files == ("app/shop/Dockerfile.dev", "app/web.env")
    assert web.runtime is not None
    assert web.runtime.folder == "app/shop"


def test_no_password_is_in_what_is_read() -> None:
    found = load(
        "services:\n"
        "  web:\n    build: .\n    environment:\n"
        f"      DATABASE_URL: postgresql://u:{SECRET}@db/x\n      DB_PASSWORD: {SECRET}\n"
        f"      API_TOKEN: {SECRET}\n      DSN: host=db password={SECRET}\n"
        f"    command: java -Dspring.datasource.password={SECRET} -jar a.jar\n"
        f"  db:\n    image: postgres\n    environment: [POSTGRES_PASSWORD={SECRET}]\n"
        f"    command: postgres -c max_connections={SECRET}\n"
        f"  b:\n    image: edoburu/pgbouncer\n    environment: [DB_PASSWORD={SECRET}, DB_HOST=d]\n"
    )
    assert SECRET not in texts(found)
    (web,) = found.deployments
    assert web.environment["DATABASE_URL"][0] == "postgresql://u@db/x"


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(text: str) -> None:
    for whole in (f"services:\n{text}", f"services:\n  a:\n    image: {text}\n    command: {text}"):
        compose.load(source("compose.yaml", whole))


KEYS = ("image", "build", "command", "environment", "env_file", "deploy", "scale", "extends")
VALUES: Any = st.recursive(
    st.sampled_from(["postgres", "edoburu/pgbouncer", "a", "1", "${X:-2}", "a=b", "", "~"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from((*KEYS, "context", "replicas", "soft", "file")), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_no_shape_makes_it_fall(shape: dict[str, Any]) -> None:
    import json

    compose.load(source("compose.yaml", f"services: {json.dumps({'a': shape, 'b': shape})}"))


@pytest.mark.parametrize(
    "image",
    ["mysql:8.4", "mariadb", "bitnami/mariadb-galera", "dolthub/dolt-sql-server", "mongo:8"],
)
def test_a_database_of_another_product_is_kept_for_those_that_connect_to_it(image: str) -> None:
    found = load(
        f"services:\n  db: {{image: {image}}}\n"
        "  blog: {image: wordpress, environment: {WORDPRESS_DB_HOST: db}}\n"
        "  shop: {image: shop, environment: {SHOP_DB_HOST: elsewhere}}\n"
    )
    assert [(each.name, each.hosts) for each in found.others] == [("db", ("db",))]
    assert [each.name for each in workloads(found)] == ["shop"]


def test_a_service_knows_its_dockerfile() -> None:
    assert deployed("build: .").image_file == "app/Dockerfile"
    assert deployed("build: {context: .., dockerfile: ci/Dockerfile.e2e}").image_file == (
        "ci/Dockerfile.e2e"
    )
    assert deployed("image: shop").image_file == ""
