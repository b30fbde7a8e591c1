"""The problem documents (RFC 9457) that the service and the gateway answer errors with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind of error: what clients, metrics and recordings tell apart by its ``code``."""

    code: str
    status: int
    title: str


KINDS: Mapping[str, ProblemKind] = {
    kind.code: kind
    for kind in (
        ProblemKind("invalid_request", 422, "The request cannot be understood"),
        ProblemKind("invalid_credentials", 401, "Wrong username or password"),
        ProblemKind("session_unknown", 401, "There is no such session"),
        ProblemKind("pool_exhausted", 503, "No database connection became free in time"),
        ProblemKind("database_unavailable", 503, "The database cannot be used"),
        ProblemKind("not_found", 404, "There is nothing here"),
        ProblemKind("method_not_allowed", 405, "This method is not for this address"),
        ProblemKind("internal", 500, "The server failed"),
        ProblemKind("gateway_timeout", 504, "The replica did not answer in time"),
        ProblemKind("upstream_unreachable", 502, "The replica cannot be reached"),
        ProblemKind("shed", 503, "Turned away to protect the service"),
        ProblemKind("blocked", 403, "This address is blocked"),
        ProblemKind("no_upstream", 503, "No replica takes requests"),
    )
}


def problem_body(code: str, detail: str) -> bytes:
    """The document for ``code``; ``detail`` says what happened this time."""
    kind = KINDS[code]
    return json.dumps(
        {
            "type": f"urn:pooldrill:problem:{kind.code}",
            "title": kind.title,
            "status": kind.status,
            "detail": detail,
            "code": kind.code,
        }
    ).encode()


def problem_response(
    code: str, detail: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    """The document for ``code`` as a Starlette response."""
    return Response(
        problem_body(code, detail),
        status_code=KINDS[code].status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )
