"""Code, how it is served, and where it runs become workloads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.audit.chain import Chain, Declared
from harness.audit.joining.join import joined
from harness.audit.parts import Target, Workload
from harness.audit.reading import Image, Reading, Runtime
from harness.audit.values import Place, Value, Variable
from tests.harness.audit.joining.pieces import (
    asked_for,
    at,
    code,
    deployment,
    environment,
    runtime,
    setting,
    settings,
)


def chain(*readings: Reading) -> Chain:
    (found,) = joined(readings, Declared())
    return found


def one(*readings: Reading) -> Workload:
    (found,) = chain(*readings).workloads
    return found


def size(workload: Workload) -> Value[float]:
    (pool,) = workload.pools
    return pool.size


def reading(**parts: Any) -> Reading:
    return Reading(**{name: (part,) for name, part in parts.items()})


def test_code_runs_where_the_image_is_built_from_its_folder() -> None:
    found = chain(
        reading(codes=code("api/app/db.py"), deployments=deployment("api", folder="api")),
        reading(
            codes=code("mail/db.py", size=at(3.0)), deployments=deployment("mail", folder="mail")
        ),
    )
    assert [(each.name, size(each).known) for each in found.workloads] == [("api", 10), ("mail", 3)]
    assert [each.instances.is_known for each in found.workloads] == [False, False]


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("DB_HOST", True),
        ("DB_POSTGRESDB_HOST", True),
        ("KC_DB_URL_HOST", True),
        ("GITEA__database__HOST", True),
        ("REDIS_HOST", False),
    ],
)
def test_an_image_is_told_of_its_database_by_the_name_of_a_variable(
    variable: str, told: bool
) -> None:
    found = chain(reading(deployments=deployment("web", variables={variable: "db"})))
    assert [each.name for each in found.workloads] == (["web"] if told else [])


def test_what_changes_the_schema_serves_nobody() -> None:
    found = chain(
        reading(codes=code("shop/plugins/migrations.py"), deployments=deployment(folder="."))
    )
    assert found.workloads == ()


@pytest.mark.parametrize(
    ("where", "runs_it"), [("compose.yaml", False), ("examples/shop/compose.yaml", True)]
)
def test_an_example_is_run_by_what_is_shown_with_it(where: str, runs_it: bool) -> None:
    """An image of the project itself, built around the folder of examples, does not run them."""
    found = chain(
        reading(
            codes=code("examples/shop/db.py"),
            deployments=deployment("api", where, folder=".", variables={"DB_HOST": "db"}),
        )
    )
    names = [(each.name, each.pools[0].size.known) for each in found.workloads]
    assert (("api", 10.0) in names) is runs_it


def test_the_nearest_folder_holds() -> None:
    found = chain(
        reading(codes=code("api/db.py"), deployments=deployment("api", folder="api")),
        reading(deployments=deployment("tools", folder=".")),
    )
    assert [each.name for each in found.workloads] == ["api"]


def test_two_deployments_of_one_image_have_the_pool_each() -> None:
    found = chain(
        Reading(
            codes=(code(),),
            deployments=(deployment("web", folder="."), deployment("worker", folder=".")),
        )
    )
    assert [(each.name, size(each).known) for each in found.workloads] == [
        ("web", 10),
        ("worker", 10),
    ]


def test_without_a_folder_the_variables_tell() -> None:
    found = one(
        Reading(codes=(code(size=asked_for("DB_POOL", 5.0)),)),
        Reading(
            deployments=(
                deployment("cache"),
                deployment("api", variables={"DB_POOL": "12"}),
            )
        ),
    )
    assert (found.name, size(found).known) == ("api", 12)
    place = size(found).place
    assert place is not None
    assert (place.file, place.key) == ("compose.yaml", "DB_POOL")


def test_code_of_several_programs_is_not_put_anywhere() -> None:
    found = chain(
        Reading(codes=(code("a/db.py"), code("b/db.py"))),
        Reading(runtimes=(runtime("a/Dockerfile"), runtime("b/Dockerfile"))),
        Reading(deployments=(deployment("x", variables={"URL": "postgresql://db/app"}),)),
    )
    assert sorted(each.name for each in found.workloads) == ["a/db.py", "b/db.py", "x"]
    x = next(each for each in found.workloads if each.name == "x")
    assert "no file that was read says what pool" in size(x).why


def test_a_service_that_has_no_database_is_none_of_ours() -> None:
    assert chain(reading(deployments=deployment("cache"))).workloads == ()


@pytest.mark.parametrize(
    ("text", "known"), [("${SIZE:-12}", 12), ("${SIZE}", 7), ("$(OTHER)", 9), ("${NOBODY}", None)]
)
def test_placeholders_are_filled_from_the_file_beside(text: str, known: float | None) -> None:
    beside = {"SIZE": "7"} if text == "${SIZE}" else {}
    found = one(
        Reading(codes=(code(size=asked_for("DB_POOL", 5.0)),)),
        environment(".env", **beside),
        reading(deployments=deployment(variables={"DB_POOL": text, "OTHER": "9"})),
    )
    assert size(found).known == known


def test_a_variable_that_names_itself_ends() -> None:
    found = one(
        Reading(codes=(code(size=asked_for("A")),)),
        reading(deployments=deployment(variables={"A": "${B}", "B": "${A}"})),
    )
    assert not size(found).is_known


def test_a_setting_is_read_through_its_declaration() -> None:
    asked = code(size=asked_for("pool_size", attribute=True))
    declared = reading(settings=setting("pool_size", "APP_POOL_SIZE", "8"))
    alone = one(reading(codes=asked), declared)
    assert size(alone).known == 8
    place = size(alone).place
    assert place is not None
    assert place.file == "app/settings.py"
    deployed = one(
        reading(codes=asked),
        declared,
        reading(deployments=deployment(variables={"APP_POOL_SIZE": "20"})),
    )
    assert size(deployed).known == 20


def test_a_secret_in_the_place_of_a_number_is_not_repeated() -> None:
    found = one(
        Reading(codes=(code(size=asked_for("DB_POOL")),)),
        reading(deployments=deployment(variables={"DB_POOL": "hunter2-canary"})),
    )
    assert not size(found).is_known
    assert "hunter2" not in size(found).why


def test_processes_come_from_the_command_then_from_the_files_of_its_folder() -> None:
    parts = Reading(codes=(code(),))
    by_file = one(parts, reading(runtimes=runtime("gunicorn.conf.py", threads=at(8.0))))
    assert (by_file.processes.known, by_file.pools[0].threads.known) == (4, 8)
    own = runtime("compose.yaml", processes=at(2), settings_file="gunicorn.conf.py")
    by_command = one(
        parts,
        reading(runtimes=runtime("gunicorn.conf.py", threads=at(8.0))),
        reading(deployments=deployment(folder=".", runtime=own)),
    )
    assert (by_command.processes.known, by_command.pools[0].threads.known) == (2, 8)


def test_threads_say_nothing_of_an_async_pool() -> None:
    found = one(
        Reading(codes=(code(is_async=at(True)),)),
        reading(runtimes=runtime(threads=at(8.0))),
    )
    assert not found.pools[0].threads.is_known


def test_a_connection_for_each_thread_is_a_pool_of_that_size() -> None:
    unsaid: Value[float] = Value.unknown("one connection for each thread")
    found = one(
        Reading(codes=(code(implementation="django", size=unsaid),)),
        reading(runtimes=runtime(threads=at(6.0))),
    )
    assert found.pools[0].capacity.known == 6


def test_code_whose_pool_a_configuration_file_sizes_is_one_pool() -> None:
    unsaid: Value[float] = Value.unknown("it is computed")
    found = one(
        Reading(codes=(code(size=unsaid), code("config.toml", size=at(7.0)))),
        reading(deployments=deployment(folder=".")),
    )
    assert [pool.size.known for pool in found.pools] == [7]
    assert found.pools[0].implementation == "sqlalchemy"


@pytest.mark.parametrize(
    ("code_size", "product"),
    [(asked_for("DB_POOL"), "sqlalchemy"), (Value.unknown("it is computed"), "hikari")],
)
def test_another_programs_file_sizes_nothing(code_size: Value[float], product: str) -> None:
    """A variable decides the one; the other is a Java program's."""
    found = chain(
        Reading(codes=(code("api/db.py", size=code_size),)),
        Reading(codes=(code("shop/application.yml", size=at(7.0), implementation=product),)),
    )
    assert sorted(size(each).known or 0 for each in found.workloads) == [0, 7]


