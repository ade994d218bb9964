"""MongoDB clients of either driver, and the one place that translates PyMongo's exceptions."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any, cast

from bson.codec_options import CodecOptions
from bson.errors import BSONError
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    InvalidOperation,
    NotPrimaryError,
    PyMongoError,
    WriteError,
)

from domains.kernel.errors import OutageKind, StoreOutage, StoreRefused
from infrastructure.settings import Settings, SettingsError

Document = dict[str, Any]

_OPTIONS: Document = {
    "appname": "pomocore-data-pipeline",
    "serverSelectionTimeoutMS": 5000,
    "connectTimeoutMS": 5000,
    "socketTimeoutMS": 20_000,
    "w": "majority",
}


def make_client(settings: Settings) -> AsyncMongoClient[Document]:
    """A Motor or a PyMongo client. The adapters use only calls that both drivers have.

    Options in the URI, such as `w`, win over ours.
    """
    assert settings.mongo_uri is not None, "the URI is known before a client is made"
    uri = settings.mongo_uri.get_secret_value()
    path, _, query = uri.partition("://")[2].partition("/")[2].partition("?")
    if "@" in path:  # the driver would take half of the password for the name of the server
        raise SettingsError("MONGO_URI: @ : / ? # and % must be percent-encoded in the user's name and password")
    given = {option.partition("=")[0].lower() for option in re.split("[&;]", query)}
    options = {name: value for name, value in _OPTIONS.items() if name.lower() not in given}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # the driver only warns of an option that it does not know
            if settings.mongo_driver == "pymongo":
                return AsyncMongoClient(uri, **options)
            return cast("AsyncMongoClient[Document]", AsyncIOMotorClient(uri, **options))
    # without the error's text, which may contain the password
    except (PyMongoError, ValueError, OSError, UserWarning) as error:
        raise SettingsError(f"MONGO_URI: not a URI that the driver accepts ({type(error).__name__})") from None


def make_database(client: AsyncMongoClient[Document], name: str) -> AsyncDatabase[Document]:
    """Text that is not UTF-8 is read with U+FFFD in it: Spring stores half a surrogate pair as such bytes."""
    lenient = CodecOptions[Document](tz_aware=True, tzinfo=UTC, unicode_decode_error_handler="replace")
    return client.get_database(name, codec_options=lenient)


_DATA_TO_BLAME = (
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    InvalidOperation,
    WriteError,
)
DATA_CODES = frozenset({2, 9, 14, 22, 121, 10334, 17280, 17419})
"""BadValue, FailedToParse, TypeMismatch, InvalidBSON, DocumentValidationFailure, and three for documents that are
too large."""


_KINDS = {
    **dict.fromkeys((13, 18, 8000), OutageKind.FORBIDDEN),
    **dict.fromkeys((10058, 10107, 13435), OutageKind.READ_ONLY),
    14031: OutageKind.FULL,
}
"""Unauthorized, AuthenticationFailed, AtlasError (a wrong password); three of a server that is no primary;
OutOfDiskSpace."""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translates PyMongo's exceptions into StoreOutage, or into StoreRefused if the data sent are at fault."""
    try:
        yield
    except (BSONError, OverflowError) as cause:
        raise StoreRefused(f"{type(cause).__name__}: {cause}") from cause
    except (PyMongoError, OSError) as cause:
        message, code = f"{type(cause).__name__}: {_brief(cause)}", getattr(cause, "code", None)
        if isinstance(cause, _DATA_TO_BLAME) or code in DATA_CODES:
            raise StoreRefused(message) from cause
        raise StoreOutage(message, _kind_of(cause, code)) from cause


def _kind_of(cause: Exception, code: int | None) -> OutageKind:
    if isinstance(cause, NotPrimaryError):
        return OutageKind.READ_ONLY
    return OutageKind.UNREACHABLE if isinstance(cause, ConnectionFailure | OSError) else kind_of_code(code)


def kind_of_code(code: int | None) -> OutageKind:
    """What an error code of MongoDB says of the server."""
    return _KINDS.get(code or 0, OutageKind.UNUSABLE)


def _brief(cause: Exception) -> str:
    """Its text without what the driver adds for its own developers: time-outs and the topology."""
    return re.sub(r" \(configured timeouts: [^)]*\)|, Timeout: [\d.]+s, Topology Description: .*", "", str(cause))
