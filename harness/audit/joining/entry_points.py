"""What a word starts by the entry point of an image: a command, and the script that it is given to.

A command that no known program is of may be such a word. Where no script of the image knows it,
it stays what it is: nobody can say what it starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.audit.paths import is_within
from harness.audit.reading import Deployment, EntryPoint, Reading, Runtime

OTHERWISE = "*"


def started(readings: Sequence[Reading]) -> list[Reading]:
    """The same, with what scripts start in the place of the words that they are given."""
    points = [each for reading in readings for each in reading.entry_points]
    return [_with(reading, points) for reading in readings]


def _with(reading: Reading, points: Sequence[EntryPoint]) -> Reading:
    if not any(each.argument for each in reading.runtimes) and not any(
        each.runtime is not None and each.runtime.argument for each in reading.deployments
    ):
        return reading
    deployments = [_deployed(each, points) for each in reading.deployments]
    runtimes = [_known(each, points) if each.argument else each for each in reading.runtimes]
    return replace(
        reading,
        deployments=tuple(each for each in deployments if each is not None),
        runtimes=tuple(each for each in runtimes if each is not None),
    )


def _deployed(deployment: Deployment, points: Sequence[EntryPoint]) -> Deployment | None:
    """None for a task that ends by itself."""
    asked = deployment.runtime
    if asked is None or not asked.argument:
        return deployment
    point = _of(asked, points)
    if point is None:
        # Of an image from elsewhere, files of the code's folder may say how it is served.
        runtime = asked if deployment.folder else None
        return replace(deployment, runtime=runtime, argument=asked.argument)
    found = point.starts[_word(asked, point)]
    return None if found is None else replace(deployment, runtime=_at(found, asked))


def _known(asked: Runtime, points: Sequence[EntryPoint]) -> Runtime | None:
    """What an image starts; None where that is not known, or is a task."""
    point = _of(asked, points)
    found = None if point is None else point.starts[_word(asked, point)]
    return None if found is None else _at(found, asked)


def _at(found: Runtime, asked: Runtime) -> Runtime:
    return replace(found, folder=asked.folder or found.folder, image=asked.image)


def _of(asked: Runtime, points: Sequence[EntryPoint]) -> EntryPoint | None:
    """The one script of the image's folder that knows the word."""
    near = [
        each
        for each in points
        if _word(asked, each) in each.starts
        and (
            not asked.folder
            or is_within(each.folder, asked.folder)
            or is_within(asked.folder, each.folder)
        )
    ]
    return near[0] if len(near) == 1 else None


def _word(asked: Runtime, point: EntryPoint) -> str:
    """What is looked for: the word, or any other where the script itself is all that is said."""
    is_script = (
        point.place.file.endswith(f"/{asked.argument}") or point.place.file == asked.argument
    )
    return OTHERWISE if is_script else asked.argument
