from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyPlugin,
)
from litestar import Litestar, get
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from catalogue.config import get_settings
from catalogue.models import Product

alchemy = SQLAlchemyAsyncConfig(
    engine_instance=get_settings().db.get_engine(),
    before_send_handler="autocommit",
    session_config=AsyncSessionConfig(expire_on_commit=False),
)


@get("/products")
async def list_products(db_session: AsyncSession) -> list[str]:
    return list(await db_session.scalars(select(Product.name).limit(50)))


@get("/health", sync_to_thread=False)
def health() -> str:
    return "ok"


def create_app() -> Litestar:
    return Litestar(route_handlers=[list_products, health], plugins=[SQLAlchemyPlugin(config=alchemy)])
