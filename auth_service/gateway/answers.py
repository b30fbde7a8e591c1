"""The gateway's own answers: problem documents, with what only the gateway adds to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from auth_service.problems import KINDS, MEDIA_TYPE, problem_body

RETRY_AFTER_S = 1
"""What a client that was shed is told to wait."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with a request body; ``field`` is a path such as ``0.url``."""

    field: str
    message: str


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """The gateway answers by itself: ``code`` is one of ``problems.KINDS``.

    ``status`` stands for the kind's own where HTTP has a closer one.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        problems: Sequence[FieldProblem] = (),
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = KINDS[code].status if status is None else status
        self._detail = detail
        self._problems = problems

    @classmethod
    def of(cls, error: ValidationError) -> Refusal:
        """A body was refused: all of its problems."""
        problems = [
            FieldProblem(".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, "))
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        detail = "; ".join(f"{each.field}: {each.message}".lstrip(": ") for each in problems)
        return cls("invalid_request", detail, problems=problems)

    def body(self) -> bytes:
        """The problem document; refused bodies list their ``problems`` in it."""
        body = problem_body(self.code, self._detail)
        if self._problems or self.status != KINDS[self.code].status:
            more = {
                "status": self.status,
                "problems": [
                    {"field": each.field, "message": each.message} for each in self._problems
                ],
            }
            body = json.dumps({**json.loads(body), **more}).encode()
        return body

    def fields(self, replica: str) -> dict[str, str]:
        """The header fields but the length; ``replica`` is the chosen upstream's name, or ``-``."""
        fields = {"content-type": MEDIA_TYPE, "x-replica": replica}
        if self.code == "shed":
            fields["retry-after"] = str(RETRY_AFTER_S)
        return fields
