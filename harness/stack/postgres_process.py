"""The processes of an embedded PostgreSQL: initialised, launched, awaited."""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import PartStartError, PortTakenError
from harness.incident import DatabaseConfig
from harness.stack.guard import guard
from harness.stack.ports import LOOPBACK
from harness.stack.postgres_programs import Identity
from harness.stack.process import Child, Supervised, wait_until

NAME = "postgres"
BIND_FAILED = "could not bind"
INITDB_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 45.0

# Settings of a server whose data is thrown away after the run. Durability is off because its cost
# is this machine's disk: a flush of 1 to 50 ms in each commit would be a second bottleneck behind
# the pool, different on each machine. synchronous_commit stays on, so a commit's code path is the
# usual one. What is not named here is PostgreSQL's default, as in production.
SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "track_io_timing": "off",
    "jit": "off",
    "io_method": "sync",  # three I/O worker processes fewer; the data is in memory anyway
    "dynamic_shared_memory_type": "mmap",  # goes with the data folder, even after kill -9
    "unix_socket_directories": "",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
}


def settings_of(config: DatabaseConfig) -> dict[str, str]:
    """The settings of a server of ours, wherever it runs."""
    return {
        **SETTINGS,
        "max_connections": str(config.max_connections),
        "reserved_connections": str(config.reserved_connections),
    }


@dataclass(frozen=True, slots=True)
class Installation:
    """Where a server's programs and data are, as whom it runs, where its output goes."""

    folder: Path
    binaries: Path
    identity: Identity | None
    log: Path

    def initialise(self, superuser: str, password: str) -> None:
        """Make the data folder; `PartStartError` with the end of the log when that fails."""
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password)
        if self.identity is not None:
            shutil.chown(password_file, self.identity.user, self.identity.group)
        argv = [
            str(self.binaries / "initdb"),
            f"--pgdata={self.folder / 'data'}",
            f"--username={superuser}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
            "--no-data-checksums",
        ]
        self._child("initdb", argv, signal.SIGTERM).finish(INITDB_TIMEOUT_S)
        password_file.unlink()

    def launch(self, config: DatabaseConfig, port: int) -> Child:
        """Start the server and return at once."""
        settings = settings_of(config) | {"listen_addresses": LOOPBACK}
        argv = [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-p", str(port)]
        for key, value in settings.items():
            argv += ["-c", f"{key}={value}"]
        # SIGINT is the fast shutdown; SIGTERM would wait for the clients to go.
        return self._child(NAME, argv, signal.SIGINT)

    def await_ready(
        self,
        server: Supervised,
        admin_dsn: str,
        port: int,
        *,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Wait until the server accepts connections.

        Raises `PortTakenError` when it could not listen, `PartStartError` when it does not come up
        for another reason or was called off.
        """
        try:
            wait_until(
                "PostgreSQL to accept connections",
                lambda: self._is_ready(server),
                timeout_s=READY_TIMEOUT_S,
                watching=[server],
                cancelled=cancelled,
            )
        except PartStartError as error:
            if not server.alive() and BIND_FAILED in server.log_tail():
                raise PortTakenError(
                    f"PostgreSQL cannot listen on {LOOPBACK}:{port}{server.log_tail()}"
                ) from error
            raise

    def end(self, server: Supervised, within_s: float) -> None:
        """Fast shutdown (sessions are cut), then the folder goes."""
        segment = self.shared_memory()
        polite = server.stop(within_s)
        if segment is not None and (not polite or not _ended_well(server)):
            remove_shared_memory(segment)
        self.remove()

    def remove(self) -> None:
        """Remove the folder, of a server that does not run."""
        remove_folder(self.folder)

    def shared_memory(self) -> int | None:
        """The id of the running server's SysV segment: the end of postmaster.pid's 7th line."""
        lines = self._postmaster_lines()
        words = lines[6].split() if len(lines) >= 7 else []
        return int(words[1]) if len(words) == 2 else None

    def _is_ready(self, server: Supervised) -> bool:
        """The first line of postmaster.pid is the server's id, the 8th its state (pidfile.h).

        The id counts: a server that was killed leaves a file behind that says that it is ready.
        """
        assert isinstance(server, Child)
        lines = self._postmaster_lines()
        return len(lines) >= 8 and lines[0] == str(server.pid) and lines[7].strip() == "ready"

    def _postmaster_lines(self) -> list[str]:
        try:
            return (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _child(self, name: str, argv: Sequence[str], stop_signal: signal.Signals) -> Child:
        return Child(
            name,
            argv,
            log=self.log,
            # TZ spares initdb its search for the machine's time zone; C keeps the log in English.
            env={"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"},
            cwd=self.folder,
            stop_signal=stop_signal,
            user=self.identity.user if self.identity else None,
            group=self.identity.group if self.identity else None,
        )


def remove_folder(folder: Path) -> None:
    """Remove a server's folder; what cannot go now is left to the guard."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        guard().drop_folder(folder)


def _ended_well(server: Supervised) -> bool:
    return isinstance(server, Child) and server.returncode == 0


def remove_shared_memory(segment: int) -> None:
    """Remove the few bytes of SysV memory that a killed PostgreSQL could not remove itself."""
    ipc_rmid = 0
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).shmctl(segment, ipc_rmid, None)
