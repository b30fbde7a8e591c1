"""Takes mails out of the outbox table and hands them to the relay."""

import os
import signal
import threading
import time

from prometheus_client import Histogram, start_http_server
from psycopg_pool import ConnectionPool, PoolTimeout

from mailer.relay import send
from sqlalchemy import create_engine, text

SENT = Histogram(
    "mailer_send_duration_seconds", "Time for one mail.", buckets=(0.05, 0.1, 0.5, 1, 5, 10, 30)
)
WAITED = Histogram(
    "mailer_pool_wait_seconds",
    "Time before a connection was given out.",
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10),
)

pool = ConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=4,
    max_size=4,
    timeout=5.0,
    max_waiting=16,
    max_lifetime=1800.0,
    check=ConnectionPool.check_connection,
    kwargs={"autocommit": False, "application_name": "mailer"},
    open=False,
)

engine = create_engine("postgresql+psycopg://", creator=pool.getconn)

stopping = threading.Event()


def take_one() -> bool:
    begun = time.perf_counter()
    with engine.begin() as connection:
        WAITED.observe(time.perf_counter() - begun)
        mail = connection.execute(
            text(
                "DELETE FROM outbox WHERE id = (SELECT id FROM outbox ORDER BY id LIMIT 1"
                " FOR UPDATE SKIP LOCKED) RETURNING recipient, body"
            )
        ).fetchone()
    if mail is None:
        return False
    with SENT.time():
        send(*mail)
    return True


def work() -> None:
    while not stopping.is_set():
        try:
            if not take_one():
                time.sleep(1)
        except PoolTimeout:
            time.sleep(5)


def main() -> None:
    start_http_server(9200)
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    with pool:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
