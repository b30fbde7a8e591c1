"""Pieces of workloads as loaders find them, for what joins them."""

from __future__ import annotations

from typing import Any

from harness.audit.parts import Pool, Target
from harness.audit.reading import Code, Deployment, Environment, Reading, Runtime, Setting, number
from harness.audit.values import Place, Settings, Value, Variable


def at(value: Any, file: str = "app/db.py", line: int = 3, key: str = "x") -> Value[Any]:
    """A value as it stands in a file."""
    return Value.at(value, Place(file, line, key))


def asked_for(name: str, default: float | None = None, **more: Any) -> Value[float]:
    """A number that a variable decides."""
    variable = Variable(name, number, **more)
    if default is None:
        return Value.unknown(f"{name} is filled in elsewhere", Place("app/db.py", 3), variable)
    return at(default).decided_by(variable)


def code(file: str = "app/db.py", **pool: Any) -> Code:
    """A file that makes one pool of ten connections."""
    folder, _, _ = file.rpartition("/")
    made = {"implementation": "sqlalchemy", "size": at(10.0), "max_overflow": at(0.0), **pool}
    return Code(
        place=Place(file, 1),
        folder=folder or ".",
        pools=(Pool(name="primary", place=Place(file, 2), **made),),
    )


def deployment(name: str = "api", file: str = "compose.yaml", **more: Any) -> Deployment:
    """A service of a compose file; ``variables`` are its environment as plain text."""
    variables = more.pop("variables", {})
    said = {
        "kind": "compose",
        "replicas": at(2, file),
        "environment": settings(file, **variables),
        "hosts": (name,),
        **more,
    }
    return Deployment(name=name, place=Place(file, 1, name), **said)


def settings(file: str, **texts: str) -> Settings:
    """Variables, each on a line of its own."""
    return {
        name: (text, Place(file, line, name)) for line, (name, text) in enumerate(texts.items(), 1)
    }


def environment(name: str, **texts: str) -> Reading:
    """A file of variables."""
    return Reading(
        environments=(Environment(name=name, place=Place(name), settings=settings(name, **texts)),)
    )


def runtime(file: str = "Dockerfile", **more: Any) -> Runtime:
    """Four processes."""
    folder, _, _ = file.rpartition("/")
    said = {"processes": at(4, file), "serves": at(True, file), **more}
    return Runtime(place=Place(file, 1), folder=folder or ".", **said)


def setting(name: str, variable: str, text: str | None, file: str = "app/settings.py") -> Setting:
    """A field of a settings class."""
    return Setting(name=name, variable=variable, place=Place(file, 4, name), text=text)


def target(host: str | None, port: int | None = None) -> Target:
    """An address."""
    return Target(
        host=at(host) if host else Value.unknown("it is not said"),
        port=at(port) if port else Value.unknown("it is not said"),
    )
