"""A second machine on this one: a network namespace, joined to ours by a pair of interfaces."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

from tests.harness.run.small import ROOT

SUDO = () if os.geteuid() == 0 else ("sudo", "-n")


@dataclass(frozen=True)
class Machine:
    """The other machine: ``name`` of its namespace, and the address at which it sees us."""

    name: str
    our_address: str

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A ``pooldrill`` command there."""
        return subprocess.Popen(
            [*SUDO, "ip", "netns", "exec", self.name, sys.executable, "-m", "harness", *words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def cut_off(self) -> None:
        """Its network is gone: nothing that is sent arrives, in either direction."""
        _ip("link", "set", f"{self.name}-o", "down")


@contextmanager
def machine() -> Iterator[Machine]:
    """Another machine, and its end; skips, in CI fails, where no namespace can be made."""
    # 198.18.0.0/15 is set aside for measurements (RFC 2544): nobody's network has it.
    name, net = f"pd{secrets.token_hex(3)}", f"198.18.{secrets.randbelow(256)}"
    try:
        _ip("netns", "add", name)
    except FileNotFoundError as error:
        _unavailable(f"{error.filename} is not on PATH (apt-get install iproute2)")
    except subprocess.CalledProcessError as error:
        _unavailable(f"no network namespace can be made: {error.stderr}")
    try:
        _ip("link", "add", f"{name}-o", "type", "veth", "peer", "name", f"{name}-i")
        _ip("link", "set", f"{name}-i", "netns", name)
        _ip("address", "add", f"{net}.1/24", "dev", f"{name}-o")
        _ip("link", "set", f"{name}-o", "up")
        _ip("-n", name, "address", "add", f"{net}.2/24", "dev", f"{name}-i")
        _ip("-n", name, "link", "set", f"{name}-i", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield Machine(name, f"{net}.1")
    finally:
        with suppress(subprocess.CalledProcessError):  # it may not have come so far
            _ip("link", "delete", f"{name}-o")
        _ip("netns", "delete", name)


def _ip(*words: str) -> None:
    subprocess.run([*SUDO, "ip", *words], check=True, capture_output=True, text=True)


def _unavailable(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)
