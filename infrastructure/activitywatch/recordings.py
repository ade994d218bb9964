"""Buckets of ActivityWatch, from an export or from its REST API, as recordings of a machine.

Source: docs.activitywatch.net, "Buckets and events". Buckets of the types currentwindow, afkstatus and
web.tab.current are read.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec

from domains.bridge.activity import Interval, Recorded, Recording, continued
from domains.kernel.errors import PipelineError
from infrastructure.spring.message_spelling import without_halves

T = TypeVar("T")

_LONGEST_TITLE, _LONGEST_URL = 1000, 4000  # characters
_API = "api/0/buckets/"
_TYPES = frozenset({"currentwindow", "afkstatus", "web.tab.current"})


class ActivityWatchError(PipelineError):
    """The server or the export cannot be read. The text is for a person."""


class _Event(msgspec.Struct):
    timestamp: datetime
    duration: float = 0.0
    data: dict[str, Any] = {}

    @property
    def start(self) -> float:
        zoned = self.timestamp if self.timestamp.tzinfo else self.timestamp.replace(tzinfo=UTC)
        return round(zoned.timestamp(), 3)

    @property
    def end(self) -> float:
        return round(self.start + self.duration, 3)

    @property
    def is_private(self) -> bool:
        return self.data.get("incognito") is True

    @property
    def url(self) -> str:
        return "" if self.is_private else self.text("url", _LONGEST_URL)

    def text(self, name: str, longest: int) -> str:
        value = self.data.get(name)
        return value[:longest] if isinstance(value, str) else ""


class _Bucket(msgspec.Struct):
    type: str
    hostname: str | None = None
    events: list[_Event] | None = None


class _Export(msgspec.Struct):
    buckets: dict[str, _Bucket]


_export = msgspec.json.Decoder(_Export)
_buckets = msgspec.json.Decoder(dict[str, _Bucket])
_events = msgspec.json.Decoder(list[_Event])


def _decoded(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    try:
        return decoder.decode(text)
    except msgspec.DecodeError:
        return decoder.decode(without_halves(text))


def read_export(path: Path) -> dict[str, Recording]:
    """The recordings of an export, by the names of their machines. Raises ActivityWatchError."""
    try:
        export = _decoded(_export, path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        raise ActivityWatchError(f"{path}: no export of ActivityWatch: {error}") from None
    return {host: _recording(buckets) for host, buckets in _by_host(export.buckets).items()}


class ActivityWatchServer:
    def __init__(self, session: aiohttp.ClientSession, url: str, key: str | None = None) -> None:
        """`key` is the server's `api_key`, if it has one."""
        self._session = session
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def hosts(self) -> dict[str, dict[str, _Bucket]]:
        """The buckets by the names of their machines."""
        buckets = await self._get(_buckets, _API)
        return _by_host(buckets)

    async def recording(self, buckets: Mapping[str, _Bucket], within: Interval) -> Recording:
        start, end = (datetime.fromtimestamp(time, UTC).isoformat() for time in within)
        filled = {}
        for name, bucket in buckets.items():
            events = await self._get(_events, f"{_API}{name}/events", start=start, end=end, limit="-1")
            filled[name] = msgspec.structs.replace(bucket, events=events)
        return _recording(filled)

    async def _get(self, decoder: msgspec.json.Decoder[T], path: str, **query: str) -> T:
        try:
            async with self._session.get(f"{self._url}/{path}", params=query, headers=self._headers) as answer:
                if answer.status == 401:
                    raise ActivityWatchError(f"{self._url}: the ActivityWatch server wants its api_key: --server-key")
                answer.raise_for_status()
                return _decoded(decoder, await answer.read())
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ActivityWatchError(f"{self._url} answers something that cannot be read: {error}") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ActivityWatchError(f"{self._url}: no ActivityWatch server answers: {error}") from None


def _by_host(buckets: Mapping[str, _Bucket]) -> dict[str, dict[str, _Bucket]]:
    """Browsers do not know the machine's name: their buckets belong to the machine, if there is one only."""
    hosts: dict[str, dict[str, _Bucket]] = {}
    for name, bucket in buckets.items():
        if bucket.type == "currentwindow":
            hosts.setdefault(bucket.hostname or "", {})[name] = bucket
    for name, bucket in buckets.items():
        if bucket.type not in _TYPES or bucket.type == "currentwindow":
            continue
        if (bucket.hostname or "") in hosts:
            hosts[bucket.hostname or ""][name] = bucket
        elif bucket.type == "web.tab.current" and len(hosts) == 1:
            next(iter(hosts.values()))[name] = bucket
    return hosts


def _recording(buckets: Mapping[str, _Bucket]) -> Recording:
    by_type: dict[str, list[tuple[str, _Bucket]]] = {kind: [] for kind in _TYPES}
    for name, bucket in buckets.items():
        by_type[bucket.type].append((name, bucket))
    windows = [
        Recorded(it.start, it.end, it.text("app", 200), it.text("title", _LONGEST_TITLE), it.url)
        for _, bucket in by_type["currentwindow"]
        for it in bucket.events or ()
    ]
    present = [
        Interval(it.start, it.end)
        for _, bucket in by_type["afkstatus"]
        for it in continued(Recorded(it.start, it.end, it.text("status", 200), "") for it in bucket.events or ())
        if it.name == "not-afk"
    ]
    tabs: dict[str, list[Recorded]] = {}
    for name, bucket in by_type["web.tab.current"]:
        tabs.setdefault(_browser(name), []).extend(_tabs(bucket.events or ()))
    return Recording(windows, present if by_type["afkstatus"] else None, tabs)


def _tabs(events: Iterable[_Event]) -> Iterable[Recorded]:
    """A private tab has no title and no URL, and no other tab's."""
    for it in events:
        yield Recorded(it.start, it.end, "", "" if it.is_private else it.text("title", _LONGEST_TITLE), it.url)


def _browser(bucket: str) -> str:
    """aw-watcher-web-firefox, aw-watcher-web-chrome_host: the browser's name; empty where it has none."""
    match = re.fullmatch(r"aw-watcher-web-([a-z]+).*", bucket.lower())
    return match[1] if match else ""
