"""What redis-py lets through that is no error of its own."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis

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


async def test_a_cancellation_that_the_driver_takes_for_an_error_is_one() -> None:
    begun = asyncio.Event()

    async def call() -> None:
        with translated_errors():
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise redis.TimeoutError("nothing came") from None

    task = asyncio.create_task(call())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_after_a_cancellation_is_an_error() -> None:
    async def call() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with pytest.raises(RedisOutage), translated_errors():
                raise redis.TimeoutError("nothing came") from None

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    await task
