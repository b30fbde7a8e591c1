"""A load process ends when it is to end, whatever hangs in it."""

from __future__ import annotations

import subprocess
import sys

HANGS = """
from scenarios import load_life
import zmq
context = zmq.Context()
held = context.socket(zmq.DEALER)
load_life.exit_within(0.2, 7)
context.term()  # waits in C for the socket to be closed
"""


def test_a_process_that_hangs_in_c_exits_with_the_code_it_had() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], timeout=60, check=False)
    assert ended.returncode == 7
