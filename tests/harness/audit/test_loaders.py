"""Loaders together: each file is read by the one of its format."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.audit.loaders import (
    LOADERS,
    Loader,
    compose,
    dockerfile,
    dotenv,
    helm,
    kubernetes,
    load,
    procfile,
    systemd,
)
from harness.audit.sources import SourceFile


def test_half_an_incident_is_unread(tmp_path: Path) -> None:
    text = "schema: 1\nclock: {}\nservice: {}\nload: {}\n"
    half = tmp_path / "half.yaml"
    half.write_text(text, "utf-8")
    found = load(SourceFile(half, "half.yaml", text))
    assert found is not None
    (unread,) = found.unread
    assert "problem" in unread.why


@pytest.mark.parametrize(
    ("name", "text", "loader"),
    [
        ("compose.yaml", "services:\n  a:\n    image: x\n", compose),
        ("api.yaml", "apiVersion: apps/v1\nkind: Deployment\n", kubernetes),
        ("kustomization.yaml", "resources: []\n", kubernetes),
        ("values.yaml", "replicaCount: 1\n", helm),
        ("Dockerfile", "FROM x\n", dockerfile),
        ("Procfile", "web: x\n", procfile),
        ("a.service", "[Service]\n", systemd),
        (".env", "A=1\n", dotenv),
    ],
)
def test_what_runs_programs_is_read_by_its_own_loader(name: str, text: str, loader: Loader) -> None:
    file = SourceFile(Path(name), name, text)
    assert next(each for each in LOADERS if each.recognises(file)) is loader
