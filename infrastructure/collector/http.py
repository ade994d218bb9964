"""The door of the collector: POST /collect, answered when the post is durable.

A protocol of its own on httptools, since it does one thing: with aiohttp, a post costs three to four times the CPU.
Requests on a connection are answered in their order. TLS is the business of the proxy in front.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from time import monotonic, time
from typing import NamedTuple, cast

import httptools
import msgspec

from domains.collector.model import START, Bound, Event, Form, Position, Post, event_ids
from domains.collector.service import Collector
from domains.kernel.errors import Outage
from infrastructure.collector.bodies import TooLong, UnknownEncoding, inflated
from infrastructure.collector.events import LONGEST_ID, BodyError, TooLarge, ids_of, is_single, known_ids, split
from infrastructure.collector.tokens import Tokens

_FORMS = {
    "application/json": Form.JSON,
    "application/x-ndjson": Form.LINES,
    "application/ndjson": Form.LINES,
    "application/jsonl": Form.LINES,
    "application/x-jsonlines": Form.LINES,
}
_REASONS = {
    200: "OK", 202: "Accepted", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 413: "Content Too Large",
    415: "Unsupported Media Type", 422: "Unprocessable Content", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 503: "Service Unavailable",
}  # fmt: skip
_STATUSES: dict[type[BodyError], int] = {TooLarge: 413, TooLong: 413, UnknownEncoding: 415}
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OF_PROXIES = frozenset({"forwarded", "via", "x-forwarded-for", "x-real-ip"})
_HEADERS = {
    name.encode(): name
    for name in (
        "authorization", "content-encoding", "content-length", "content-type", "expect", "host",
        "idempotency-key", "origin", "transfer-encoding", *_OF_PROXIES,
    )
}  # fmt: skip
"""Those that matter here; the others are not kept."""
_MOST_HEADER_BYTES = 16_384
_MOST_PIPELINED = 32
_CONNECTIONS = 5_000
_SILENT_SECONDS = 30.0


class Refused(Exception):
    """The request gets this status. The text is for a person."""

    def __init__(self, status: int, text: str, outcome: str = "", **headers: str) -> None:
        super().__init__(text)
        self.status, self.outcome = status, outcome or str(status)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class DoorOptions(NamedTuple):
    """`rate` in posts a second of a client with a token, 0: any number. `origins` may post from a browser."""

    max_body: int
    max_event: int
    rate: float
    origins: frozenset[str]


class Door:
    """A factory of connections, and what they have in common."""

    def __init__(
        self, collector: Collector, tokens: Tokens, options: DoorOptions, pages: Mapping[str, Callable[[], bytes]]
    ) -> None:
        """`pages` are further texts to GET, by their paths."""
        self.collector = collector
        self.options = options
        self.pages = pages
        self._tokens = tokens
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._connections: set[_Connection] = set()
        self.max_wire = options.max_body

    def __call__(self) -> asyncio.Protocol:
        return _Connection(self)

    # Connections

    def opened(self, connection: _Connection) -> bool:
        if len(self._connections) >= _CONNECTIONS:
            return False
        self._connections.add(connection)
        return True

    def closed(self, connection: _Connection) -> None:
        self._connections.discard(connection)

    async def sweep(self) -> None:
        """Closes connections that have been silent, or slow with a request, for too long."""
        while True:
            await asyncio.sleep(5)
            for connection in list(self._connections):
                if monotonic() - connection.waited_since > _SILENT_SECONDS and not connection.answers:
                    connection.abort()

    async def close(self, seconds: float) -> None:
        """Lets those who wait get their answers, then closes all connections."""
        deadline = monotonic() + seconds
        while any(connection.answers for connection in self._connections) and monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.close()

    # Requests

    def admit(self, request: _Request) -> str:
        """The user whose token the request has, empty where none is needed. Raises Refused."""
        self._check_origin(request)
        if not self._tokens:
            if not request.is_local:
                text = "without COLLECT_TOKEN_KEY, posts are taken from this machine alone"
                raise Refused(403, text)
            return ""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        user = self._tokens.user_of(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise Refused(401, "a token is needed: Authorization: Bearer …", WWW_Authenticate="Bearer")
        self._limit(user)
        return user

    def _check_origin(self, request: _Request) -> None:
        origin = request.headers.get("origin")
        if origin is not None and origin not in self.options.origins and "*" not in self.options.origins:
            raise Refused(403, "COLLECT_ALLOWED_ORIGINS does not have this origin")

    def _limit(self, user: str) -> None:
        """A bucket that holds the posts of two seconds."""
        rate = self.options.rate
        if not rate:
            return
        now = monotonic()
        left, then = self._buckets.pop(user, (2 * rate, now))
        left = min(2 * rate, left + (now - then) * rate)
        self._buckets[user] = (max(left - 1, 0.0) if left >= 1 else left, now)
        while len(self._buckets) > 100_000:
            self._buckets.popitem(last=False)
        if left < 1:
            raise Refused(429, "too many posts", Retry_After=str(math.ceil((1 - left) / rate)))

    def post_of(self, request: _Request, source: str) -> tuple[Post, list[Event]]:
        """The post and its events. Raises Refused."""
        media = request.headers.get("content-type", "")
        form = _FORMS.get(media) or _FORMS.get(media.partition(";")[0].strip().lower())
        if form is None:
            raise Refused(415, "Content-Type must be application/json or application/x-ndjson")
        key = request.headers.get("idempotency-key", "")
        if len(key) > LONGEST_ID - 8:
            raise Refused(400, f"Idempotency-Key must have at most {LONGEST_ID - 8} characters")
        try:
            body = request.take_body()
            if (encoding := request.headers.get("content-encoding")) is not None:
                body = inflated(encoding, body, self.options.max_body)
            events = split(form, body, self.options.max_event)
        except BodyError as error:
            raise Refused(_STATUSES.get(type(error), 400), str(error)) from None
        if not events:
            raise Refused(400, "there is no event in the body")
        if source and any(event.given.get("userId", source) not in (None, source) for event in events):
            raise Refused(403, "the token is of another user")
        return Post(time(), source, key, form, body), events

    def collect(self, request: _Request) -> None:
        """Answers once what becomes of the request is certain. Raises Refused.

        Meanwhile the log has the body, and what is kept here is only what the answer is made of, in fewer bytes.
        """
        collector = self.collector
        source = self.admit(request)
        post, events = self.post_of(request, source)
        instance = collector.log.instance
        of_key, of_events = known_ids(post, events)
        if self._is_repeated(of_key, of_events, events):
            request.answer(_accepted(ids_of(instance, START, post, events)))
            return
        if collector.draining:
            raise Refused(503, "the collector is being stopped", "draining", Retry_After="5")
        if (bound := collector.refusal()) is not None:
            raise Refused(503, _FULL[bound], bound, Retry_After="5")

        key, single = post.key, is_single(post.form, post.body)
        packed, known = msgspec.msgpack.encode([event.name for event in events]), b"".join(of_key + of_events)

        def done(result: Position | Outage) -> None:
            if isinstance(result, Outage):
                refused = Refused(503, "the post cannot be kept now", "outage", Retry_After="5")
                request.answer(_refusal(refused))
                return
            if known:
                collector.remember(known)
            request.answer(_accepted(event_ids(instance, result, key, _names.decode(packed), single)))

        request.keep_origin_alone()
        collector.accept(post, len(events), done)

    def _is_repeated(self, of_key: Sequence[bytes], of_events: Sequence[bytes], events: Sequence[Event]) -> bool:
        """Whether all of a post has been accepted lately. Raises Refused where its key has come with another body."""
        if of_key:
            used, with_body = map(self.collector.is_known, of_key)
            if used and not with_body:
                raise Refused(422, "this Idempotency-Key has come with another body")
            if with_body:
                return True
        return len(of_events) == len(events) and all(map(self.collector.is_known, of_events))

    def page(self, path: str) -> _Answer:
        if path == "/readyz":
            bound = self.collector.refusal()
            text = "draining" if self.collector.draining else bound and _FULL[bound]
            return _Answer(503 if text else 200, f"{text or 'ready'}\n".encode(), "", {})
        if (page := self.pages.get(path)) is None:
            raise Refused(404, "there is POST /collect, and GET /healthz, /readyz and /metrics")
        return _Answer(200, page(), "", {})


_names = msgspec.msgpack.Decoder(list[str | int])
_FULL = {
    Bound.WAITING: "too many posts wait for the disk, or are on their way",
    Bound.SPOOL: "the spool is full (ARCHIVE_SPOOL_MAX_BYTES)",
    Bound.DISK: "the disk is full",
    Bound.REDIS: "the activity stream cannot be reached",
}


class _Answer(NamedTuple):
    """`outcome` is what it counts as; pages do not count."""

    status: int
    body: bytes
    outcome: str
    headers: Mapping[str, str]


def _accepted(ids: list[str]) -> _Answer:
    return _Answer(202, b'{"accepted":%d,"eventIds":%b}' % (len(ids), msgspec.json.encode(ids)), "202", _NOTHING)


def _refusal(refused: Refused) -> _Answer:
    return _Answer(refused.status, msgspec.json.encode({"error": str(refused)}), refused.outcome, refused.headers)


class _Request:
    """`encoded` is its answer as it goes over the wire, once there is one."""

    __slots__ = ("_connection", "body", "encoded", "header_bytes", "headers", "keep", "path", "size")

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.path = b""
        self.headers: dict[str, str] = {}
        self.header_bytes = 0
        self.body: list[bytes] = []
        self.size = 0
        self.keep = True
        self.encoded: bytes | None = None

    def take_body(self) -> bytes:
        body = b"".join(self.body)
        self.body.clear()
        return body

    def keep_origin_alone(self) -> None:
        """The answer needs no other header."""
        self.headers = {"origin": self.headers["origin"]} if "origin" in self.headers else _NOTHING

    def answer(self, it: _Answer) -> None:
        self.body.clear()
        door = self._connection.door
        self.encoded = _encoded(it, self.keep, _cors(door, self))
        if it.outcome:
            door.collector.observer.answered(it.outcome)
        self._connection.flush()

    @property
    def is_local(self) -> bool:
        """Whether a program of this machine asks: no page of another site, nobody behind a proxy that says so."""
        if not self._connection.is_loopback or not _OF_PROXIES.isdisjoint(self.headers):
            return False
        return _is_local_host(self.headers.get("host", ""))


@lru_cache(1024)
def _is_local_host(host: str) -> bool:
    return host.lower() in _LOCAL_HOSTS or host.lower().rpartition(":")[0] in _LOCAL_HOSTS


class _Connection(asyncio.Protocol):
    def __init__(self, door: Door) -> None:
        self.door = door
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self.is_loopback = False
        self._request = _Request(self)
        self.answers: deque[_Request] = deque()
        """The requests that are under way, in their order."""
        self._closing = False
        self.waited_since = monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.is_loopback = bool(peer) and ip_address(peer[0]).is_loopback
        if not self.door.opened(self):
            self._transport.write(
                _encoded(_refusal(Refused(503, "too many connections", Retry_After="5")), False, {})
            )
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.door.closed(self)
        self._has_come()
        self._transport = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, Refused) else Refused(400, "the request cannot be read"))
        except httptools.HttpParserError:
            if not self._closing:  # else it is about what follows the last request
                self._fail(Refused(400, "the request cannot be read"))

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Reads the request anew as one that asks for no other protocol: the parser takes what follows for that.

        Java's HttpClient asks for HTTP/2 with each post, unless it is told otherwise.
        """
        method, version, request = self._parser.get_method(), self._parser.get_http_version(), self._request
        if method == b"CONNECT":
            self._fail(Refused(400, "this is no proxy"))
            return
        self._parser = httptools.HttpRequestParser(self)
        lines = [f"{name}: {it}\r\n" for name, it in request.headers.items() if name != "expect"]
        head = b"%b %b HTTP/%b\r\n%b\r\n" % (method, request.path, version.encode(), "".join(lines).encode("latin-1"))
        self.data_received(head + rest)

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    # What the parser calls

    def on_message_begin(self) -> None:
        self._request = _Request(self)
        self.waited_since = monotonic()

    def on_url(self, url: bytes) -> None:
        self._request.path += url
        if len(self._request.path) > 2048:
            raise Refused(431, "the path is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._request
        request.header_bytes += len(name) + len(value)
        if request.header_bytes > _MOST_HEADER_BYTES:
            raise Refused(431, "the headers are too long")
        if (known := _HEADERS.get(name.lower())) is not None:
            request.headers[known] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        headers = self._request.headers
        if int(headers.get("content-length", 0)) > self.door.max_wire:  # the parser has refused what is no number
            raise self._too_large()
        if "expect" in headers and headers["expect"].lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        request, collector = self._request, self.door.collector
        request.size += len(body)
        collector.receiving += len(body)
        if request.size > self.door.max_wire:
            raise self._too_large()
        if request.body and collector.is_holding_much:  # a post in one piece takes no more than the network did
            raise Refused(503, _FULL[Bound.WAITING], Bound.WAITING, Retry_After="5")
        request.body.append(body)

    def _has_come(self) -> None:
        """No more of the request is to come."""
        self.door.collector.receiving -= self._request.size
        self._request.size = 0

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        request = self._request
        self._has_come()
        request.keep = self._parser.should_keep_alive()
        self.answers.append(request)
        if not request.keep:
            self._closing = True
        try:
            self._dispatch(request, self._parser.get_method())
        except Refused as refused:
            request.answer(_refusal(refused))
        if len(self.answers) >= _MOST_PIPELINED and self._transport is not None:
            self._transport.pause_reading()

    def _too_large(self) -> Refused:
        return Refused(413, f"a body may have {self.door.max_wire:,} bytes (COLLECT_MAX_BODY)")

    def _dispatch(self, request: _Request, method: bytes) -> None:
        path = request.path.partition(b"?")[0]
        if path == b"/collect":
            if method == b"POST":
                self.door.collect(request)
                return
            if method != b"OPTIONS":
                raise Refused(405, "POST it", Allow="POST, OPTIONS")
            request.answer(_Answer(204, b"", "", _PREFLIGHT))
            return
        if method != b"GET":
            raise Refused(404, "there is POST /collect")
        request.answer(self.door.page(path.decode("latin-1")))

    def _fail(self, refused: Refused) -> None:
        """Answers and closes: what follows on the connection cannot be told apart."""
        request = self._request
        self._has_come()
        self._closing = True
        request.keep = False
        self.answers.append(request)
        request.answer(_refusal(refused))

    def flush(self) -> None:
        """Sends the answers that are there, in the order of their requests."""
        if self._transport is None:
            self.answers.clear()
            return
        was_full = len(self.answers) >= _MOST_PIPELINED
        while self.answers and (encoded := self.answers[0].encoded) is not None:
            self._transport.write(encoded)
            self.answers.popleft()
        self.waited_since = monotonic()
        if self._closing and not self.answers:
            self._transport.close()
        elif was_full and len(self.answers) < _MOST_PIPELINED:
            self._transport.resume_reading()


_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding, Idempotency-Key",
    "Access-Control-Max-Age": "600",
}


_NOTHING: dict[str, str] = {}


def _cors(door: Door, request: _Request) -> dict[str, str]:
    origin = request.headers.get("origin")
    if origin is None or not ({origin, "*"} & door.options.origins):
        return _NOTHING
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "Retry-After", "Vary": "Origin"}


def _encoded(answer: _Answer, keep: bool, further: Mapping[str, str]) -> bytes:
    kind = b"application/json" if answer.body[:1] == b"{" else b"text/plain; charset=utf-8"
    head = b"%s%s\r\nContent-Length: %d\r\n" % (_HEADS[answer.status], kind, len(answer.body))
    if answer.headers or further:
        lines = [f"{name}: {value}\r\n" for name, value in {**answer.headers, **further}.items()]
        head += "".join(lines).encode("latin-1")
    return head + (b"\r\n" if keep else b"Connection: close\r\n\r\n") + answer.body


_HEADS = {status: f"HTTP/1.1 {status} {reason}\r\nContent-Type: ".encode() for status, reason in _REASONS.items()}
