"""No exception of a driver crosses a port: each becomes an outage or a refusal, with its cause."""

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import asyncpg.exceptions
import bson.errors
import pymongo.errors
import pytest
import redis.exceptions

from domains.kernel.errors import (
    GroupMissing,
    Outage,
    OutageKind,
    PipelineError,
    RedisOutage,
    StoreOutage,
    StoreRefused,
)
from infrastructure.mongo import client as mongo_client
from infrastructure.postgres import client as postgres_client
from infrastructure.redis import client as redis_client
from infrastructure.settings import Settings


def exceptions_of(module: ModuleType) -> list[type[Exception]]:
    """All exception classes that a module offers, but for warnings."""
    found = [cls for _, cls in inspect.getmembers(module, inspect.isclass) if issubclass(cls, Exception)]
    return [cls for cls in found if not issubclass(cls, Warning)]


def subclasses(cls: type[Exception]) -> Iterator[type[Exception]]:
    yield cls
    for child in cls.__subclasses__():
        yield from subclasses(child)


def made(cls: type[Exception]) -> Exception:
    """An exception as its driver might raise it. Arguments that its constructor needs are the driver's own shapes."""
    arguments: dict[str, tuple[Any, ...]] = {
        "BulkWriteError": ({"writeErrors": [], "writeConcernErrors": []},),
        "ClientBulkWriteException": ({"writeErrors": []}, True),
        "EncryptionError": (ValueError("a key"),),
        "EncryptedCollectionError": (ValueError("a key"), {}),
        "AskError": ("1 127.0.0.1:7000",),
        "MovedError": ("1 127.0.0.1:7000",),
    }
    return cls(*arguments.get(cls.__name__, ("the driver's words",)))


def translation(translate: Callable[[], Any], cause: BaseException) -> PipelineError:
    with pytest.raises(PipelineError) as caught, translate():
        raise cause
    assert caught.value.__cause__ is cause
    return caught.value


# Redis

_NEVER_AN_ANSWER = {
    "ChildDeadlockedError",  # the synchronous client's, after a fork
    "IncorrectPolicyType",  # a wrong call of redis-py's own, found before anything is sent
}
_REDIS = sorted(
    (cls for cls in exceptions_of(redis.exceptions) if cls.__name__ not in _NEVER_AN_ANSWER),
    key=lambda cls: cls.__name__,
)


def test_the_walk_finds_redis_pys_exceptions() -> None:
    assert {redis.exceptions.ConnectionError, redis.exceptions.RedisClusterException} <= set(_REDIS)
    assert len(_REDIS) > 20


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ConnectionRefusedError("refused"), OutageKind.UNREACHABLE),
        (redis.exceptions.TimeoutError("no answer"), OutageKind.UNREACHABLE),
        (redis.exceptions.AuthenticationError("WRONGPASS"), OutageKind.FORBIDDEN),
        (redis.exceptions.NoPermissionError("no permission"), OutageKind.FORBIDDEN),
        (redis.exceptions.BusyLoadingError("loading"), OutageKind.STARTING),
        (redis.exceptions.ReadOnlyError("a replica"), OutageKind.READ_ONLY),
        (redis.exceptions.ResponseError("Error running script: -OOM command not allowed"), OutageKind.FULL),
        (redis.exceptions.ResponseError("WRONGTYPE Operation against a key"), OutageKind.WRONG_TYPE),
        (redis.exceptions.ResponseError("ERR syntax error"), OutageKind.UNUSABLE),
    ],
)
def test_what_is_wrong_with_redis(cause: Exception, kind: OutageKind) -> None:
    error = translation(redis_client.translated_errors, cause)
    assert isinstance(error, Outage)
    assert error.kind is kind


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (pymongo.errors.ServerSelectionTimeoutError("no server"), OutageKind.UNREACHABLE),
        (pymongo.errors.OperationFailure("Authentication failed.", 18), OutageKind.FORBIDDEN),
        (pymongo.errors.OperationFailure("disk", 14031), OutageKind.FULL),
        (pymongo.errors.NotPrimaryError("not primary", {"code": 10107}), OutageKind.READ_ONLY),
        (pymongo.errors.OperationFailure("?", 99999), OutageKind.UNUSABLE),
    ],
)
def test_what_is_wrong_with_mongodb(cause: Exception, kind: OutageKind) -> None:
    error = translation(mongo_client.translated_errors, cause)
    assert isinstance(error, Outage)
    assert error.kind is kind


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (asyncpg.exceptions.InvalidPasswordError("no"), OutageKind.FORBIDDEN),
        (asyncpg.exceptions.CannotConnectNowError("starting up"), OutageKind.STARTING),
        (asyncpg.exceptions.DiskFullError("full"), OutageKind.FULL),
        (asyncpg.exceptions.ConnectionDoesNotExistError("gone"), OutageKind.UNREACHABLE),
        (asyncpg.exceptions.UndefinedTableError("none"), OutageKind.UNUSABLE),
    ],
)
def test_what_is_wrong_with_postgresql(cause: Exception, kind: OutageKind) -> None:
    error = translation(postgres_client.translated_errors, cause)
    assert isinstance(error, Outage)
    assert error.kind is kind


