"""Only a request of this site with ADMIN_TOKEN may change something or see titles of windows."""

import hmac
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from time import monotonic
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from domains.operations.ports import AuditPort
from infrastructure.collector.tokens import Tokens

_FREE_TRIES = 3
_LONGEST_SECONDS = 300.0
_REMOTES = 10_000


class Guard:
    """Slows down guessing: after a few wrong tokens, an address has to wait for a time that doubles."""

    def __init__(
        self, tokens: Mapping[str, str], users: Tokens, address_of: Callable[[web.Request], str], audit: AuditPort
    ) -> None:
        """`tokens` by the names of their owners; `users` are those with which users may see what is their own."""
        self._users = users
        self._tokens = {name: token.encode() for name, token in tokens.items()}
        self._audit = audit
        self._address_of = address_of
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._log = structlog.stdlib.get_logger("pomocore")

    @property
    def has_token(self) -> bool:
        return bool(self._tokens)

    @property
    def users_have_tokens(self) -> bool:
        return bool(self._users)

    def user_of(self, request: web.Request) -> str | None:
        """The user whose own token the request has."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return self._users.user_of(token.strip()) if scheme.lower() == "bearer" else None

    def admits(self, request: web.Request) -> bool:
        """Whether the request has the token. A wrong token raises 401 or 429; it does not count as anonymous.

        A user's own token does: it is not wrong, and there is more to see only of what is theirs.
        """
        if "Authorization" not in request.headers or not self._tokens or self.user_of(request) is not None:
            return False
        remote = self._address_of(request)
        self._refuse_while_slowed(remote)
        if not self._owners(request):
            self._slow_down(remote)
            raise _unauthorized("the token is wrong")
        self._wrong.pop(remote, None)
        return True

    def require(self, request: web.Request) -> None:
        """Raises 403 if ADMIN_TOKEN is not set, and 401 or 429 if the request does not have it."""
        if not self._tokens:
            raise web.HTTPForbidden(text="nobody may do that here: ADMIN_TOKEN is not set")
        if not self.admits(request):
            raise _unauthorized("ADMIN_TOKEN is needed: Authorization: Bearer …")

    def owner(self, request: web.Request) -> str:
        """The name of whose token an admitted request has."""
        return self._owners(request)[0]

    async def changed(self, request: web.Request, what: str, item: str, outcome: str = "done") -> None:
        """Notes a change by somebody with a token."""
        remote, owner = self._address_of(request), self.owner(request)
        self._log.info("Changed by an administrator", action="admin", what=what, item=item, remote=remote, who=owner)
        await self._audit.note(f"{owner} from {remote}", what, item, outcome)

    def _owners(self, request: web.Request) -> list[str]:
        """The names of those whose token the request has."""
        scheme, _, given = request.headers["Authorization"].partition(" ")
        given_bytes = given.strip().encode("utf-8", "surrogateescape")
        owners = [name for name, token in self._tokens.items() if hmac.compare_digest(given_bytes, token)]
        return owners if scheme.lower() == "bearer" else []

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
