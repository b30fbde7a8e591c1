"""Prometheus: started or missed with a reason. That it scrapes is `test_stack`'s business."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from harness.errors import PartStartError, PortTakenError
from harness.stack import prometheus
from harness.stack.prometheus import Missing, Program, Prometheus, find_program


@pytest.mark.prometheus
def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    program = find_program()
    assert isinstance(program, Program)
    with socket.socket() as taken, httpx.Client() as client:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"Prometheus cannot listen on .*:{port}"):
            Prometheus.start(program, client=client, logs=tmp_path, folder=tmp_path, port=port)


@pytest.mark.prometheus
def test_a_configuration_that_is_refused_shows_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = find_program()
    assert isinstance(program, Program)
    monkeypatch.setattr(prometheus, "scrape_config", lambda *_, **__: "no_such_key: 1\n")
    with (
        httpx.Client(trust_env=False) as client,
        pytest.raises(PartStartError, match=r"(?s)exit code .*no_such_key"),
    ):
        Prometheus.start(program, client=client, logs=tmp_path, folder=tmp_path)


def test_without_prometheus_there_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = find_program()
    assert isinstance(missing, Missing)
    assert "no program called prometheus" in missing.reason


def test_a_program_of_that_name_that_is_another_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impostor = tmp_path / "prometheus"
    impostor.write_text("#!/bin/sh\necho hello\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program() == Missing(f"{impostor} does not say its version")
