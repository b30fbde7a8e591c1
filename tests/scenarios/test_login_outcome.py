"""An attempt's end becomes one bucket."""

from __future__ import annotations

import errno
from http.client import HTTPException

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.outcome import cell, of_error, of_response


@pytest.mark.parametrize(
    ("status", "body", "bucket", "code"),
    [
        (200, b'{"token": "t"}', "ok", ""),
        (200, b'{"code": "ignored"}', "ok", ""),
        (201, b"", "http_error", ""),
        (302, b"", "http_error", ""),
        (401, b'{"code": "invalid_credentials"}', "http_error", "invalid_credentials"),
        (503, b'{"code": "pool_exhausted"}', "http_error", "pool_exhausted"),
        (504, b'{"code": "gateway_timeout"}', "gateway_timeout", "gateway_timeout"),
        (500, b"<html>", "http_error", ""),
        (500, b"[1]", "http_error", ""),
        (500, b'{"code": 7}', "http_error", ""),
        (500, b"\xff\xfe", "http_error", ""),
        (500, b"[" * 100_000, "http_error", ""),
    ],
)
def test_responses(status: int, body: bytes, bucket: str, code: str) -> None:
    """200 alone is ok; a problem's code is kept; a body of any kind is survived."""
    outcome = of_response(status, body, "replica-1")
    assert (outcome.bucket, outcome.status, outcome.code) == (bucket, status, code)
    assert outcome.replica == "replica-1"


@pytest.mark.parametrize(
    ("error", "bucket", "code"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), "refused", "ECONNREFUSED"),
        (ConnectionResetError(errno.ECONNRESET, ""), "refused", "ECONNRESET"),
        (BrokenPipeError(errno.EPIPE, ""), "refused", "EPIPE"),
        (TimeoutError(errno.ETIMEDOUT, ""), "client_timeout", "ETIMEDOUT"),
        (OSError(errno.EMFILE, ""), "shed_by_generator", "EMFILE"),
        (OSError(errno.EADDRNOTAVAIL, ""), "shed_by_generator", "EADDRNOTAVAIL"),
        (OSError("odd"), "refused", "OSError"),
        (HTTPException("not HTTP"), "refused", "HTTPException"),
    ],
)
def test_errors(error: OSError | HTTPException, bucket: str, code: str) -> None:
    """The machine's own shortage of sockets is never counted against the target."""
    outcome = of_error(error)
    assert (outcome.bucket, outcome.status, outcome.code) == (bucket, None, code)


@given(st.text())
def test_foreign_text_fits_a_cell(text: str) -> None:
    """A header or code of the target can neither break a line nor open a quote."""
    assert not set(cell(text)) & set(",\"'\r\n\t ")
    assert cell(text).isascii()
    assert len(cell(text)) <= 64
