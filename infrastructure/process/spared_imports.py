"""Imports that libraries make in case somebody wants what they serve, and that nobody here does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Within the block those of `packages` that are not loaded yet seem not to be installed. Later they are."""
    spared = [package for package in packages if package not in sys.modules]
    sys.modules.update(dict.fromkeys(spared))  # type: ignore[arg-type]  # None: the import system's own sign for it
    try:
        yield
    finally:
        for package in spared:
            del sys.modules[package]
