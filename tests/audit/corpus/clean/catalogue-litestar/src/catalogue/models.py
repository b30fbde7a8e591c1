from advanced_alchemy.base import BigIntAuditBase
from sqlalchemy.orm import Mapped


class Product(BigIntAuditBase):
    __tablename__ = "product"

    name: Mapped[str]