def test_migrations_serve_nobody() -> None:
    assert chain(Reading(codes=(code("alembic/env.py"),))).workloads == ()


def test_a_template_counts_only_without_the_real_one() -> None:
    asked = Reading(codes=(code(size=asked_for("SIZE")),))
    assert size(one(asked, environment(".env.example", SIZE="3"))).known == 3
    both = one(asked, environment(".env.example", SIZE="3"), environment(".env", SIZE="4"))
    assert size(both).known == 4


def test_a_variable_of_its_own_name_asks_the_file_beside() -> None:
    found = one(
        Reading(codes=(code(size=asked_for("SIZE")),)),
        environment(".env", SIZE="6"),
        reading(deployments=deployment(variables={"SIZE": "${SIZE:-4}"})),
    )
    assert size(found).known == 6


def test_another_start_says_nothing_of_this_one() -> None:
    """An image's CMD has four workers; the deployment starts it with a command of its own."""
    own = runtime("compose.yaml", processes=Value.default(1, "uvicorn"))
    parts = (Reading(codes=(code(),)), reading(runtimes=runtime("Dockerfile")))
    assert (
        one(*parts, reading(deployments=deployment(folder=".", runtime=own))).processes.known == 1
    )
    unsaid: Value[int] = Value.unknown("it is a developer's")
    own = runtime("compose.yaml", processes=unsaid)
    assert (
        one(*parts, reading(deployments=deployment(folder=".", runtime=own))).processes.known == 4
    )


