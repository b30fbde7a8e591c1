from fastapi import APIRouter, BackgroundTasks
from sqlmodel import select, text

from app.api.deps import SessionDep

router = APIRouter()


@router.get("/people")
def people(session: SessionDep, tasks: BackgroundTasks) -> list[str]:
    names = [row[0] for row in session.execute(text("select name from person limit 100"))]
    tasks.add_task(print, len(names))
    return names
