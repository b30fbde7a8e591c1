from __future__ import annotations

import pendulum
from airflow.decorators import dag, task
from airflow.providers.postgres.hooks.postgres import PostgresHook


@dag(schedule="0 4 * * *", start_date=pendulum.datetime(2024, 1, 1), catchup=False, max_active_runs=1)
def daily_revenue():
    @task
    def aggregate(ds: str) -> int:
        hook = PostgresHook(postgres_conn_id="warehouse")
        return hook.get_first("select count(*) from revenue where day = %s", parameters=(ds,))[0]

    aggregate()


daily_revenue()