@pytest.mark.parametrize(
    ("name", "text", "connected"),
    [
        ("DB_HOST", "db", True),
        ("PAPERLESS_DBHOST", "db", True),
        ("PGHOST", "db", True),
        ("ANYTHING", "postgresql+psycopg://app@db/app", True),
        ("REDIS_HOST", "cache", False),
        ("PHOST", "db", False),
    ],
)
def test_a_database_is_known_by_what_an_image_is_told(
    name: str, text: str, connected: bool
) -> None:
    found = chain(reading(deployments=deployment(variables={name: text}))).workloads
    assert bool(found) is connected


@pytest.mark.parametrize(("known", "overflow"), [({"overflow": "2"}, 2), ({"other": "2"}, None)])
def test_code_reads_its_configuration_by_its_names(
    known: dict[str, str], overflow: float | None
) -> None:
    """`pool: {size: 5, overflow: 2}`, of which only the code says that it is max_overflow."""
    unsaid: Value[float] = Value.unknown("whose defaults hold is not to be seen")
    says = replace(
        code("config/app.yaml", implementation="unknown", size=at(5.0), max_overflow=unsaid),
        said=settings("config/app.yaml", **known),
    )
    makes = code(
        size=asked_for("size", attribute=True), max_overflow=asked_for("OVERFLOW", attribute=True)
    )
    found = one(Reading(codes=(says, makes)))
    (pool,) = found.pools
    assert (pool.size.known, pool.max_overflow.known) == (5, overflow)


