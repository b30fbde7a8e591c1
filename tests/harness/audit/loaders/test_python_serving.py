"""How a program is served, and what it declares for others: runtimes, settings, histograms."""

from __future__ import annotations

import math

import pytest

from harness.audit.loaders import python
from harness.audit.parts import Histogram
from harness.audit.reading import Runtime, Setting
from harness.audit.values import Place
from tests.harness.audit.loaders.reading import SECRET, read, texts


def runtime(text: str, name: str = "srv/gunicorn.conf.py") -> Runtime:
    (found,) = read(python, name, text).runtimes
    return found


def test_gunicorns_file_says_how_it_serves() -> None:
    found = runtime(
        'bind = ":80"\nworkers = 3\nthreads = 4\nworker_class = "gthread"\ntimeout = 60\n'
        "preload_app = True\n"
    )
    assert (found.folder, found.processes.known, found.threads.known) == ("srv", 3, 4)
    assert (found.preload.known, found.serves.known) == (True, True)
    assert found.processes.place is not None
    assert found.processes.place.line == 2


def test_gunicorn_has_its_defaults() -> None:
    found = runtime('bind = ":80"\n')
    assert (found.processes.known, found.threads.known, found.timeout_s.known) == (1, 1, 30)
    assert found.preload.known is False
    environment = {"WEB_CONCURRENCY": ("5", Place(".env"))}
    assert found.processes.resolved(environment).known == 5


@pytest.mark.parametrize(
    ("said", "threads"),
    [
        ('worker_class = "sync"', 1),
        ('worker_class = "gevent"', 1000),
        ('worker_class = "gevent"\nworker_connections = 50', 50),
        ('worker_class = "uvicorn.workers.UvicornWorker"', None),
        ("worker_class = chosen()", None),
    ],
)
def test_a_worker_works_on_so_many_requests(said: str, threads: float | None) -> None:
    assert runtime(f"{said}\nworkers = 2\n").threads.known == threads


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("timeout = 60", 60),
        ("timeout = 0", math.inf),
        ('timeout = 60\nworker_class = "sync"', 60),
        ('timeout = 60\nworker_class = "gthread"', math.inf),
        ("timeout = 60\nthreads = 4", math.inf),
        ("timeout = 60\nworker_class = chosen()", None),
    ],
)
def test_only_a_sync_worker_is_killed_over_a_request(said: str, limit: float | None) -> None:
    assert runtime(f"{said}\nworkers = 2\n").timeout_s.known == limit


def test_workers_by_cores_are_not_known() -> None:
    found = runtime("import multiprocessing\nworkers = multiprocessing.cpu_count() * 2 + 1\n")
    assert "cores" in found.processes.why


def test_gunicorns_file_is_recognised_by_its_content() -> None:
    text = 'bind = ":80"\nworkers = 2\ntimeout = 5\n'
    assert runtime(text, "conf/server.py").processes.known == 2
    assert read(python, "conf/job.py", "workers = 2\ntimeout = 5\n").runtimes == ()


@pytest.mark.parametrize(
    "text",
    [
        "def post_fork(server, worker):\n    engine.dispose(close=False)\n",
        "@worker_process_init.connect\ndef f(**kwargs):\n    engine.dispose()\n",
        "@worker_process_init.connect(weak=False)\ndef f(**kwargs):\n    engine.dispose()\n",
        "def f(**kwargs):\n    engine.dispose()\nworker_process_init.connect(f)\n",
        "import os\nos.register_at_fork(after_in_child=engine.dispose)\n",
        "import os\nos.register_at_fork(after_in_child=lambda: engine.dispose(close=False))\n",
    ],
)
def test_a_hook_disposes_the_engine(text: str) -> None:
    (code,) = read(python, "gunicorn.conf.py", f"workers = 2\n{text}").codes
    assert code.disposes_after_fork


def test_other_hooks_do_not() -> None:
    text = "workers = 2\ndef post_fork(server, worker):\n    log()\ndef f():\n    e.dispose()\n"
    assert read(python, "gunicorn.conf.py", text).codes == ()


def test_uvicorn_is_run_with_workers() -> None:
    text = 'import uvicorn\nuvicorn.run("app:app", workers=4, limit_concurrency=100)\n'
    found = runtime(text, "main.py")
    assert (found.processes.known, found.threads.known) == (4, 100)
    assert not runtime("import uvicorn\nuvicorn.run(app)\n", "main.py").processes.is_known
    developing = "import uvicorn\nuvicorn.run(app, reload=True, workers=1)\n"
    assert read(python, "main.py", developing).runtimes == ()


