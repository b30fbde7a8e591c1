"""How a program is served: what starts it, completed by the files that say more of that start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from harness.audit.joining.merging import completed_by, merged
from harness.audit.parts import Pool
from harness.audit.paths import is_within
from harness.audit.reading import Code, Runtime
from harness.audit.values import Value


def runtime_of(
    own: Runtime | None, folder: str, codes: Sequence[Code], runtimes: Sequence[Runtime]
) -> Runtime | None:
    """How it is served: what its own command says, completed by the files of its folder."""
    folders = [folder] if folder else [code.folder for code in codes]
    candidates = [
        each
        for each in runtimes
        if any(is_within(near, each.folder) or is_within(each.folder, near) for near in folders)
        or (own is not None and _leads_to(own, each))
    ]
    found = own
    # The file that the command names holds over a framework's defaults, which stand deeper.
    own_file = [each for each in candidates if own is not None and _names(own, each)]
    for each in sorted(candidates, key=lambda each: (each not in own_file, -len(each.folder))):
        if found is None:
            found = each
        elif _completes(each, found, own):
            names = bool(found.settings_file) and _names(found, each)
            found = (completed_by if names else merged)(found, each)
    return found


def _completes(file: Runtime, found: Runtime, own: Runtime | None) -> bool:
    """Whether a file says more of the same start.

    The settings file that a command names does. Another start does not, an image's CMD for
    instance, where the deployment has a command of its own; only what that leaves open, it may.
    """
    if not file.processes.is_known and not file.timeout_s.is_known:
        # No start at all: a framework's limit of threads, which holds however it is started.
        return found.serves.known == file.serves.known
    if found.settings_file:
        return _names(found, file)
    if own is not None and own.processes.is_known:
        return False
    return found.serves.known == file.serves.known or not file.serves.is_known


def _leads_to(runtime: Runtime, file: Runtime) -> bool:
    """Whether the file that a command names, with its folder, is this one."""
    path = runtime.settings_file
    return "/" in path and PurePath(file.place.file).match(path.removeprefix("./"))


def _names(runtime: Runtime, file: Runtime) -> bool:
    return PurePath(file.place.file).name == PurePath(runtime.settings_file).name


def threaded(pool: Pool, runtime: Runtime | None) -> Pool:
    """With the threads of its server before it, where the pool is used by threads."""
    if runtime is None or pool.is_async.known is True:
        return pool
    threads = runtime.threads
    if pool.implementation == "django" and threads.is_known:
        whose = f"Django: a connection for each of {threads.known:g} threads"
        size = Value(threads.known, "default", threads.place or pool.place, whose)
        pool = replace(pool, size=size, max_overflow=Value.default(0.0, "Django", pool.place))
    if pool.threads.origin == "file":
        return pool
    limits = [each for each in (threads, pool.threads) if each.known is not None]
    # A framework's limiter stands behind its server's: the smaller one lets nobody else through.
    return replace(pool, threads=min(limits, key=lambda each: each.known or 0.0, default=threads))
