from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(index=True)
    amount: Mapped[Decimal]


class OrderEvent(Base):
    __tablename__ = "order_event"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int]
    kind: Mapped[str]


class OrderIn(BaseModel):
    customer_id: int
    amount: Decimal


class OrderOut(OrderIn):
    model_config = ConfigDict(from_attributes=True)

    id: int
