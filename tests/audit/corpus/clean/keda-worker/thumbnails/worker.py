import os

from celery import Celery
from celery.signals import worker_process_init
from sqlalchemy import create_engine, text

# (14 + 4 of a rolling deploy) x 2 x 2 = 72 of 97
engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=int(os.environ.get("DB_POOL_SIZE", 2)),
    max_overflow=0,
    pool_timeout=10,
    pool_recycle=600,
    pool_pre_ping=True,
    connect_args={"connect_timeout": 5},
)

app = Celery("thumbnails", broker=os.environ.get("BROKER", "amqp://"))


@worker_process_init.connect
def after_fork(**_kwargs):
    engine.dispose(close=False)


@app.task
def thumbnail(picture: int) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE pictures SET thumbnailed = now() WHERE id = :id"), {"id": picture})