def test_an_application_has_anyios_threads() -> None:
    found = runtime("from fastapi import FastAPI\napp = FastAPI()\n", "main.py")
    assert (found.threads.known, found.processes.is_known) == (40, False)
    limit = "current_default_thread_limiter().total_tokens = 12\n"
    text = f"from fastapi import FastAPI\napp = FastAPI()\n{limit}"
    assert runtime(text, "main.py").threads.known == 12
    alone = runtime(limit, "lifespan.py")
    assert (alone.threads.known, alone.place.line) == (12, 1)


def test_a_language_models_tokens_are_no_threads() -> None:
    text = "from fastapi import BackgroundTasks\nusage.total_tokens = 12\n"
    assert read(python, "usage.py", text).runtimes == ()


@pytest.mark.parametrize(
    "said", ["app.conf.worker_concurrency = 6", "app.conf.update(worker_concurrency=6)"]
)
def test_a_job_queue_says_how_many_processes_it_has(said: str) -> None:
    found = runtime(f"from celery import Celery\napp = Celery()\n{said}\n", "tasks.py")
    assert (found.processes.known, found.threads.known, found.serves.known) == (6, 1, False)
    threaded = f"from celery import Celery\napp = Celery()\n{said}\napp.conf.worker_pool = x\n"
    assert read(python, "tasks.py", threaded).runtimes == ()


def settings(text: str) -> dict[str, Setting]:
    found = read(python, "app/config.py", text)
    assert SECRET not in texts(found)
    return {each.name: each for each in found.settings}


SETTINGS = """\
from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, SettingsConfigDict
class Pool(BaseModel):
    size: int = 5
class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="app_", env_nested_delimiter="__")
    pool_timeout: float = 5 * 2
    database_url: str = "postgresql://u:hunter2-canary@db/app"
    max_overflow: int = Field(default=10, validation_alias="OVERFLOW")
    secret_key: str = "hunter2-canary"
    greeting: str = "hunter2-canary"
    pre_ping: bool
    pool: Pool = Pool()
"""


def test_a_settings_class_declares_settings() -> None:
    found = settings(SETTINGS)
    assert (found["pool_timeout"].variable, found["pool_timeout"].text) == (
        "APP_POOL_TIMEOUT",
        "10",
    )
    assert found["pool_timeout"].place.line == 7
    assert found["database_url"].text == "postgresql://u@db:5432/app"
    assert (found["max_overflow"].variable, found["max_overflow"].text) == ("OVERFLOW", "10")
    assert (found["pre_ping"].variable, found["pre_ping"].text) == ("APP_PRE_PING", None)
    assert (found["size"].variable, found["size"].text) == ("APP_POOL__SIZE", "5")
    assert found["secret_key"].text is None


def test_an_older_settings_class_does_too() -> None:
    found = settings(
        "from pydantic import BaseSettings\nclass Base(BaseSettings):\n"
        '    class Config:\n        env_prefix = "X_"\n'
        "class Settings(Base):\n    pool_size: int = 3\n"
    )
    assert (found["pool_size"].variable, found["pool_size"].text) == ("X_POOL_SIZE", "3")


def test_a_class_of_constants_is_a_configuration() -> None:
    found = settings(
        "import os\nfrom dataclasses import dataclass, field\n@dataclass\nclass PoolConfig:\n"
        "    pool_size: int = 5\n"
        '    overflow: int = field(default_factory=lambda: int(os.getenv("O", "3")))\n'
        "    timeout: float = field(default=2.5)\nclass Other:\n    idle: int = 3\n"
    )
    assert set(found) == {"pool_size", "overflow", "timeout"}
    assert (found["overflow"].variable, found["overflow"].text) == ("O", "3")
    assert (found["pool_size"].text, found["timeout"].text) == ("5", "2.5")


@pytest.mark.parametrize(
    "text",
    [
        "class Dev:\n    POOL_SIZE = 5\nclass Production:\n    POOL_SIZE = 20\n",
        "POOL_SIZE = 5\nif PRODUCTION:\n    POOL_SIZE = 20\n",
    ],
)
def test_which_of_several_holds_is_not_guessed(text: str) -> None:
    found = settings(text)["POOL_SIZE"]
    assert (found.variable, found.text) == ("", None)


