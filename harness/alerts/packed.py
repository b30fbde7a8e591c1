"""The library's own recordings, which come with Pooldrill: rules can be scored at once.

They are run directories of real replays, three seeds of every incident and benign control, in one
zip file, without their logs and reports. ``pooldrill alerts record --pack`` makes it.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from harness.errors import EvaluationError
from harness.recording import read_recording
from harness.stack.guard import guard
from harness.writing import unwritable, write_bytes

NAME = "recordings.zip"
FOLDER = "pooldrill-library-"
KEPT = (
    "run.json",
    "incident.yaml",
    "events.jsonl",
    "arrivals.parquet",
    "requests.parquet",
    "samples.parquet",
    "sessions.parquet",
)
"""What a recording is read from; besides them the environment, without its addresses."""

NO_TIME = (1980, 1, 1, 0, 0, 0)
"""The zip's least time stamp: the same recordings are the same bytes."""


def pack(directories: Iterable[Path], file: Path) -> int:
    """Write the recordings in ``directories`` to ``file``; how many.

    Raises `RecordingError` for a directory that is no whole run, `RunDirectoryError`.
    """
    content = io.BytesIO()
    count = 0
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for directory in directories:
            recording = read_recording(directory)
            place = f"{recording.incident.name}/{recording.info.seed}"
            environment = {
                key: value for key, value in recording.environment.items() if key != "addresses"
            }
            text = json.dumps(environment, indent=2, sort_keys=True) + "\n"
            _add(archive, f"{place}/environment.json", text.encode())
            for name in KEPT:
                _add(archive, f"{place}/{name}", (directory / name).read_bytes())
            count += 1
    try:
        write_bytes(file, content.getvalue())
    except OSError as error:
        raise unwritable(file.parent, error) from error
    return count


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, NO_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


@contextmanager
def unpacked() -> Iterator[Path]:
    """A temporary folder with the library's recordings; gone afterwards.

    Raises `EvaluationError` where they do not come with this installation.
    """
    packed = resources.files("scenarios") / NAME
    folder = Path(tempfile.mkdtemp(prefix=FOLDER))
    guard().add_folder(folder)
    try:
        try:
            with packed.open("rb") as file, zipfile.ZipFile(file) as archive:
                archive.extractall(folder)
        except (OSError, zipfile.BadZipFile) as error:
            raise EvaluationError(
                f"the library's own recordings cannot be read: {error}",
                remedy="Give --recordings DIR; `pooldrill alerts record` makes some.",
            ) from error
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        guard().drop_folder(folder)
