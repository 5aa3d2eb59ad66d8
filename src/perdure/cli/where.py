"""Which app, which store, which form of answer: the options that every command shares, and how an app is found and opened.

Precedence: option, what an app names in its code, `$PERDURE_APP` / `$PERDURE_URL`, `[tool.perdure]`, default. Commands that
read or steer need no app: then values are what JSON makes of them. Nothing here prints but a warning where an app passes
`$PERDURE_URL` over.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import shlex
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from perdure.app import Perdure
from perdure.cli.problems import Problem, problem_of, warn
from perdure.cli.supervisor import PARENT
from perdure.engine.task import Task
from perdure.errors import PerdureError
from perdure.extras import load
from perdure.registry import Names, Registry
from perdure.settings import project, project_folder
from perdure.storage import Storage, inspection
from perdure.storage.opening import RefusedError, forbidden, open_storage
from perdure.storage.urls import HIDDEN, without_password

NOBODY = Names(Registry())
"""A directory without names: by it, values are read as JSON."""

COMMAND = re.compile(r"perdure [a-z]")

TOLD = "perdure.cli.where.told"

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclasses.dataclass(slots=True)
class Where:
    """The shared options of one command line. `readonly`: the command must not make or migrate a store."""

    app_name: str | None
    url: str | None
    json: bool

    @property
    def named(self) -> str | None:
        """The app's name, from wherever it is said."""
        if self.app_name or os.environ.get("PERDURE_APP"):
            return self.app_name or os.environ["PERDURE_APP"]
        name = project(Path.cwd()).get("app")
        return str(name) if name else None

    @property
    def worker(self) -> str:
        """What to type to start a worker on this store."""
        known = self.app_name is None and self.named is not None
        return self.again("perdure worker" if known else f"perdure worker {self.app_name or 'module:app'}")

    def again(self, following: str) -> str:
        """What to type next, with the options by which app and store were named here; texts that are no command stay."""
        if not COMMAND.match(following):
            return following
        if self.app_name and self.app_name not in following.split():
            following += f" --app {self.app_name}"
        if not self.url or "--url" in following:
            return following
        return f"{following} --url {shlex.quote(without_password(self.url))}"

    def explained(self, following: str) -> str:
        """The same, with a word about what is hidden in it."""
        return explained(self.again(following))

    def told(self, error: Exception) -> Exception:
        """The problem that an error means; what to type next works on the same store."""
        problem = problem_of(error)
        if problem is None:
            return error
        problem.following = self.explained(problem.following)
        return problem

    def app(self) -> Perdure:
        """The app that is named. Raises `Problem` when none is, or when it cannot be imported."""
        name = self.named
        if name is None:
            raise Problem(
                2, "no app is named", "this command needs the tasks that an app declares",
                'perdure --app module:app …   or   export PERDURE_APP=module:app   or   app = "module:app" in [tool.perdure]',
            )  # fmt: skip
        return self.at_url(imported(name))

    def store(self) -> Perdure:
        """The named app, or one without tasks on the named store."""
        return Perdure(self.url) if self.named is None else self.app()

    def at_url(self, app: Perdure) -> Perdure:
        """The app on the store that is named, if one is."""
        if self.url:
            app.settings = dataclasses.replace(app.settings, url=self.url)
            app.parts.storage = None
        else:
            _warn_of_other_url(without_password(app.settings.url))
        return app

    def read(self, work: Callable[[Perdure], Awaitable[T]], app: Perdure | None = None, *, natural: bool = True) -> T:
        """Runs `work` on a store that exists and has this program's schema; it is neither made nor migrated for it.
        Values are read as JSON, whatever their types, so that what is shown is what is stored. Raises `Problem`."""
        app = app or self.store()
        parts, storage = app.parts, storage_of(app)
        app.parts = dataclasses.replace(parts, storage=storage, migrate=False)
        try:
            _check_usable(storage, without_password(app.settings.url))
            return asyncio.run(_opened(app, work, natural=natural))
        finally:
            app.parts = parts
            storage.close()

    def write(self, app: Perdure, work: Callable[[Perdure], Awaitable[T]]) -> T:
        """Runs `work` on the app's store, made and migrated if need be."""
        return asyncio.run(_opened(app, work, natural=False))


def explained(command: str) -> str:
    """A command, with a word about what is hidden in it."""
    return f"{command}   ({HIDDEN} stands for the password)" if HIDDEN in command else command


def storage_of(app: Perdure) -> Storage:
    """The app's storage, not opened. Raises `ConfigurationError` for a URL that names none."""
    return app.parts.storage or open_storage(app.settings.url, app.settings.schema)


def new_store(app: Perdure) -> str | None:
    """The file that opening the app will make; `None` where its store exists, or is no file."""
    return inspection.missing(storage_of(app))


def _warn_of_other_url(url: str) -> None:
    """Says once that the app names another store than the environment: commands without the app work on that one. The
    children of a worker say nothing."""
    ctx, other = click.get_current_context(silent=True), without_password(os.environ.get("PERDURE_URL", ""))
    if other in ("", url) or PARENT in os.environ or ctx is None or ctx.resilient_parsing or TOLD in ctx.meta:
        return
    ctx.meta[TOLD] = True
    warn(
        f"$PERDURE_URL is {other}, and the app's code names {url}, which is used; commands without the app use the other one. "
        f"Write Perdure() without a URL in the code, or say --url"
    )


