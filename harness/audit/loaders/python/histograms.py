"""Histograms of prometheus_client, with their last buckets in seconds.

Source: https://prometheus.github.io/client_python/instrumenting/histogram/
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator

from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.operations import changed
from harness.audit.loaders.python.syntax import Module, text_of
from harness.audit.parts import Histogram
from harness.audit.values import Place, Value

CLIENT = "prometheus_client"
LAST_DEFAULT_BUCKET_S = 10.0
_UNITS_S = {"_seconds": 1.0, "_milliseconds": 0.001, "_ms": 0.001}


def histograms(module: Module) -> Iterator[Histogram]:
    """All of them; of one whose unit is no time, the last bucket is unknown."""
    if CLIENT not in module.file.text:
        return
    expressions = Expressions(module)
    for call in module.calls:
        if not module.is_from(call.func, "Histogram", CLIENT):
            continue
        said = expressions.keywords(call).nodes
        nodes = {**dict(zip(("name", "documentation"), call.args, strict=False)), **said}
        name = text_of(nodes.get("name"))
        if name is None:
            continue
        place = module.place(call, name)
        yield Histogram(
            name=name,
            place=place,
            last_bucket_s=_last(expressions, nodes.get("buckets"), name, nodes, place),
        )


def _last(
    expressions: Expressions,
    node: ast.expr | None,
    name: str,
    nodes: dict[str, ast.expr],
    place: Place,
) -> Value[float]:
    unit = text_of(nodes.get("unit"))
    full = name if unit is None or name.endswith(f"_{unit}") else f"{name}_{unit}"
    factor = next((each for ending, each in _UNITS_S.items() if full.endswith(ending)), None)
    if factor is None:
        return Value.unknown("its name does not say the unit of its buckets", place)
    if node is None:
        return Value.default(LAST_DEFAULT_BUCKET_S * factor, CLIENT, place)

    def last(bounds: object) -> float:
        if not isinstance(bounds, tuple):
            raise TypeError
        finite = [float(each) for each in bounds if math.isfinite(float(each))]
        return max(finite) * factor

    return changed(expressions.value(node, "buckets"), last, "buckets")
