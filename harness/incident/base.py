"""What every part of an incident definition is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
"""A ratio between 0 and 1, never a percentage."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]


class Model(BaseModel):
    """Frozen, closed to unknown fields, read by its file names or its Python names.

    A field's name in Python ends in its unit (``timeout_s``); its name in a file does not
    (``timeout: 5s``), because there the value carries the unit.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )
