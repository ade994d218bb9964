"""Sessions as posts to the collector, and how far they are."""

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp

from domains.bridge.activity import Interval, Span, united
from domains.kernel.errors import PipelineError
from infrastructure.spring.message_parser import LONGEST_APP

_BATCH_BYTES = 524_288
_FIRST_SESSION = 1000
_TRIES = 10


class NotPosted(PipelineError):
    """The collector does not take the spans. The text is for a person."""


def messages_of(session: Sequence[Span], user: str, host: str, zone: ZoneInfo) -> list[dict[str, object]]:
    """The session's spans with the contract's fields.

    The session's number is 1000 + the minute of the day at which it began: the same however often it is made, and
    not one of the app's, which count from 1. An hour that comes twice counts from 24 on the second time.
    """
    begun = datetime.fromtimestamp(session[0].start, zone)
    last, origin = session[-1], hashlib.blake2b(f"{user}\n{host}".encode(), digest_size=8).hexdigest()
    return [
        {
            "userId": user,
            "app": span.app.encode()[:LONGEST_APP].decode(errors="ignore"),
            "title": span.title,
            "url": span.url,
            "duration": round(span.seconds, 3),
            "timestamp": span.start,
            "session": _FIRST_SESSION + (begun.hour + 24 * begun.fold) * 60 + begun.minute,
            "sessionDate": begun.date().isoformat(),
            "sessionMinutes": round((last.end - session[0].start) / 60),
            "isEnd": span is last,
            "eventId": f"aw-{origin}-{span.start:.3f}",
        }
        for span in session
    ]


class CollectorClient:
    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None) -> None:
        self._session = session
        self._url = url.rstrip("/") + "/collect"
        self._headers = {"Content-Type": "application/x-ndjson"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    async def post(self, body: bytes) -> None:
        """Posts a batch. Raises NotPosted."""
        for _ in range(_TRIES):
            try:
                async with self._session.post(self._url, data=body, headers=self._headers) as answer:
                    if answer.status == 202:
                        return
                    text = (await answer.text())[:200]
                    if answer.status not in (429, 503):
                        raise NotPosted(f"{self._url} answers {answer.status}: {text}")
                    seconds = float(answer.headers.get("Retry-After", "1"))
            except (aiohttp.ClientError, TimeoutError) as error:
                text, seconds = str(error), 1.0
            await asyncio.sleep(min(seconds, 30.0))
        raise NotPosted(f"{self._url} does not take the spans: {text}")


def batches_of(messages: Iterable[dict[str, object]]) -> Iterator[bytes]:
    """The bodies of posts that have the messages in their order."""
    batch, size = list[bytes](), 0
    for message in messages:
        line = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        if batch and size + len(line) > _BATCH_BYTES:
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield b"".join(batch)


class Progress:
    """Of which times the recordings of a machine are posted for a user, and what is being posted, kept beside `path`.

    What is posted once more after an interruption are the same bytes, whatever the recordings say by then.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def posted(self, user: str, host: str) -> list[Interval]:
        """In their order and apart."""
        found = self._all().get(f"{user}@{host}", [])
        return [_interval(it) for it in (found if isinstance(found, list) else [found])]

    def reached(self, user: str, host: str, posted: Interval) -> None:
        found = self._all() | {f"{user}@{host}": united([*self.posted(user, host), posted])}
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self._path.with_suffix(".new")
        unfinished.touch(0o600)
        unfinished.write_text(json.dumps(found), encoding="utf-8")
        unfinished.replace(self._path)

    def keep(self, user: str, host: str, bodies: Iterable[bytes], posted: Interval) -> None:
        """Keeps what is to be posted, all of it or nothing. Nothing else may be kept for them."""
        kept = self._kept(user, host)
        unfinished = kept.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        (unfinished / "until").write_text(json.dumps(posted))
        for number, body in enumerate(bodies):
            with (unfinished / f"{number:06}.jsonl").open("wb") as file:
                file.write(body)
                os.fsync(file.fileno())
        unfinished.rename(kept)

    def left(self, user: str, host: str) -> list[Path]:
        """The files of the bodies that are not posted yet, in their order: each goes when it is posted."""
        return sorted(self._kept(user, host).glob("*.jsonl"))

    def finish(self, user: str, host: str) -> None:
        """All that was kept, if anything was, is posted."""
        kept = self._kept(user, host)
        if kept.is_dir():
            self.reached(user, host, _interval(json.loads((kept / "until").read_text())))
            done = kept.with_suffix(".done")
            shutil.rmtree(done, ignore_errors=True)
            shutil.rmtree(kept.rename(done))

    def _kept(self, user: str, host: str) -> Path:
        digest = hashlib.blake2b(f"{user}@{host}".encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
        return self._path.with_name(f"{self._path.stem}-{digest}")

    def _all(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return {}


def _interval(noted: Any) -> Interval:
    """Earlier versions noted until when all was posted, and not since when."""
    return Interval(*noted) if isinstance(noted, list) else Interval(0.0, noted)
