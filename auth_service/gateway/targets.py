"""The replicas as Prometheus may find them: targets of its HTTP service discovery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from yarl import URL

from auth_service.gateway.state import Frozen, Upstream

JOB = "auth"


class TargetGroup(Frozen):
    """One address with its labels, as ``http_sd_configs`` reads them from a list."""

    targets: tuple[str]
    labels: Mapping[str, str]


class Generations:
    """Tells the processes that served under one name apart, by the order of their URLs.

    Prometheus takes seconds to follow a replica that was replaced; two processes under the same
    labels would look like a counter that is reset again and again.
    """

    def __init__(self) -> None:
        self._urls: dict[str, list[str]] = {}

    def note(self, upstreams: Iterable[Upstream]) -> None:
        """Take up the present URLs; to be called at every change."""
        for upstream in upstreams:
            urls = self._urls.setdefault(upstream.name, [])
            if not urls or urls[-1] != upstream.url:
                urls.append(upstream.url)

    def of(self, name: str, url: str) -> int:
        """The how-manieth URL of ``name`` it is, from 1; the last time, if it came back."""
        urls = self._urls[name]
        return len(urls) - urls[::-1].index(url)


def target_group(name: str, url: str, generation: int) -> TargetGroup:
    """The replica ``name`` at ``url``: ``instance`` is its name and stays when it moves."""
    base = URL(url)
    labels = {"job": JOB, "instance": name, "generation": str(generation)}
    if base.scheme != "http":
        labels["__scheme__"] = base.scheme
    host = f"[{base.host}]" if ":" in (base.host or "") else base.host
    return TargetGroup(targets=(f"{host}:{base.port}",), labels=labels)