def _check_usable(storage: Storage, url: str) -> None:
    if inspection.lives_here(storage):
        raise Problem(
            3, f"{url} lives inside one process only", "no other process can look into it", "use sqlite:///file.db"
        )
    if missing := inspection.missing(storage):
        raise Problem(
            5,
            f"there is no store at {url}",
            f"no file {missing}",
            "perdure --url sqlite:///other.db …, or start a worker",
        )
    schema = inspection.schema(storage)
    if schema is not None and schema.pending:
        why = f"its schema has version {schema.version}, this perdure needs {schema.known}"
        raise Problem(3, f"the store at {url} must be migrated first", why, "perdure migrate")


async def _opened(app: Perdure, work: Callable[[Perdure], Awaitable[T]], *, natural: bool) -> T:
    async with app.connect():
        if natural:
            app.client.directory = NOBODY
        return await work(app)


def imported(name: str) -> Perdure:
    """The app that `module:object` names, `app` where no object is said. What stands in the working directory can be
    imported, and beside a pyproject.toml that names an app."""
    module, _, attribute = name.partition(":")
    if "/" in module or module.endswith(".py"):
        dotted = ".".join(Path(module).with_suffix("").parts).lstrip("./")
        raise Problem(
            2, f"{name} names a file", "an app is named by module and object", f"{dotted}:{attribute or 'app'}"
        )
    found = _imported(name, module, attribute or "app")
    if not isinstance(found, Perdure):
        raise Problem(3, f"{name} is no app", f"it is {type(found).__name__}", "name an object made by Perdure(…)")
    return found


def imported_task(name: str) -> Task[..., object]:
    """The task that `module:object` names. Raises `Problem`."""
    module, _, attribute = name.partition(":")
    found = _imported(name, module, attribute)
    if not isinstance(found, Task):
        raise Problem(3, f"{name} is no task", f"it is {type(found).__name__}", "name what @app.task decorates")
    return cast("Task[..., object]", found)


def _imported(name: str, module: str, attribute: str) -> object:
    for folder in _importable(Path.cwd()):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        with forbidden():
            return load(f"{module}:{attribute}")
    except RefusedError as error:
        following = 'put asyncio.run(…) under   if __name__ == "__main__":'
        raise Problem(3, f"module {module} runs its program when it is imported", "", following) from error
    except Exception as error:
        raise _not_imported(name, module, attribute, error) from error


def _importable(here: Path) -> list[str]:
    """The folders whose modules can be named, the last one first."""
    home = project_folder(here)
    return [*([str(home)] if home is not None and "app" in project(here) else []), str(here)]


def _not_imported(name: str, module: str, attribute: str, error: Exception) -> Problem:
    if isinstance(error, ModuleNotFoundError) and module.startswith(error.name or "\0"):
        why = f"there is no module {error.name} in {Path.cwd()} or among the installed ones"
        return Problem(3, f"app {name} cannot be imported", why, "perdure --app module:object …, from its folder")
    if isinstance(error, AttributeError) and module in sys.modules and not hasattr(sys.modules[module], attribute):
        apps = [key for key, value in vars(sys.modules[module]).items() if isinstance(value, Perdure)]
        try_this = f"perdure --app {module}:{apps[0]} …" if apps else "make one there: app = Perdure()"
        return Problem(3, f"module {module} has no {attribute!r}", "", try_this)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames[2:] else ""
    if isinstance(error, SyntaxError):
        place = f" ({error.filename}:{error.lineno})"
    said = error.msg if isinstance(error, SyntaxError) else error
    return Problem(
        3, f"app {name} cannot be imported", f"{type(error).__name__}: {said}{place}", f"python -c 'import {module}'"
    )


def shared(*, json: bool = True) -> Callable[[F], F]:
    """Gives a command the shared options and, as its first argument, the `Where` that they and the program's make."""

    def decorate(command: F) -> F:
        wrapped: Any = _with_where(command)
        if json:
            wrapped = click.option("--json", "own_json", is_flag=True, help="Answer as JSON.")(wrapped)
        wrapped = click.option("--url", "own_url", metavar="URL", help="The store, as sqlite:///jobs.db.")(wrapped)
        return click.option("--app", "own_app", metavar="MODULE:OBJECT", help="The app, as shop:app.")(wrapped)

    return decorate


def _with_where(command: Callable[..., Any]) -> Callable[..., Any]:
    def call(own_app: str | None, own_url: str | None, own_json: bool = False, **settings: Any) -> Any:
        where = where_of(own_app, own_url, own_json)
        try:
            return command(where, **settings)
        except (PerdureError, Problem) as error:
            raise where.told(error) from error.__cause__

    call.__doc__, call.__name__ = command.__doc__, command.__name__
    call.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    return call


def where_of(app: str | None, url: str | None, as_json: bool) -> Where:
    """A command's own options over the program's."""
    ctx = click.get_current_context(silent=True)
    given = cast("dict[str, Any]", ctx.obj if ctx is not None and ctx.obj else {})
    place = given.get("url") if url is None else url
    if place == "":
        raise Problem(2, "--url is empty", "a variable in it may be unset", "name a store, or leave the option out")
    return Where(app or given.get("app"), place, as_json or bool(given.get("json")))
