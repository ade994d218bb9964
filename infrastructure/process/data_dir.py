"""DATA_DIR, where the embedded stores keep their files: for its owner alone, and one pipeline's at a time."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from infrastructure.settings import SettingsError

PRIVATE_UMASK = 0o077
_PRIVATE_DIRECTORY = 0o700
_PRIVATE_FILE = 0o600


def make_private_directory(directory: Path) -> None:
    """Makes the directory, and takes it from everybody but its owner. Raises OSError where it cannot be made."""
    directory.mkdir(_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    found = directory.stat()
    is_shared = found.st_mode & stat.S_ISVTX  # /tmp and the like
    if found.st_uid == os.getuid() and found.st_mode & PRIVATE_UMASK and not is_shared:
        directory.chmod(_PRIVATE_DIRECTORY)


def open_private(path: Path) -> TextIO:
    """Opens a file, made if need be, to be read and written by its owner alone. Raises OSError."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE), "r+", encoding="utf-8")
    found = os.fstat(file.fileno())
    if found.st_uid == os.getuid() and found.st_mode & PRIVATE_UMASK:
        path.chmod(_PRIVATE_FILE)
    return file


@contextmanager
def pipeline_of(directory: Path) -> Iterator[int | None]:
    """Notes that this process runs a pipeline on the directory. Yields the id of another process that does, or None.

    Raises SettingsError where the directory cannot be used.
    """
    try:
        make_private_directory(directory)
        lock = open_private(directory / "pipeline.lock")
    except OSError as error:
        raise SettingsError(f"DATA_DIR: {error}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield int(lock.read() or 0)
            return
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield None
