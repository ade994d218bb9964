"""Redis clients, and the one place that translates redis-py's exceptions."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from traceback import walk_tb
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from domains.kernel.errors import GroupMissing, OutageKind, RedisOutage
from infrastructure.settings import Settings, names_of, split_address

Entries = list[tuple[str, dict[str, str]]]
"""The reply of XRANGE: ids and fields. redis-py's own type leaves open whether replies are decoded."""

_SENTINEL_SECONDS = 1.0
"""Each sentinel is asked in turn, so one that is away must not take long."""
_KINDS: tuple[tuple[tuple[type[Exception], ...], OutageKind], ...] = (
    ((AuthenticationError, AuthorizationError, NoPermissionError), OutageKind.FORBIDDEN),
    ((ReadOnlyError,), OutageKind.READ_ONLY),
    ((OutOfMemoryError,), OutageKind.FULL),
    ((BusyLoadingError,), OutageKind.STARTING),
    (
        (RedisConnectionError, RedisTimeoutError, ClusterDownError, RedisClusterException, OSError),
        OutageKind.UNREACHABLE,
    ),
)
"""Subclasses first."""
_CODES = {
    "NOAUTH": OutageKind.FORBIDDEN,
    "NOPERM": OutageKind.FORBIDDEN,
    "READONLY": OutageKind.READ_ONLY,
    "MISCONF": OutageKind.READ_ONLY,
    "OOM": OutageKind.FULL,
    "LOADING": OutageKind.STARTING,
    "WRONGTYPE": OutageKind.WRONG_TYPE,
}
_CODE = re.compile(rf"\b({'|'.join(_CODES)})\b")
_GROUP_MISSING = re.compile(r"\b(NOGROUP|UNBLOCKED)\b")


def make_client(settings: Settings, reply_timeout: float = 5.0) -> Redis:
    """A client that decodes text, keeps undecodable bytes as surrogates, and never repeats a command by itself.

    The breaker decides which calls are repeated, and when. `reply_timeout` is in seconds. On a cluster the client is
    a RedisCluster, which has the same calls.
    """
    options: dict[str, Any] = {
        "username": settings.redis_username,
        "password": settings.redis_password.get_secret_value() if settings.redis_password else None,
        "protocol": settings.redis_protocol,
        "decode_responses": True,
        "encoding_errors": "surrogateescape",
        "socket_timeout": reply_timeout,
        "socket_connect_timeout": 5.0,
        "max_connections": 10_000,  # far more than readers and commits under way
    }
    if settings.redis_tls:
        options |= {"ssl": True, **_tls_files(settings)}
    options |= {"retry": Retry(NoBackoff(), 0)}
    if settings.redis_sentinels:
        return _client_by_sentinels(settings, options | {"db": settings.redis_db})
    address = settings.redis_addr
    assert address is not None, "the address is known before a client is made"
    if settings.redis_cluster:
        host, port = split_address(address)
        return cast("Redis", RedisCluster(host=host, port=port, **options))
    options |= {"db": settings.redis_db}
    if address.startswith("unix://"):
        return Redis(unix_socket_path=address.removeprefix("unix://"), **options)
    host, port = split_address(address)
    return Redis(host=host, port=port, socket_keepalive=True, **options)


async def close_client(client: Redis) -> None:
    await client.aclose()
    if not isinstance(client, RedisCluster) and isinstance(client.connection_pool, SentinelConnectionPool):
        await client.connection_pool.sentinel_manager.aclose()


def _client_by_sentinels(settings: Settings, options: dict[str, Any]) -> Redis:
    """A client of the master that the sentinels name whenever it connects."""
    to_sentinels = {name: value for name, value in options.items() if name.startswith("ssl")} | {
        "password": settings.redis_sentinel_password and settings.redis_sentinel_password.get_secret_value(),
        "decode_responses": True,
        "socket_timeout": _SENTINEL_SECONDS,
        "socket_connect_timeout": _SENTINEL_SECONDS,
        "retry": options["retry"],
    }
    sentinels = [split_address(address) for address in names_of(settings.redis_sentinels)]
    manager = Sentinel(sentinels, sentinel_kwargs=to_sentinels)  # type: ignore[no-untyped-call]
    return cast("Redis", manager.master_for(settings.redis_master_name, socket_keepalive=True, **options))


def _tls_files(settings: Settings) -> dict[str, str]:
    files = {
        "ssl_ca_certs": settings.redis_tls_ca,
        "ssl_certfile": settings.redis_tls_cert,
        "ssl_keyfile": settings.redis_tls_key,
    }
    return {name: str(path) for name, path in files.items() if path is not None}


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translates redis-py's exceptions into RedisOutage or GroupMissing.

    No error of Redis can be the fault of a single message, since the commit script catches scores that a board cannot
    take. Any error here therefore means that nothing works now, and nothing may be acknowledged or parked.
    """
    before = _cancellations()
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as cause:
        if _cancellations() > before:  # it came together with the error, and redis-py has lost it
            raise asyncio.CancelledError from cause
        error = GroupMissing if _GROUP_MISSING.search(str(cause)) else RedisOutage
        raise error(f"{type(cause).__name__}: {cause}", _kind_of(cause)) from cause
    except (AttributeError, IndexError, RuntimeError) as cause:
        # when it looks for the masters, the cluster client closes connections to which other tasks are writing;
        # uvloop raises no OSError if a connection is closed while it is being opened; and a command of two words
        # finds no key if it is the first one after the client has lost its table of commands
        if not _out_of_client(cause):
            raise
        raise RedisOutage(f"{type(cause).__name__}: {cause}", OutageKind.UNREACHABLE) from cause


def _cancellations() -> int:
    """How often the current task has been told to end."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop is running
        return 0
    return task.cancelling() if task is not None else 0


def _kind_of(cause: Exception) -> OutageKind:
    """By redis-py's class, and of an error in a script by the code that Redis gave."""
    for classes, kind in _KINDS:
        if isinstance(cause, classes):
            return kind
    code = _CODE.search(str(cause))
    return OutageKind.UNUSABLE if code is None else _CODES[code[0]]


def _out_of_client(error: Exception) -> bool:
    modules = (RedisCluster.__module__, Connection.__module__)
    return any(frame.f_globals.get("__name__") in modules for frame, _ in walk_tb(error.__traceback__))


async def guarded(client: Redis, reply: Awaitable[object]) -> Any:
    """The reply, with errors translated. After an error, connections are reopened: the master may have moved."""
    try:
        with translated_errors():
            return await reply
    except RedisOutage:
        if isinstance(client, Redis):  # a RedisCluster finds the masters by itself
            await client.connection_pool.disconnect(inuse_connections=False)
        raise


@asynccontextmanager
async def pipelined(client: Redis) -> AsyncIterator[Any]:
    """A pipeline. On a cluster, the client may look for the masters at its beginning, and find none."""
    with translated_errors():
        async with client.pipeline(transaction=False) as pipeline:
            yield pipeline
