"""Logging in at a stack, as its users do."""

from __future__ import annotations

import httpx

from harness.stack import Stack


def log_in(stack: Stack, user: int) -> httpx.Response:
    """The answer to a login of the user with this number."""
    name = f"user{user:06d}"
    return httpx.post(
        f"{stack.url}/login",
        json={"username": name, "password": f"correct horse {user % 8}"},
        headers={"X-User": name},
        trust_env=False,
    )


def user_of(stack: Stack, replica: str) -> int:
    """A user whom the gateway sends to that replica."""
    return next(user for user in range(50) if log_in(stack, user).headers["X-Replica"] == replica)
