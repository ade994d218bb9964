"""Places to run the pipeline in, each with its own data and nothing left of it afterwards."""

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
    """Makes places of the test's own."""
    with ExitStack() as stack:
        yield _places(stack)


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Places]:
    """Makes places that the tests of a module share."""
    with ExitStack() as stack:
        yield _places(stack)


@pytest.fixture
def pipeline(place: Places) -> Pipeline:
    """Nothing configured: embedded stores in a directory of the test's own."""
    return place()


@pytest.fixture(scope="module")
def running(shared_place: Places) -> Pipeline:
    """An embedded pipeline with a consumer at work, for tests that need no place of their own.

    They use users, days and dead letters of their own.
    """
    pipeline = shared_place()
    pipeline.consumer()
    return pipeline


@pytest.fixture(scope="module")
def llm() -> Iterator[LLMServer]:
    with llm_server() as server:
        yield server
