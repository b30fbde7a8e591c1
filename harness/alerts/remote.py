"""Somebody's Prometheus, asked over HTTP: answers are checked, credentials never repeated."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from harness.alerts.series import NAME, Labels, labels_of
from harness.errors import ImportRefusedError, UsageError

MOST_SAID = 300
"""Characters of a server's own words that are shown."""


@dataclass(frozen=True, slots=True)
class Access:
    """How the server is asked: a bearer token, or a user and a password, or neither."""

    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    timeout_s: float = 60.0


@dataclass(frozen=True)
class Answer:
    """Series as the server's JSON has them, with what it had to say."""

    series: tuple[tuple[Labels, Mapping[str, Any]], ...]
    warnings: tuple[str, ...]


class Server:
    """A Prometheus by its address; nothing it says or is said about it shows a credential.

    Raises UsageError for an address or credentials that cannot be used.
    """

    def __init__(self, url: str, access: Access) -> None:
        address = _address(url)
        token = access.token.strip()
        user = access.user or address.username
        password = access.password if access.user else address.password or access.password
        if token and user:
            raise UsageError(
                "both a token and a user are given", remedy="Give the one that the server asks for."
            )
        if password and not user:
            raise UsageError("a password is given, but no user", remedy="Give the user as well.")
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise UsageError(
                "the token holds characters that no request can carry",
                remedy="Give it alone, without quotes, line breaks or `Bearer`.",
            )
        pair = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self._secrets = _spellings(token, password, address.password, pair)
        base = address.copy_with(userinfo=b"")
        self.shown = str(base).rstrip("/")
        self._client = httpx.Client(
            timeout=access.timeout_s,
            trust_env=False,
            auth=httpx.BasicAuth(user, password) if user else None,
            headers={"Authorization": f"Bearer {token}"} if token else None,
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *ended: object) -> None:
        self._client.close()

    def query_range(
        self, selector: str, *, from_epoch_s: float, to_epoch_s: float, step_s: float
    ) -> Answer:
        """What ``selector`` selects at each step. Raises ImportRefusedError."""
        parameters = {
            "query": selector,
            "start": f"{from_epoch_s:.3f}",
            "end": f"{to_epoch_s:.3f}",
            "step": f"{step_s:.3f}",
        }
        try:
            response = self._client.get(f"{self.shown}/api/v1/query_range", params=parameters)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ImportRefusedError(
                f"the Prometheus at {self.shown} cannot be asked: {self._said(error)}",
                remedy="Check the address and that the server is up; nothing was written.",
            ) from None
        return self._read(response, selector)

    def no_prometheus(self, why: str) -> ImportRefusedError:
        """The error for an answer that no Prometheus gives."""
        return ImportRefusedError(
            f"what answers at {self.shown} is no Prometheus: {why}",
            remedy="Give the base address of its HTTP API, with the path prefix, such as "
            "http://monitoring:9090/prometheus.",
        )

    def _read(self, response: httpx.Response, selector: str) -> Answer:
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            answer = None
        status = response.status_code
        said = answer.get("error") if isinstance(answer, dict) else None
        if response.is_redirect:
            raise ImportRefusedError(
                f"{self.shown} leads elsewhere (HTTP {status})",
                remedy="Give the address that it leads to; credentials are sent to no other.",
            )
        if status in (401, 403):
            raise ImportRefusedError(
                f"{self.shown} does not let us in (HTTP {status})",
                remedy="Give a token, or a user and a password, that may read there.",
            )
        if status >= 500 or status == 429:
            why = f": {self._said(said)}" if isinstance(said, str) else ""
            raise ImportRefusedError(
                f"{self.shown} failed at {selector} (HTTP {status}){why}",
                remedy="Try again later; where it was too much at once, name fewer series.",
            )
        if isinstance(said, str):
            raise ImportRefusedError(
                f"{self.shown} refused {selector} (HTTP {status}): {self._said(said)}",
                remedy="Correct the selector; where it is too much at once, name fewer series.",
            )
        if status != 200 or not isinstance(answer, dict):
            raise self.no_prometheus(f"HTTP {status}, {_kind(response)}")
        data = answer.get("data")
        if not isinstance(data, dict) or data.get("resultType") != "matrix":
            raise self.no_prometheus("its answer holds no series")
        warnings = answer.get("warnings")
        return Answer(
            tuple(self._series(data.get("result"))),
            tuple(map(self._said, warnings if isinstance(warnings, list) else ())),
        )

    def _series(self, result: Any) -> Iterator[tuple[Labels, Mapping[str, Any]]]:
        for item in result if isinstance(result, list) else ():
            labels = item.get("metric") if isinstance(item, dict) else None
            if not isinstance(labels, dict) or NAME not in labels:
                raise self.no_prometheus("one of its series has no name")
            yield labels_of({str(key): str(text) for key, text in labels.items()}), item

    def _said(self, words: object) -> str:
        """Somebody else's words, clipped, with no secret in them."""
        text = str(words) or type(words).__name__
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text if len(text) <= MOST_SAID else text[: MOST_SAID - 1] + "…"


def _address(url: str) -> httpx.URL:
    # Whatever stands before an @ may be a password, also in an address that cannot be read.
    shown = url.rpartition("@")[2]
    remedy = "Give an address such as http://monitoring:9090/prometheus."
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise UsageError(f"{shown!r} is no address of a Prometheus", remedy=remedy) from None
    if address.scheme not in ("http", "https") or not address.host:
        raise UsageError(f"{shown!r} is no HTTP address", remedy=remedy)
    if address.query or address.fragment:
        bare = str(address.copy_with(userinfo=b"", query=None, fragment=None))
        raise UsageError(
            f"the address {bare} has a question mark or a # behind it",
            remedy="Give the base address alone; for a token there is a place of its own.",
        )
    return address


def _spellings(*secrets: str) -> tuple[str, ...]:
    """Every way in which a secret could come back in somebody's words; the longest first."""
    spelt = {*secrets, *(quote(each, safe="") for each in secrets)} - {""}
    return tuple(sorted(spelt, key=len, reverse=True))


def _kind(response: httpx.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0] or "no content type"
