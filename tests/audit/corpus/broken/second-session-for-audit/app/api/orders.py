from fastapi import APIRouter, HTTPException
from sqlalchemy import select

from app.api.deps import SessionDep
from app.core.database import SessionFactory
from app.models import Order, OrderEvent, OrderIn, OrderOut

router = APIRouter(prefix="/orders", tags=["orders"])


@router.get("/{order_id}")
async def read_order(order_id: int, session: SessionDep) -> OrderOut:
    order = await session.get(Order, order_id)
    if order is None:
        raise HTTPException(404, "no such order")
    return OrderOut.model_validate(order)


@router.post("", status_code=201)
async def place_order(body: OrderIn, session: SessionDep) -> OrderOut:
    order = Order(customer_id=body.customer_id, amount=body.amount)
    session.add(order)
    await session.flush()
    async with SessionFactory() as audit:
        audit.add(OrderEvent(order_id=order.id, kind="placed"))
        await audit.commit()
    await session.commit()
    return OrderOut.model_validate(order)


@router.get("")
async def list_orders(customer_id: int, session: SessionDep) -> list[OrderOut]:
    rows = await session.scalars(select(Order).where(Order.customer_id == customer_id).limit(100))
    return [OrderOut.model_validate(row) for row in rows]
