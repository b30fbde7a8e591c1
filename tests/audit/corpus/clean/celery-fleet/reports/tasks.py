import os

from celery import Celery
from celery.signals import worker_process_init

from reports.db import Session, engine

app = Celery("reports", broker=os.environ["BROKER_URL"])
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_time_limit=300,
    beat_schedule={
        "nightly": {"task": "reports.tasks.rollup", "schedule": 86_400.0},
    },
)


@worker_process_init.connect
def own_connections(**_):
    # The parent's sockets must not be shared by its children.
    engine.dispose(close=False)


@app.task(autoretry_for=(ConnectionError,), retry_backoff=True, retry_jitter=True, max_retries=3)
def rollup() -> None:
    with Session.begin() as session:
        session.connection().exec_driver_sql("SELECT rollup_day(current_date - 1)")
