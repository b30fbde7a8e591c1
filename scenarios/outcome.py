"""How an attempt ended: one of the buckets of the contract, from an answer or an error."""

from __future__ import annotations

import errno
import json
import re
from dataclasses import dataclass
from http.client import HTTPException

OK = "ok"
HTTP_ERROR = "http_error"
GATEWAY_TIMEOUT = "gateway_timeout"
CLIENT_TIMEOUT = "client_timeout"
REFUSED = "refused"
IN_FLIGHT_AT_END = "in_flight_at_end"
SHED_BY_GENERATOR = "shed_by_generator"

OWN_SHORTAGES = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)
"""Errors that say that this machine cannot open one more socket, and nothing of the target."""

UNSAFE_IN_A_CELL = re.compile(r"[^A-Za-z0-9_.:+-]")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an attempt: bucket, HTTP status, the problem's ``code``, ``X-Replica``."""

    bucket: str
    status: int | None = None
    code: str = ""
    replica: str = ""
    length: int = 0


def of_response(status: int, body: bytes, replica: str) -> Outcome:
    """A whole response came: 200 is ``ok``, 504 ``gateway_timeout``, the rest ``http_error``."""
    if status == 200:
        return Outcome(OK, status, "", cell(replica), len(body))
    bucket = GATEWAY_TIMEOUT if status == 504 else HTTP_ERROR
    return Outcome(bucket, status, cell(_problem_code(body)), cell(replica), len(body))


def of_error(error: OSError | HTTPException) -> Outcome:
    """No whole response came; ``code`` says why in a word.

    ``shed_by_generator`` where this machine ran out of sockets: that is no finding about the
    target. ``client_timeout`` where the kernel gave up connecting. ``refused`` for all else: a
    connection that was refused, reset, closed early or that did not speak HTTP.
    """
    if isinstance(error, OSError):
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        if error.errno in OWN_SHORTAGES:
            return Outcome(SHED_BY_GENERATOR, code=name)
        if isinstance(error, TimeoutError):
            return Outcome(CLIENT_TIMEOUT, code=name)
        return Outcome(REFUSED, code=name)
    return Outcome(REFUSED, code=type(error).__name__)


def cell(text: str) -> str:
    """Foreign text as it may stand in a CSV cell: short, without separators, never a surprise."""
    return UNSAFE_IN_A_CELL.sub("_", text[:64])


def _problem_code(body: bytes) -> str:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    code = problem.get("code") if isinstance(problem, dict) else None
    return code if isinstance(code, str) else ""
