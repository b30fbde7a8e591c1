from contextlib import asynccontextmanager
from typing import Annotated

import anyio.to_thread
from fastapi import BackgroundTasks, Depends, FastAPI
from sqlmodel import Session, text

from inventory.db import get_db
from inventory.settings import settings


@asynccontextmanager
async def lifespan(app: FastAPI):
    anyio.to_thread.current_default_thread_limiter().total_tokens = settings.THREADS
    yield


app = FastAPI(lifespan=lifespan)


def reorder(sku: str) -> None:
    print("ordering", sku)


@app.post("/stock/{sku}/take")
def take(sku: str, tasks: BackgroundTasks, db: Annotated[Session, Depends(get_db)]) -> None:
    left = db.exec(text("update stock set amount = amount - 1 returning amount")).scalar_one()
    if left < 5:
        tasks.add_task(reorder, sku)


@app.get("/stock/{sku}")
def stock(sku: str, db: Annotated[Session, Depends(get_db)]) -> int:
    return db.exec(text("select amount from stock where sku = :sku").bindparams(sku=sku)).scalar_one()
