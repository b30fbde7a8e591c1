from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from billing.pools import lifespan, pool


async def invoices(request):
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT id, total FROM invoices WHERE account = %s", (request.path_params["account"],)
        )
        rows = await cursor.fetchall()
    return JSONResponse([{"id": number, "total": total} for number, total in rows])


app = Starlette(routes=[Route("/billing/{account:int}", invoices)], lifespan=lifespan)
