from fastapi import FastAPI

from app.api.routes import router
from app.core.config import settings

app = FastAPI(title="roster", openapi_url=f"{settings.API_V1_STR}/openapi.json")
app.include_router(router, prefix=settings.API_V1_STR)
