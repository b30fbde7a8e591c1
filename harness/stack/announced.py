"""What our own processes say when they listen: the file named in ``…_ANNOUNCE``."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import httpx

from harness.errors import PartStartError
from harness.stack.process import Child, Supervised, wait_until

READY_TIMEOUT_S = 45.0
KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "PYTHONPATH", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class Announcement:
    """The ports a process bound."""

    pid: int
    port: int
    control_port: int | None = None


def clean_environment(settings: dict[str, str]) -> dict[str, str]:
    """``settings`` over the few variables a Python process needs.

    Nothing else is passed on: a variable in the user's shell must not change what is measured.
    """
    kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
    return kept | {"PYTHONUNBUFFERED": "1"} | settings


def python_module(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module in this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def await_announcement(
    child: Child, file: Path, *, cancelled: threading.Event | None = None
) -> Announcement:
    """Wait until ``child`` has written its announcement; `PartStartError` when it does not."""

    def announced() -> str | None:
        try:
            return file.read_text()
        except OSError:
            return None

    text = wait_until(
        f"{child.name} to listen",
        announced,
        timeout_s=READY_TIMEOUT_S,
        watching=[child],
        cancelled=cancelled,
    )
    try:
        data = json.loads(text)
        return Announcement(int(data["pid"]), int(data["port"]), data.get("control_port"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PartStartError(f"{child.name} announced itself as {text[:200]!r}") from error


def await_http(
    client: httpx.Client,
    child: Supervised,
    url: str,
    what: str,
    *,
    cancelled: threading.Event | None = None,
) -> None:
    """Wait until ``url`` answers 200; `PartStartError` with the last answer when it does not."""
    last = "no answer"

    def answers() -> bool:
        nonlocal last
        try:
            response = client.get(url, timeout=2.0)
        except httpx.HTTPError as error:
            last = str(error) or type(error).__name__
            return False
        last = f"{response.status_code} {response.text[:200]}"
        return response.status_code == httpx.codes.OK

    try:
        wait_until(what, answers, timeout_s=READY_TIMEOUT_S, watching=[child], cancelled=cancelled)
    except PartStartError as error:
        raise PartStartError(f"{error.message}\n  {url} last said: {last}") from error