@pytest.mark.parametrize("cls", _REDIS, ids=lambda cls: cls.__name__)
def test_what_redis_py_raises_is_an_outage(cls: type[Exception]) -> None:
    assert type(translation(redis_client.translated_errors, made(cls))) is RedisOutage


@pytest.mark.parametrize(
    "cls", [ConnectionRefusedError, ConnectionResetError, BrokenPipeError, TimeoutError, OSError]
)
def test_what_the_socket_raises_is_an_outage_of_redis(cls: type[OSError]) -> None:
    assert type(translation(redis_client.translated_errors, cls("the system's words"))) is RedisOutage


@pytest.mark.parametrize(
    "answer",
    [
        "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
        "UNBLOCKED the stream key no longer exists",
        "-NOGROUP No such key 's' or consumer group 'g'",
        "NOGROUP No such consumer group 'g' for key name 's' script: 1234, on @user_script:3.",
        "Error running script (call to f_1): @user_script:3: NOGROUP No such key 's' or consumer group 'g'",
    ],
)
def test_a_group_that_is_gone_is_told_apart(answer: str) -> None:
    cause = redis.exceptions.ResponseError(answer)

    assert type(translation(redis_client.translated_errors, cause)) is GroupMissing


@pytest.mark.parametrize(
    "answer",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "READONLY You can't write against a read only replica.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "LOADING Redis is loading the dataset in memory",
        "MISCONF Redis is configured to save RDB snapshots",
        "NOAUTH Authentication required.",
        "NOGROUPS is another word",
    ],
)
def test_other_answers_of_redis_leave_the_group_in_peace(answer: str) -> None:
    assert type(translation(redis_client.translated_errors, redis.exceptions.ResponseError(answer))) is RedisOutage


# MongoDB

_MONGO = sorted(
    {
        *exceptions_of(pymongo.errors),
        *exceptions_of(bson.errors),
        *subclasses(pymongo.errors.PyMongoError),
        *subclasses(bson.errors.BSONError),
    }
    # certificates, where PyMongo re-exports the standard library's class, are an OSError of the socket below
    - {cls for cls in exceptions_of(pymongo.errors) if not cls.__module__.startswith(("pymongo", "bson"))},
    key=lambda cls: cls.__qualname__,
)

_REFUSALS = {
    "BulkWriteError",
    "BSONError",
    "DocumentTooLarge",
    "DuplicateKeyError",
    "InvalidBSON",
    "InvalidDocument",
    "InvalidId",
    "InvalidOperation",
    "InvalidStringData",
    "WriteError",
}


def test_the_walk_finds_pymongos_exceptions() -> None:
    assert {pymongo.errors.AutoReconnect, pymongo.errors.BulkWriteError, bson.errors.InvalidId} <= set(_MONGO)
    assert len(_MONGO) > 20


@pytest.mark.parametrize("cls", _MONGO, ids=lambda cls: cls.__name__)
def test_what_pymongo_raises_is_an_outage_or_the_fault_of_the_data(cls: type[Exception]) -> None:
    error = translation(mongo_client.translated_errors, made(cls))

    if isinstance(error, Outage):
        assert type(error) is StoreOutage
        assert cls.__name__ not in _REFUSALS
    else:
        assert type(error) is StoreRefused
        assert cls.__name__ in _REFUSALS


