"""Visits a site: robots.txt, the front page, and the web app manifest that the page names. Nothing else is asked for.

It takes a site for an attacker: it connects to public addresses only, stays on the site, reads a bounded number of
bytes in a bounded time, and tells the site nothing but who it is.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from ssl import SSLContext
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver
from protego import Protego
from yarl import URL

from domains.kernel.errors import PipelineError
from domains.patternClassifier.urls import split_url
from domains.siteProfile.choice import SiteChoice
from domains.siteProfile.model import VisitOutcome
from domains.siteProfile.ports import Visit
from infrastructure.sites.addresses import ForbiddenAddress, MayConnect, guarded_sockets, is_public
from infrastructure.sites.page_parser import ParsedPage, parse_manifest, parse_page

T = TypeVar("T")

PRODUCT = "PomocoreSiteProfiler"
"""The name by which a robots.txt addresses this fetcher."""

_MOST_BYTES = 524_288
_MOST_REDIRECTS = 3
_PARSE_SECONDS = 2.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TOO_MANY_REQUESTS = 429
_HTML = ("text/html", "application/xhtml+xml")
_PORTS = {"http": 80, "https": 443}


def user_agent(version: str, contact: str) -> str:
    return f"{PRODUCT}/{version} ({f'+{contact}; ' if contact else ''}reads front pages to learn what a site is for)"


class _Ended(Exception):
    """The visit has ended without a page."""

    def __init__(self, outcome: VisitOutcome, detail: str = "") -> None:
        super().__init__(detail)
        self.visit = Visit(outcome, detail=detail)


class _Answer(NamedTuple):
    url: URL
    status: int
    location: str
    content_type: str
    charset: str | None
    body: bytes


class SiteFetcher:
    """SiteFetcherPort. `turn` waits for the next request's turn, which all instances share.

    The requests of a visit together may take `seconds`, in which waiting for turns does not count. `may_connect`,
    `resolver` and `tls` are for tests, whose sites are on this machine.
    """

    def __init__(
        self,
        choice: SiteChoice,
        turn: Callable[[], Awaitable[None]],
        agent: str,
        may_connect: MayConnect = is_public,
        resolver: AbstractResolver | None = None,
        tls: SSLContext | bool = True,
        seconds: float = 5.0,
    ) -> None:
        self._choice = choice
        self._turn = turn
        self._agent = agent
        self._reading = ThreadPoolExecutor(1, "site pages")  # one: several would keep the event loop from its turn
        self._may_connect = may_connect
        self._resolver = resolver
        self._tls = tls
        self._seconds = seconds

    async def visit(self, site: str) -> Visit:
        connector = TCPConnector(
            socket_factory=guarded_sockets(self._may_connect),
            resolver=self._resolver,
            ssl=self._tls,
            force_close=True,
            use_dns_cache=False,
            limit=2,
        )
        session = ClientSession(
            connector=connector,
            connector_owner=True,
            headers={
                "User-Agent": self._agent,
                "Accept-Encoding": "gzip, deflate",
                "Accept-Language": "ko, en;q=0.8",
            },
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=ClientTimeout(total=self._seconds),
        )
        async with session:
            return await _outcome(_Visit(site, session, self._choice, self._turn, self._read, self._seconds))

    async def _read(self, parse: Callable[[], T]) -> T:
        """What `parse` returns, which runs beside the event loop. It is bounded by the size of what it reads."""
        async with asyncio.timeout(_PARSE_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(self._reading, parse)


async def _outcome(visit: "_Visit") -> Visit:
    try:
        return await visit.look()
    except _Ended as end:
        return end.visit
    except TimeoutError:
        return Visit(VisitOutcome.TIMEOUT)
    except (ClientError, OSError) as cause:
        refused = isinstance(getattr(cause, "os_error", cause), ForbiddenAddress)
        outcome = VisitOutcome.FORBIDDEN_ADDRESS if refused else VisitOutcome.UNREACHABLE
        return Visit(outcome, detail=type(cause).__name__)  # the text of the error may be the site's
    except PipelineError:
        raise
    except Exception as cause:  # whatever a site makes the client stumble over
        return Visit(VisitOutcome.UNREADABLE, detail=type(cause).__name__)


class _Visit:
    """One visit."""

    def __init__(
        self,
        site: str,
        session: ClientSession,
        choice: SiteChoice,
        turn: Callable[[], Awaitable[None]],
        read: Callable[[Callable[[], Any]], Awaitable[Any]],
        seconds: float,
    ) -> None:
        self._site = site
        self._session = session
        self._choice = choice
        self._turn = turn
        self._read = read
        self._seconds = seconds
        self._robots: dict[URL, Protego | None] = {}

    async def look(self) -> Visit:
        front = URL.build(scheme="https", host=self._site, path="/")
        answer = await self._follow(front, obey_robots=True)
        if answer.status != 200:
            raise _Ended(VisitOutcome.STATUS, str(answer.status))
        if answer.content_type and answer.content_type not in _HTML:
            raise _Ended(VisitOutcome.NOT_HTML, answer.content_type[:60])
        page: ParsedPage = await self._read(partial(parse_page, answer.body, answer.charset))
        facts = page.facts
        if page.manifest and (manifest := await self._manifest(answer.url, page.manifest)):
            facts = replace(facts, manifest=manifest)
        return Visit(VisitOutcome.PAGE, facts)

    async def _manifest(self, page: URL, named: str) -> tuple[str, ...]:
        """The categories of the manifest. Whatever goes wrong with it, the page remains."""
        try:
            answer = await self._follow(self._of_site(page, named), obey_robots=True)
        except (_Ended, ClientError, OSError, ValueError):  # a TimeoutError is an OSError
            return ()
        return await self._read(partial(parse_manifest, answer.body)) if answer.status == 200 else ()

    async def _follow(self, url: URL, obey_robots: bool) -> _Answer:
        """The answer behind at most three redirects, all of them to hosts of the site."""
        for _ in range(_MOST_REDIRECTS + 1):
            if obey_robots and not await self._may_get(url):
                raise _Ended(VisitOutcome.ROBOTS)
            answer = await self._get(url)
            if answer.status not in _REDIRECTS or not answer.location:
                return answer
            url = self._of_site(url, answer.location)
        raise _Ended(VisitOutcome.REDIRECT, f"more than {_MOST_REDIRECTS}")

    def _of_site(self, base: URL, reference: str) -> URL:
        """Where a reference of the site leads, if that is the site itself, on the ports of the web."""
        try:
            url = base.join(URL(reference))
            port, host = url.port, url.host or ""
        except ValueError:
            raise _Ended(VisitOutcome.REDIRECT, "no URL") from None
        if _PORTS.get(url.scheme) != port or url.user or url.password:
            raise _Ended(VisitOutcome.REDIRECT, "no page of the web")
        elsewhere = self._choice.site_of_host(split_url(f"https://{host}/")[0])
        if elsewhere != self._site:
            raise _Ended(VisitOutcome.REDIRECT, f"to {elsewhere}" if elsewhere else "to no public site")
        return url.with_fragment(None)

    async def _may_get(self, url: URL) -> bool:
        origin = url.origin()
        if origin not in self._robots:
            self._robots[origin] = await self._rules_of(origin)
        rules = self._robots[origin]
        return rules is not None and rules.can_fetch(str(url), PRODUCT)

    async def _rules_of(self, origin: URL) -> Protego | None:
        """The origin's robots.txt; None if the server failed to give it: then nothing may be asked for (RFC 9309)."""
        answer = await self._follow(origin.with_path("/robots.txt"), obey_robots=False)
        if answer.status >= 500 or answer.status == _TOO_MANY_REQUESTS:
            return None
        text = answer.body.decode("utf-8", "replace") if answer.status == 200 else ""
        rules: Protego = await self._read(partial(Protego.parse, text))
        return rules

    async def _get(self, url: URL) -> _Answer:
        await self._turn()
        started = monotonic()
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._session.get(url, allow_redirects=False) as answer,
            ):
                return _Answer(
                    url,
                    answer.status,
                    answer.headers.get("Location", ""),
                    answer.content_type if "Content-Type" in answer.headers else "",
                    answer.charset,
                    await _body_of(answer),
                )
        finally:
            self._seconds -= monotonic() - started


async def _body_of(answer: ClientResponse) -> bytes:
    """The body, inflated, up to `_MOST_BYTES` of either form: what is behind that is not read."""
    if answer.status in _REDIRECTS:
        return b""
    raw = bytearray()
    while len(raw) < _MOST_BYTES and (chunk := await answer.content.readany()):
        raw += chunk
    return _inflated(bytes(raw[:_MOST_BYTES]), answer.headers.get("Content-Encoding", "").strip().lower())


def _inflated(raw: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return raw
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise _Ended(VisitOutcome.UNREADABLE, "an encoding that was not asked for")
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # gzip or zlib by its head, else bare
        try:
            return zlib.decompressobj(window).decompress(raw, _MOST_BYTES)
        except zlib.error:
            continue
    raise _Ended(VisitOutcome.UNREADABLE, "not what its encoding says")
