"""One login over the wire: a connection, a request, a response, and a deadline over all of it.

Locust's own `FastHttpSession` is left aside on purpose. Its connections come from a pool that
makes requests wait in the client when it is empty, its sessions share one cookie jar, and a
connection that is kept alive can be closed by the server at the moment of the next request, which
would read as a refusal. Here every attempt has a connection of its own, as different users have.
That is also three times as fast (190 µs instead of 620 µs of processor time a login), which counts
where the load shares the machine with what it measures.
"""

from __future__ import annotations

import json
import ssl
from http.client import HTTPException
from urllib.parse import urlsplit

import gevent
from gevent import socket
from geventhttpclient.response import HTTPSocketResponse

from scenarios.outcome import CLIENT_TIMEOUT, Outcome, of_error, of_response

LOGIN_PATH = "/login"


def username(user: int) -> str:
    """The name of user number ``user``, as the service's accounts are seeded."""
    return f"user{user:06d}"


def password(user: int) -> str:
    """The password of user number ``user``, as the service's accounts are seeded."""
    return f"correct horse {user % 8}"


def mistyped_password(user: int) -> str:
    """A password that cannot be the user's: longer than it, whatever it is."""
    return f"mistyped {password(user)}"


class LoginClient:
    """Logs users in at ``target``; it keeps nothing between two attempts.

    The target's name is resolved once: a look-up per attempt would queue in gevent's threads.

    Raises OSError when the name cannot be resolved.
    """

    def __init__(self, target: str, *, timeout_s: float) -> None:
        parts = urlsplit(target)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._timeout_s = timeout_s
        self._host = host
        self._family, self._kind, self._protocol, _, self._address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        path = parts.path.rstrip("/") + LOGIN_PATH
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"
            "User-Agent: pooldrill\r\nAccept: application/json\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
        )

    def log_in(self, user: int, *, address: str, wrong_password: bool = False) -> Outcome:
        """One attempt, whatever becomes of it; takes ``timeout_s`` at most.

        ``address`` is where it says that it comes from, as an edge proxy tells the gateway.

        The deadline covers connecting, sending and the whole response, so that a server that
        drips bytes cannot stretch it.
        """
        try:
            # Bound to no name: an exception kept in the frame that it passed through is a cycle,
            # and thousands of those a second would need the garbage collector's pauses.
            with gevent.Timeout(self._timeout_s, False):
                return self._exchange(self._request(user, address, wrong_password))
        except (OSError, HTTPException) as error:
            return of_error(error)
        return Outcome(CLIENT_TIMEOUT)

    def _request(self, user: int, address: str, wrong_password: bool) -> bytes:
        typed = mistyped_password(user) if wrong_password else password(user)
        body = json.dumps({"username": username(user), "password": typed})
        return (
            f"{self._head}X-User: {username(user)}\r\nX-Forwarded-For: {address}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode("ascii")

    def _exchange(self, request: bytes) -> Outcome:
        connection = socket.socket(self._family, self._kind, self._protocol)
        try:
            connection.connect(self._address)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_hostname=self._host)
            connection.sendall(request)
            response = HTTPSocketResponse(connection, method="POST")
            body = response.read()
            replica = response.get("X-Replica", "")
            return of_response(
                response.status_code, body, replica if isinstance(replica, str) else ""
            )
        finally:
            connection.close()