@pytest.mark.parametrize(
    ("made", "size_of_it"),
    [
        ({"size": Value.unknown("it may be in the ** of the call")}, [7]),
        ({"size": at(3.0)}, [3]),
        ({"size": at(3.0), "implementation": "asyncpg"}, [3, 7]),
        ({}, [7]),
    ],
)
def test_what_code_is_given_is_no_second_pool(
    made: dict[str, Any], size_of_it: list[float]
) -> None:
    """An ini file's `sqlalchemy.url`, whether or not `engine_from_config` reads it."""
    given = replace(code("production.ini", size=at(7.0)), given=True)
    own = Reading(codes=(code(**made),)) if made else Reading()
    found = chain(Reading(codes=(given,)), own).pools()
    assert sorted(pool.size.known or 0 for _, pool in found) == size_of_it


def test_what_a_settings_file_says_and_nobody_can_read_is_not_its_programs_default() -> None:
    """Workers that are counted when they start were taken for one."""
    own = runtime(
        "Dockerfile",
        processes=Value.default(1, "gunicorn"),
        threads=Value.default(1.0, "gunicorn"),
        settings_file="gunicorn.conf.py",
    )
    counted = Value.unknown("workers is counted from the cores", Place("gunicorn.conf.py", 2))
    file = runtime("gunicorn.conf.py", processes=counted, threads=Value.default(1.0, "gunicorn"))
    deployed = deployment(folder=".", runtime=own, variables={"WORKERS": "6"})
    found = one(Reading(codes=(code(),)), reading(runtimes=file), reading(deployments=deployed))
    assert (found.processes.known, found.processes.why) == (None, counted.why)
    assert found.pools[0].threads.known == 1
    asked = replace(file, processes=counted.decided_by(Variable("WORKERS", int)))
    found = one(Reading(codes=(code(),)), reading(runtimes=asked), reading(deployments=deployed))
    assert found.processes.known == 6
    stated = replace(own, processes=at(3))
    deployed = replace(deployed, runtime=stated)
    found = one(Reading(codes=(code(),)), reading(runtimes=file), reading(deployments=deployed))
    assert found.processes.known == 3, "the command line holds over the file"


def test_a_frameworks_threads_are_asked_after_the_settings_file() -> None:
    own = runtime(
        "Dockerfile",
        processes=at(2),
        threads=Value.default(1.0, "gunicorn"),
        settings_file="gunicorn.conf.py",
    )
    loop = Value.unknown("its workers run an event loop", Place("gunicorn.conf.py", 3))
    application = Runtime(
        place=Place("app/main.py", 1),
        folder="app",
        threads=Value.default(40.0, "AnyIO"),
        serves=at(True),
    )
    found = one(
        Reading(codes=(code(),)),
        reading(runtimes=runtime("gunicorn.conf.py", processes=at(2), threads=loop)),
        reading(runtimes=application),
        reading(deployments=deployment(folder=".", runtime=own)),
    )
    assert found.pools[0].threads.known == 40


def test_a_limit_that_a_setting_decides_is_asked_for_behind_any_server() -> None:
    own = runtime("app.service", processes=at(3), threads=Value.unknown("any number"))
    application = Runtime(
        place=Place("app/main.py", 1),
        folder="app",
        threads=asked_for("THREADS", attribute=True),
        serves=at(True),
    )
    found = one(
        Reading(codes=(code(),)),
        reading(runtimes=application),
        reading(settings=setting("THREADS", "APP_THREADS", "8")),
        reading(deployments=deployment(folder=".", runtime=own)),
    )
    assert found.pools[0].threads.known == 8


def test_a_url_that_other_code_connects_to_is_no_pool_beside() -> None:
    given = replace(code("app/settings.py"), given=True)
    asyncs = code("app/db.py", implementation="asyncpg", size=at(7.0))
    assert size(one(reading(codes=given), reading(deployments=deployment()))).known == 10
    both = one(reading(codes=given), reading(codes=asyncs), reading(deployments=deployment()))
    assert size(both).known == 7


