import dramatiq
from dramatiq.brokers.redis import RedisBroker

from digest.db import connection

dramatiq.set_broker(RedisBroker(url="redis://127.0.0.1:6379/0"))


@dramatiq.actor(max_retries=3, time_limit=60_000)
def send(user: int) -> None:
    with connection() as conn:
        rows = conn.execute("select subject from letter where user_id = %s", (user,)).fetchall()
    print(len(rows))