@pytest.mark.parametrize(
    "cls",
    [
        pymongo.errors.AutoReconnect,
        pymongo.errors.ConnectionFailure,
        pymongo.errors.ExecutionTimeout,
        pymongo.errors.NetworkTimeout,
        pymongo.errors.NotPrimaryError,
        pymongo.errors.ServerSelectionTimeoutError,
        pymongo.errors.WTimeoutError,
        pymongo.errors.WaitQueueTimeoutError,
        pymongo.errors.WriteConcernError,
    ],
)
def test_a_mongodb_that_is_away_is_never_the_fault_of_the_data(cls: type[Exception]) -> None:
    assert type(translation(mongo_client.translated_errors, made(cls))) is StoreOutage


@pytest.mark.parametrize("cls", [OverflowError, bson.errors.InvalidDocument, bson.errors.InvalidId])
def test_what_cannot_be_encoded_is_the_fault_of_the_data(cls: type[Exception]) -> None:
    assert type(translation(mongo_client.translated_errors, cls("too large"))) is StoreRefused


@pytest.mark.parametrize(
    ("code", "name", "expected"),
    [
        (2, "BadValue", StoreRefused),
        (14, "TypeMismatch", StoreRefused),
        (121, "DocumentValidationFailure", StoreRefused),
        (10334, "BSONObjectTooLarge", StoreRefused),
        (13, "Unauthorized", StoreOutage),
        (18, "AuthenticationFailed", StoreOutage),
        (50, "MaxTimeMSExpired", StoreOutage),
        (91, "ShutdownInProgress", StoreOutage),
        (189, "PrimarySteppedDown", StoreOutage),
        (10107, "NotWritablePrimary", StoreOutage),
        (14031, "OutOfDiskSpace", StoreOutage),
        (None, "no code", StoreOutage),
    ],
)
def test_the_code_of_a_failed_command_decides(code: int | None, name: str, expected: type[PipelineError]) -> None:
    cause = pymongo.errors.OperationFailure(name, code)

    assert type(translation(mongo_client.translated_errors, cause)) is expected


@pytest.mark.parametrize("cls", [ConnectionRefusedError, TimeoutError, OSError])
def test_what_the_socket_raises_is_an_outage_of_mongodb(cls: type[OSError]) -> None:
    assert type(translation(mongo_client.translated_errors, cls("the system's words"))) is StoreOutage


# Both


@pytest.mark.parametrize("translate", [redis_client.translated_errors, mongo_client.translated_errors])
@pytest.mark.parametrize("cls", [KeyError, AttributeError, RuntimeError])
def test_an_error_of_our_own_is_not_disguised(cls: type[Exception], translate: Callable[[], Any]) -> None:
    with pytest.raises(cls), translate():
        raise cls("a bug")


async def test_a_client_that_cannot_connect_raises_an_outage() -> None:
    client = redis_client.make_client(Settings(redis_addr="127.0.0.1:1"))

    with pytest.raises(RedisOutage, match="ConnectionError"), redis_client.translated_errors():
        await client.ping()


# PostgreSQL

_POSTGRES = sorted({*exceptions_of(asyncpg.exceptions)}, key=lambda cls: cls.__qualname__)


def test_the_walk_finds_asyncpgs_exceptions() -> None:
    assert {asyncpg.exceptions.UniqueViolationError, asyncpg.exceptions.InterfaceError} <= set(_POSTGRES)
    assert len(_POSTGRES) > 200


@pytest.mark.parametrize("cls", _POSTGRES, ids=lambda cls: cls.__name__)
def test_what_asyncpg_raises_is_an_outage_or_a_refusal(cls: type[Exception]) -> None:
    of_data = (asyncpg.exceptions.DataError, asyncpg.exceptions.IntegrityConstraintViolationError)
    is_refusal = issubclass(cls, (*of_data, asyncpg.exceptions.ProgramLimitExceededError))
    expected = StoreRefused if is_refusal else StoreOutage
    assert type(translation(postgres_client.translated_errors, made(cls))) is expected


@pytest.mark.parametrize("cls", [ConnectionRefusedError, TimeoutError, OSError])
def test_what_the_socket_raises_is_an_outage_of_postgres(cls: type[OSError]) -> None:
    assert type(translation(postgres_client.translated_errors, cls("the system's words"))) is StoreOutage