@pytest.mark.parametrize("folder", ["scripts", "benchmarks", "app/migrations"])
def test_what_is_run_by_hand_serves_nobody(folder: str) -> None:
    aside = code(f"{folder}/load.py", size=at(70.0))
    found = one(reading(codes=code()), reading(codes=aside), reading(deployments=deployment()))
    assert size(found).known == 10


BY_URL: Value[str] = Value.unknown("filled in", Place("app/db.py", 3), Variable("URL", str))
TOLD = {"URL": "postgresql://db/app"}


def beside(**other: Any) -> list[str]:
    """Who runs the code of a folder from which ``web``, which has its address, is built as well."""
    web = deployment("web", folder=".", image_file="Dockerfile", variables=TOLD)
    also = deployment("also", **{"folder": ".", "image_file": "Dockerfile", **other})
    found = chain(
        Reading(codes=(code(target=Target(host=BY_URL)),), deployments=(web, also)),
        reading(runtimes=runtime()),
    )
    return [each.name for each in found.workloads]


NO_SERVER = runtime("compose.yaml", serves=Value.unknown("a script"))


def test_what_starts_something_else_without_the_databases_address_is_not_the_program() -> None:
    assert beside(image_file="ci/Dockerfile.cypress") == ["web"]
    assert beside(runtime=NO_SERVER) == ["web"]


def test_what_may_be_the_program_runs_its_code() -> None:
    both = ["web", "also"]
    assert beside() == both, "the same image, as it starts by itself"
    assert beside(runtime=NO_SERVER, variables=TOLD) == both, "its variables have the address"
    assert beside(runtime=runtime("compose.yaml")) == both, "a server"
    assert beside(runtime=NO_SERVER, environment_files=("secrets.env",)) == both, "not read"


def test_where_nobody_is_told_an_address_all_run_the_code() -> None:
    services = (
        deployment("web", folder=".", runtime=NO_SERVER),
        deployment("also", folder=".", image_file="Dockerfile.also"),
    )
    found = chain(Reading(codes=(code(target=Target(host=BY_URL)),), deployments=services))
    assert [each.name for each in found.workloads] == ["web", "also"]


def test_what_another_dockerfile_starts_is_not_how_an_image_is_served() -> None:
    names = ("Dockerfile.web", "Dockerfile.jobs")
    images = tuple(
        Image(name=name, place=Place(name), base="python", starts=True) for name in names
    )
    runtimes = (
        runtime("Dockerfile.web", processes=at(2), image="Dockerfile.web"),
        runtime("Dockerfile.jobs", processes=at(9), image="Dockerfile.jobs"),
    )
    found = one(
        Reading(codes=(code(),), images=images, runtimes=runtimes),
        reading(deployments=deployment("jobs", folder=".", image_file="Dockerfile.jobs")),
    )
    assert found.processes.known == 9


STAGES = Reading(
    codes=(code(),),
    images=tuple(
        Image(name=name, place=Place("Dockerfile"), base="python", starts=True)
        for name in ("Dockerfile", "Dockerfile#web")
    ),
    runtimes=(
        runtime("Dockerfile", processes=at(2), image="Dockerfile"),
        runtime("Dockerfile", processes=at(9), image="Dockerfile#web"),
    ),
)


@pytest.mark.parametrize(
    ("image_file", "processes"), [("Dockerfile", 2), ("Dockerfile#web", 9), ("", 2)]
)
def test_an_image_that_ends_with_a_stage_is_started_as_that_stage(
    image_file: str, processes: int
) -> None:
    """And nobody is, who does not name it."""
    web = deployment("web", folder=".", image_file=image_file)
    assert one(STAGES, reading(deployments=web)).processes.known == processes


def test_a_stage_decides_nothing_of_code_that_no_deployment_runs() -> None:
    assert one(STAGES).processes.known == 2
