import json
import os

from sqlalchemy import URL, create_engine, text

engine = create_engine(
    URL.create(
        "postgresql+psycopg2",
        username=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        host=os.environ["DB_HOST"],
        database=os.environ["DB_NAME"],
    ),
    pool_size=1,
    max_overflow=0,
    pool_timeout=2,
    pool_recycle=600,
    pool_pre_ping=True,
)


def quote(event, context):
    sku = event["pathParameters"]["sku"]
    with engine.connect() as connection:
        price = connection.execute(text("select price from quote where sku = :sku"), {"sku": sku}).scalar()
    if price is None:
        return {"statusCode": 404}
    return {"statusCode": 200, "body": json.dumps({"sku": sku, "price": str(price)})}
