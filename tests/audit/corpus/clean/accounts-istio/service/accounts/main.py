from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from sqlalchemy import text

from accounts.config import AppConfig
from accounts.infra.persistence import build


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.persistence = build(AppConfig.from_environment())
    yield
    await app.state.persistence.engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/accounts/{number}")
async def account(number: int, request: Request) -> dict[str, str]:
    async with request.app.state.persistence.sessions() as session:
        name = await session.scalar(text("select name from account where id = :id"), {"id": number})
    return {"name": name}
