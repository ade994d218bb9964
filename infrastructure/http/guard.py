"""Only a request of this site with ADMIN_TOKEN may change something or see titles of windows."""

import hmac
import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from pydantic import SecretStr

_FREE_TRIES = 3
_LONGEST_SECONDS = 300.0
_REMOTES = 10_000


class Guard:
    """Slows down guessing: after a few wrong tokens, an address has to wait for a time that doubles."""

    def __init__(self, token: SecretStr | None, address_of: Callable[[web.Request], str]) -> None:
        self._token = None if token is None else token.get_secret_value().encode()
        self._address_of = address_of
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._log = structlog.stdlib.get_logger("pomocore")

    @property
    def has_token(self) -> bool:
        return self._token is not None

    def admits(self, request: web.Request) -> bool:
        """Whether the request has the token. A wrong token raises 401 or 429; it does not count as anonymous."""
        if "Authorization" not in request.headers or self._token is None:
            return False
        remote = self._address_of(request)
        self._refuse_while_slowed(remote)
        scheme, _, given = request.headers["Authorization"].partition(" ")
        given_bytes = given.strip().encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given_bytes, self._token) or scheme.lower() != "bearer":
            self._slow_down(remote)
            raise _unauthorized("the token is wrong")
        self._wrong.pop(remote, None)
        return True

    def require(self, request: web.Request) -> None:
        """Raises 403 if ADMIN_TOKEN is not set, and 401 or 429 if the request does not have it."""
        if self._token is None:
            raise web.HTTPForbidden(text="nothing can be changed here: ADMIN_TOKEN is not set")
        if not self.admits(request):
            raise _unauthorized("ADMIN_TOKEN is needed: Authorization: Bearer …")

    def changed(self, request: web.Request, what: str, item: str) -> None:
        """Logs a change by somebody with the token."""
        remote = self._address_of(request)
        self._log.info("Changed by an administrator", action="admin", what=what, item=item, remote=remote)

    def _refuse_while_slowed(self, remote: str) -> None:
        left = self._wrong.get(remote, (0, 0.0))[1] - monotonic()
        if left > 0:
            raise web.HTTPTooManyRequests(text="too many wrong tokens", headers={"Retry-After": str(math.ceil(left))})

    def _slow_down(self, remote: str) -> None:
        count = self._wrong.get(remote, (0, 0.0))[0] + 1
        seconds = min(_LONGEST_SECONDS, 2.0 ** min(count - _FREE_TRIES, 20)) if count >= _FREE_TRIES else 0.0
        self._wrong[remote] = (count, monotonic() + seconds)
        self._wrong.move_to_end(remote)
        while len(self._wrong) > _REMOTES:
            self._wrong.popitem(last=False)
        self._log.warning("Wrong token", action="admin_refused", remote=remote, tries=count)


def refuse_other_sites(request: web.Request) -> None:
    """Raises 403 for requests that a browser sends for another site's page."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise web.HTTPForbidden(text="another site asks")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
        raise web.HTTPForbidden(text="another site asks")


def refuse_forms(request: web.Request) -> None:
    """Raises 415 if the body is not JSON: another site's page cannot send JSON without a preflight request."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Content-Type must be application/json")


def _unauthorized(text: str) -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(text=text, headers={"WWW-Authenticate": "Bearer"})
