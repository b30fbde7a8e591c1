from contextlib import asynccontextmanager
from typing import Annotated

import anyio.to_thread
from fastapi import Depends, FastAPI
from sqlmodel import Session, text

from inventory.db import get_db
from inventory.settings import settings


@asynccontextmanager
async def lifespan(app: FastAPI):
    anyio.to_thread.current_default_thread_limiter().total_tokens = settings.THREADS
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/stock/{sku}")
def stock(sku: str, db: Annotated[Session, Depends(get_db)]) -> int:
    return db.exec(text("select amount from stock where sku = :sku").bindparams(sku=sku)).scalar_one()
