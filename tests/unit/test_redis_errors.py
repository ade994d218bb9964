"""What redis-py lets through that is no error of its own."""

from collections.abc import Callable
from typing import Any

import pytest

from domains.kernel.errors import RedisOutage
from infrastructure.redis.client import translated_errors


def raising(module: str, error: Exception) -> Callable[[], Any]:
    """A function of `module` that raises `error`."""
    names: dict[str, Any] = {"__name__": module, "error": error}
    exec("def fail():\n    raise error", names)
    return names["fail"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("module", ["redis.asyncio.connection", "redis.asyncio.cluster"])
@pytest.mark.parametrize(
    "error", [RuntimeError("the handler is closed"), AttributeError("write"), IndexError("out of range")]
)
def test_a_connection_that_is_closed_under_a_write_is_an_outage(module: str, error: Exception) -> None:
    with pytest.raises(RedisOutage), translated_errors():
        raising(module, error)()


def test_an_error_of_our_own_is_none() -> None:
    with pytest.raises(RuntimeError), translated_errors():
        raising("infrastructure.redis.commit", RuntimeError("a mistake"))()
