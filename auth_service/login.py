"""The login itself, and the errors that a request can end in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from starlette.requests import ClientDisconnect

from auth_service import accounts
from auth_service.passwords import Passwords
from auth_service.pool import DatabaseUnavailable, PoolExhausted
from auth_service.unit_of_work import UnitOfWork


class Refused(Exception):  # noqa: N818 - an answer to the client, not a failure
    """The request gets a problem document; ``code`` is its kind, the message its detail."""

    code = "internal"


class InvalidRequest(Refused):
    """The body is not what this address takes."""

    code = "invalid_request"


class InvalidCredentials(Refused):
    """There is no such user, or the password is another."""

    code = "invalid_credentials"


class SessionUnknown(Refused):
    """The token opens no session."""

    code = "session_unknown"


def code_of(error: BaseException) -> str:
    """The problem code for what a request ended in; ``cancelled`` for what gets no answer."""
    if isinstance(error, Refused):
        return error.code
    if isinstance(error, PoolExhausted):
        return "pool_exhausted"
    if isinstance(error, DatabaseUnavailable):
        return "database_unavailable"
    if isinstance(error, asyncio.CancelledError | ClientDisconnect):
        return "cancelled"
    return "internal"


class Credentials(BaseModel):
    """The body of ``POST /login``."""

    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)

    username: str = Field(min_length=1, max_length=64)
    password: SecretStr = Field(min_length=1, max_length=1024)

    @field_validator("username")
    @classmethod
    def _can_be_stored(cls, value: str) -> str:
        if "\0" in value:  # PostgreSQL's text has no place for it
            raise ValueError("must not contain NUL")
        return value

    @classmethod
    def parse(cls, body: bytes) -> Credentials:
        """Read a JSON body.

        Raises:
            InvalidRequest: with all that is wrong with it, and none of what it said.
        """
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
        problems = []
        for detail in details:
            place = ".".join(str(step) for step in detail["loc"])
            message = detail["msg"].removeprefix("Value error, ")
            problems.append(f"{place}: {message}" if place else message)
        raise InvalidRequest("; ".join(problems))


@dataclass(frozen=True, slots=True)
class Login:
    """Lets users in: verifies their password and opens a session.

    ``work_ms`` of server-side work is done inside the session's transaction.
    """

    passwords: Passwords
    session_ttl_s: float
    work_ms: float

    async def __call__(self, credentials: Credentials, unit: UnitOfWork) -> str:
        """Open a session and return its token.

        Raises:
            InvalidCredentials: wrong username or password; which of them is not said.
            PoolExhausted: a connection was needed and none became free in time.
            DatabaseUnavailable: the database cannot be used.
        """
        password = credentials.password.get_secret_value()
        async with unit:
            async with unit.reading() as connection:
                user = await accounts.find_user(connection, credentials.username)
            known_hash = None if user is None else user.password_hash
            matches = await self.passwords.verify(known_hash, password)
            if user is None or not matches:
                await unit.rejected(credentials.username)
                raise InvalidCredentials("Wrong username or password.")
            token = accounts.new_token()
            async with unit.writing(user) as connection:
                await accounts.open_session(connection, user, token, self.session_ttl_s)
                await accounts.work(connection, self.work_ms)
        return token