@pytest.mark.parametrize(
    "returned",
    [
        'PostgresDsn.build(scheme="postgresql+psycopg", username=self.USER, password=self.PW, '
        "host=self.HOST, port=self.PORT, path=self.DB)",
        'MultiHostUrl.build(scheme="postgresql+psycopg", host=self.HOST, port=self.PORT, '
        'path=f"/{self.DB}")',
        'f"postgresql+psycopg://{self.USER}:{self.PW}@{self.HOST}:{self.PORT}/{self.DB}"',
        'str(URL.create("postgresql+psycopg", drivername="postgresql+psycopg", host=self.HOST, '
        "port=self.PORT, database=self.DB))",
    ],
)
def test_a_settings_class_puts_a_url_together(returned: str) -> None:
    found = settings(
        "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n"
        '    HOST: str = "db"\n    PORT: int = 5432\n    DB: str\n    USER: str = "u"\n'
        '    PW: str = "hunter2-canary"\n'
        f"    @property\n    def DATABASE_URI(self) -> str:\n        return {returned}\n"
    )
    expected = "postgresql+psycopg://${HOST:-db}:${PORT:-5432}/${DB}"
    assert found["DATABASE_URI"].text == expected


@pytest.mark.parametrize(
    ("line", "variable", "text"),
    [
        ("POOL_SIZE = 5", "", "5"),
        ('POOL_SIZE = int(os.getenv("P", "5"))', "P", "5"),
        ('POOL_SIZE = os.environ["P"]', "P", None),
        ('DB_HOST = os.getenv("H", "db")', "H", "db"),
        ('DATABASE_URL = f"postgresql://u:{x}@db/app"', "", "postgresql://db/app"),
        (
            "DATABASE_URL = f\"postgresql://u:{p}@{os.getenv('H', 'db')}:{config.PORT}/app?x=1\"",
            "",
            "postgresql://${H:-db}:${unknown}/app?x=1",
        ),
        ('POOL_CACHE_URL = f"redis://u:{x}@db/app"', None, None),
        ('POOL_PASSWORD = os.getenv("P", "hunter2-canary")', None, None),
        ('POOL_TIMEOUT = int(os.getenv("P", "5")) / 2', None, None),
        ('DATABASE_URL = "postgresql://u:hunter2-canary@db/app"', "", "postgresql://u@db:5432/app"),
    ],
)
def test_constants_are_settings(line: str, variable: str | None, text: str | None) -> None:
    found = settings(f"import os\n{line}\n")
    if variable is None:
        assert found == {}
        return
    (setting,) = found.values()
    assert (setting.variable, setting.text, setting.place.line) == (variable, text, 2)


def histograms(arguments: str) -> tuple[Histogram, ...]:
    text = (
        "from prometheus_client import Histogram\nB = (0.5, 2.5, float('inf'))\n"
        f"H = Histogram({arguments})\n"
    )
    return read(python, "metrics.py", text).histograms


@pytest.mark.parametrize(
    ("arguments", "last"),
    [
        ('"pool_wait_seconds", "help", buckets=B', 2.5),
        ('"pool_wait_seconds", "help", ["x"], buckets=[1, 4]', 4),
        ('"pool_wait_seconds", "help"', 10),
        ('"pool_wait_ms", "help", buckets=[100, 2000]', 2),
        ('"pool_wait", "help", unit="seconds", buckets=[1]', 1),
        ('"pool_wait", "help", buckets=[1]', None),
        ('"pool_wait_seconds", "help", buckets=made()', None),
        ('"pool_wait_seconds", "help", buckets=[float("inf")]', None),
        ('"x_seconds", "time to acquire a connection", buckets=[3]', 3),
    ],
)
def test_a_histogram_has_a_last_bucket(arguments: str, last: float | None) -> None:
    (found,) = histograms(arguments)
    assert found.last_bucket_s.known == last
    assert math.inf != last


def test_other_histograms_are_none() -> None:
    text = "from opentelemetry import Histogram\n# prometheus_client\nHistogram('x_seconds', 'x')\n"
    assert read(python, "metrics.py", text).histograms == ()


def test_a_limit_that_a_setting_says_is_no_default() -> None:
    limit = (
        "from fastapi import FastAPI\nimport anyio\nfrom conf import settings\napp = FastAPI()\n"
    )
    limit += "anyio.to_thread.current_default_thread_limiter().total_tokens = settings.THREADS\n"
    found = runtime(limit, "srv/app/main.py")
    assert found.threads.known is None
    assert found.threads.variable is not None
    assert found.threads.variable.name == "THREADS"
