"""Run by hand, once a quarter: python scripts/import_prices.py prices.csv"""

import csv
import os
import sys

from sqlalchemy import create_engine, text

engine = create_engine(os.environ["DATABASE_URL"])

with open(sys.argv[1], newline="") as file, engine.begin() as connection:
    for name, price in csv.reader(file):
        connection.execute(
            text("UPDATE item SET price_cents = :price WHERE name = :name"),
            {"name": name, "price": int(price)},
        )
