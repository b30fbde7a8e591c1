"""PgBouncer as a process of this machine."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from harness.errors import PgbouncerMissingError
from harness.incident import PgbouncerConfig
from harness.stack.guard import guard
from harness.stack.pgbouncer_files import CONFIGURATION, Behind, Front, Listening, files
from harness.stack.ports import LOOPBACK
from harness.stack.postgres_programs import new_folder, server_identity
from harness.stack.process import Child, Supervised

NAME = "pgbouncer"
PROGRAM = "pgbouncer"
OTHER_PLACES = ("/usr/sbin", "/usr/local/sbin")
"""Where Debian puts it, and what a user's search path often lacks."""


def find_program() -> str | None:
    """The path of the installed PgBouncer."""
    places = [os.environ.get("PATH", os.defpath), *OTHER_PLACES]
    return shutil.which(PROGRAM, path=os.pathsep.join(places))


def require_program() -> str:
    """The path of the installed PgBouncer; `PgbouncerMissingError` where there is none."""
    program = find_program()
    if program is None:
        raise PgbouncerMissingError(
            f"PgBouncer is needed, but there is no program called {PROGRAM} on the search path",
            remedy="Install it: `apt-get install pgbouncer`, or `brew install pgbouncer`.",
        )
    return program


class ProcessHome:
    """A folder for its files and for its eyes only, and the program that is installed.

    Raises `PgbouncerMissingError` where there is none.
    """

    def __init__(self, logs: Path) -> None:
        self._program = require_program()
        self._log = logs / f"{NAME}.log"
        # It refuses to run as root. Its folder holds passwords and belongs to nobody else.
        self._identity = server_identity()
        self._folder = new_folder(self._identity, prefix="pooldrill-pgbouncer-")
        guard().add_folder(self._folder)

    def launch(self, config: PgbouncerConfig, behind: Behind, front: Front) -> Supervised:
        """Write its files, start it and return at once."""
        self._write(config, behind, front)
        return Child(
            NAME,
            [self._program, str(self._folder / CONFIGURATION)],
            log=self._log,
            env={"LC_ALL": "C", "PATH": os.defpath},
            cwd=self._folder,
            user=self._identity.user if self._identity else None,
            group=self._identity.group if self._identity else None,
        )

    def reload(
        self, server: Supervised, config: PgbouncerConfig, behind: Behind, front: Front
    ) -> None:
        """Write its files anew and have it read them."""
        self._write(config, behind, front)
        server.send(signal.SIGHUP)

    def remove(self) -> None:
        """Remove its files."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if not self._folder.exists():
            guard().drop_folder(self._folder)

    def _write(self, config: PgbouncerConfig, behind: Behind, front: Front) -> None:
        listening = Listening(LOOPBACK, front.port, self._folder)
        for path, text in files(config, behind, front, listening).items():
            path.touch(mode=0o600)
            path.write_text(text)
            if self._identity is not None:
                shutil.chown(path, self._identity.user, self._identity.group)
