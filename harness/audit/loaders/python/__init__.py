"""Python sources, read as syntax trees and never executed.

`signs` tell which files are read. `syntax` has the tree (`newer` spells new syntax as an older
Python reads it), `expressions` what an expression comes to, by `operations`, `mappings`, `records`
and `variables`. `pools`, `engines` and `libraries` read what `making` finds, `connections` how they
connect, by which `urls`; `branches` of which of them one is made, `listeners` what is done to each
connection.
`django_settings` and `flask_settings` read what frameworks make of `assignments` and `amending`;
`serving` how a program is served, `forks` what it does after a fork; `declared` settings for other
files, with URLs that are put together (`addresses`); `histograms`; `uses` what code does with what
it is `holding` (`teardowns`: after its answer; `supposed`: if another file's name is a session);
`imports` what it has to do with other files, `bringing` what it
has of their definitions, `passing` what they call it with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from harness.audit.finding import Unread
from harness.audit.loaders.python.branches import Branches
from harness.audit.loaders.python.bringing import Declares, brought
from harness.audit.loaders.python.declared import settings
from harness.audit.loaders.python.django_settings import django_amendments, django_pools
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.flask_configuration import configured
from harness.audit.loaders.python.flask_settings import flask_pools, given_pools
from harness.audit.loaders.python.forks import disposes_after_fork
from harness.audit.loaders.python.handed_in import handed_in
from harness.audit.loaders.python.histograms import histograms
from harness.audit.loaders.python.imports import maker, reexports, references
from harness.audit.loaders.python.libraries import library_pools
from harness.audit.loaders.python.listeners import listened
from harness.audit.loaders.python.making import made
from harness.audit.loaders.python.passing import passed
from harness.audit.loaders.python.pools import pool_of
from harness.audit.loaders.python.serving import folder_of, is_gunicorn, runtimes
from harness.audit.loaders.python.signs import may_concern
from harness.audit.loaders.python.supposed import session_names, supposed
from harness.audit.loaders.python.syntax import Module, NotPython
from harness.audit.loaders.python.uses import callings, takings, uses
from harness.audit.parts import Pool
from harness.audit.reading import Code, Maker, PythonFile, Reading, Setting
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value

_REEXPORTS = re.compile(r"^from [ ]{0,3}[\w.]{1,200} import ", re.MULTILINE)


def recognises(file: SourceFile) -> bool:
    """By its name, and by a word that it has; a package by what it imports for others."""
    if file.path.name == "__init__.py" and _REEXPORTS.search(file.text) is not None:
        return True
    return file.path.suffix == ".py" and may_concern(file.text)


def load(file: SourceFile) -> Reading:
    """What the file makes, does and declares; where it runs, it cannot say."""
    try:
        module = Module(file)
    except NotPython as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    if not may_concern(file.text):
        files = (PythonFile(source=file),)
        return Reading(reexports=tuple(reexports(module)), python_files=files)
    branches = Branches(Expressions(module))
    # A migration's pools serve nobody.
    serves = "alembic.context" not in module.imports.values()
    made_here = [*_made(module, branches)] if serves else []
    framework = (*flask_pools(module), *django_pools(module)) if serves else ()
    pools = (*(pool for pool, _ in made_here), *framework)
    code = Code(
        place=pools[0].place if pools else Place(file.name),
        folder=folder_of(file.name),
        pools=pools,
        uses=uses(module),
        disposes_after_fork=disposes_after_fork(module),
    )
    codes = [code] if code.pools or code.uses or code.disposes_after_fork else []
    if given := tuple(given_pools(module)):
        codes.append(Code(place=given[0].place, folder=code.folder, pools=given, given=True))
    return Reading(
        codes=tuple(codes),
        takings=takings(module),
        callings=callings(module),
        session_names=session_names(module),
        supposed=supposed(module),
        amendments=django_amendments(module),
        makers=tuple(maker for _, maker in made_here if maker is not None),
        references=tuple(references(module, branches)),
        reexports=tuple(reexports(module)),
        python_files=(PythonFile(source=file),),
        runtimes=runtimes(module),
        settings=() if is_gunicorn(module) else _settings(module),
        histograms=tuple(histograms(module)),
    )


def _settings(module: Module) -> tuple[Setting, ...]:
    """What it declares for others: in classes, constants, objects, Flask's configuration."""
    return (*settings(module), *handed_in(module), *configured(module))


Calls = Callable[[str], tuple[Module, str] | None]


def with_brought(reading: Reading, declares: Declares, calls: Calls) -> Reading:
    """The reading of a file with what it imports, and what it is called with.

    ``declares`` finds the module of an import, ``calls`` the only one that calls a function, with
    the name that it has there. What is not found is as unknown as it was.
    """
    (own,) = reading.python_files
    found = brought(Module(own.source), declares)
    for function in dict.fromkeys(each.function for each in reading.makers):
        caller = calls(function)
        if caller is not None and (call := passed(*caller)) is not None:
            found.append(call)
    if not found:
        return reading
    module = Module(own.source, found)
    whole = {pool.place: pool for pool, _ in _made(module, Branches(Expressions(module)))}

    def completed(pool: Pool) -> Pool:
        """What was known stays: a name of another file may hide one of this."""
        again = whole.get(pool.place, pool)
        known: dict[str, Any] = {
            each.name: value
            for each in fields(pool)
            if isinstance(value := getattr(pool, each.name), Value)
            if value.is_known and each.name != "made_at_import"
        }
        target = pool.target if pool.target.host.is_known else again.target
        known |= {"target": target, "branches": pool.branches}
        return replace(again, **known, made_at_import=pool.made_at_import)

    codes = (replace(code, pools=tuple(map(completed, code.pools))) for code in reading.codes)
    return replace(reading, codes=tuple(codes))


def _made(module: Module, branches: Branches) -> Iterator[tuple[Pool, Maker | None]]:
    """Every pool that a call makes, and whose call leads to that."""
    for call, name in made(module):
        if (found := pool_of(module, call, name)) is not None:
            pool = replace(listened(module, found), branches=branches.to(call))
            yield pool, maker(module, call, pool)
    for node, found in library_pools(module):
        pool = replace(found, branches=branches.to(node))
        yield pool, maker(module, node, pool)
