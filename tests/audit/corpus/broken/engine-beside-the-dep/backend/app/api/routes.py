from fastapi import APIRouter
from sqlmodel import select, text

from app.api.deps import SessionDep
from app.core.db import engine

router = APIRouter()


@router.get("/people")
def people(session: SessionDep) -> list[str]:
    session.execute(text("select 1"))
    with engine.begin() as audit:
        audit.execute(text("insert into audit default values"))
    return [row[0] for row in session.execute(text("select name from person limit 100"))]
