"""Places to run the pipeline in. Each has its own data and is removed afterwards."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.processes import Pipeline
from tests.llm_server import LLMServer, llm_server

Places = Callable[..., Pipeline]


def _places(stack: ExitStack) -> Places:
    def make(**settings: str) -> Pipeline:
        # not tmp_path: the path of a Unix socket has to be short
        directory = Path(tempfile.mkdtemp(prefix="pomocore-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        pipeline = Pipeline(directory, **settings)
        stack.callback(pipeline.close)
        return pipeline

    return make


@pytest.fixture
def place() -> Iterator[Places]:
    """Makes places that belong to one test."""
    with ExitStack() as stack:
        yield _places(stack)


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Places]:
    """Makes places that the tests of a module share."""
    with ExitStack() as stack:
        yield _places(stack)


@pytest.fixture
def pipeline(place: Places) -> Pipeline:
    """A place with nothing configured: embedded stores in a directory of the test's own."""
    return place()


@pytest.fixture(scope="module")
def running(shared_place: Places) -> Pipeline:
    """An embedded pipeline with a running consumer, which several tests share.

    Each of them uses its own users, days and dead letters.
    """
    pipeline = shared_place()
    pipeline.consumer()
    return pipeline


@pytest.fixture(scope="module")
def llm() -> Iterator[LLMServer]:
    with llm_server() as server:
        yield server
