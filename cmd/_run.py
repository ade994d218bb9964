"""The common parts of all entry points: settings, event loop, errors in one line."""

import asyncio
import gc
import os
import signal
import sys
from cmd._output import fail
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from getpass import getuser
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from domains.kernel.errors import OutageKind, PipelineError, RedisOutage, StoreOutage
from infrastructure.observing.nearest_name import hint

if TYPE_CHECKING:  # pydantic and the clients take most of the time of a start, and `--help` needs neither
    from infrastructure.composition.container import Container
    from infrastructure.settings import Settings


def settings_or_exit(code: int = 2, **overrides: Any) -> "Settings":
    """The settings. If they are wrong, prints why on stderr and exits with `code`.

    Warnings are logged on stderr from now on: a command's stdout is its result. Services configure logs of their own.
    """
    from infrastructure.observing.logs import configure_logging
    from infrastructure.settings import SettingsError, load_settings

    try:
        settings = load_settings(**overrides)
    except SettingsError as error:
        fail(f"Wrong settings:\n{error}", code)
    configure_logging(settings, "warning", sys.stderr)
    return settings


def running_container(settings: "Settings") -> "AbstractAsyncContextManager[Container]":
    """See infrastructure.composition.container, which is imported now."""
    from infrastructure.composition import container

    return container.running_container(settings)


def running_store(settings: "Settings") -> "AbstractAsyncContextManager[Container]":
    """See infrastructure.composition.container, which is imported now."""
    from infrastructure.composition import container

    return container.running_store(settings)


async def note_change(container: "Container", what: str, item: str, outcome: str) -> None:
    """Notes in the audit what a person did by a command."""
    await container.audit().note(this_user(), what, item, outcome)


def this_user() -> str:
    """Who runs a command, and on which machine."""
    from infrastructure.settings import HOST_NAME

    try:
        user = getuser()
    except (KeyError, OSError):  # in a container, a user may have a number and no name
        user = f"user {os.getuid()}"
    return f"{user} on {HOST_NAME}"


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt within the block; before and after it, see cmd/__init__.py."""
    ends_quietly = signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    if ends_quietly:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ends_quietly:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


@interruptible()
def run(work: Callable[[], Coroutine[Any, Any, int | None]], at_once: bool = False, settings_code: int = 2) -> None:
    """Runs a coroutine, on uvloop if it is installed, and exits with its result.

    An expected error is printed on one line.

    With `at_once` it does not wait for threads in which a driver is waiting for a stalled server. `settings_code` is
    the exit code if the settings turn out to be wrong.
    """
    from infrastructure.settings import SettingsError

    # Messages are many, short-lived and free of cycles: the collector would spend a third of the time looking at them
    gc.set_threshold(50_000, 20, 20)
    gc.freeze()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            code = runner.run(work())
            if at_once:
                sys.stdout.flush()
                os._exit(code or 0)
    except SettingsError as error:
        fail(str(error), settings_code)
    except PipelineError as error:
        fail(_text(error), 1)
    except ExceptionGroup as group:
        foreseen, others = group.split(PipelineError)
        if foreseen is None or others is not None:
            raise
        fail("; ".join(dict.fromkeys(_texts(foreseen))), 1)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    raise typer.Exit(code or 0)


def want_yes(allowed: bool) -> None:
    """Ends with exit code 2 where nobody can be asked before something is deleted, unless that is `allowed`."""
    if not (allowed or sys.stdin.isatty()):
        fail("Nobody can be asked here: give --yes, or --dry-run", 2)


def _texts(group: ExceptionGroup[PipelineError]) -> list[str]:
    return [
        text
        for error in group.exceptions
        for text in (_texts(error) if isinstance(error, ExceptionGroup) else [_text(error)])
    ]


def _text(error: PipelineError) -> str:
    """The error with the setting to look at."""
    if isinstance(error, RedisOutage) and error.kind is OutageKind.FORBIDDEN:
        return f"Redis does not let us in (REDIS_USERNAME, REDIS_PASSWORD): {error}"
    place = {RedisOutage: "Redis (REDIS_ADDR)", StoreOutage: "The document store (MONGO_URI, else DATABASE_URL)"}
    for kind, name in place.items():
        if isinstance(error, kind):
            return f"{name} cannot be used: {error}"
    return str(error)


def not_empty(user: str) -> str:
    """A user's id. A script's variable that is not set is nobody."""
    if not user:
        raise typer.BadParameter("is empty")
    return user


def no_such(kind: str, name: str, known: Iterable[str]) -> NoReturn:
    """Ends with exit code 2, and names what was probably meant."""
    fail(f"{name}: no such {kind}; {hint(name, known)}", 2)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
