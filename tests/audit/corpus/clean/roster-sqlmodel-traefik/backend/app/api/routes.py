from fastapi import APIRouter
from sqlmodel import select, text

from app.api.deps import SessionDep

router = APIRouter()


@router.get("/people")
def people(session: SessionDep) -> list[str]:
    return [row[0] for row in session.execute(text("select name from person limit 100"))]
