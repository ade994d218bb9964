"""What goes wrong while a request is answered: told in the log, but never so often that somebody could fill it."""

import logging
from time import monotonic

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

_EVERY_SECONDS = 60.0


class FailureLog:
    """Logs one failure a minute, and with it how many there were since the last one."""

    def __init__(self) -> None:
        self._next = 0.0
        self._left_out = 0
        self._log = structlog.stdlib.get_logger("pomocore")

    def failed(self, request: web.Request, error: Exception) -> None:
        if monotonic() < self._next:
            self._left_out += 1
            return
        self._next = monotonic() + _EVERY_SECONDS
        resource = request.match_info.route.resource  # the path as such may hold a user's name
        self._log.error(
            "A request failed",
            action="http_failed",
            method=request.method,
            path=None if resource is None else resource.canonical,
            more=self._left_out,
            exc_info=error,
        )
        self._left_out = 0


class _NoBadRequests(logging.Filter):
    """What is no HTTP is the client's fault: it gets 400, and no traceback in our log."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def server_log() -> logging.Logger:
    """For aiohttp's server."""
    log = logging.getLogger("pomocore.http")
    if not log.filters:
        log.addFilter(_NoBadRequests())
    return log
