"""From recordings to posts: whole sessions only, kept before the first post, and noted after the last."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from math import inf
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domains.bridge.activity import Interval, Recording, Span, cut, missing, sessions_of, spans_of
from infrastructure.activitywatch.posting import CollectorClient, Progress, batches_of, messages_of
from infrastructure.activitywatch.recordings import ActivityWatchServer, read_export

_STEP_SECONDS = 7 * 86_400.0


class Source(NamedTuple):
    """What one machine recorded within a time, read in steps of `step` seconds. `is_over`: it will not go on."""

    read: Callable[[Interval], Awaitable[Recording]]
    within: Interval
    step: float
    is_over: bool


def sources_of_file(path: Path) -> dict[str, Source]:
    """The machines of an export. Raises ActivityWatchError."""
    return {host: _whole(recording) for host, recording in read_export(path).items()}


def _whole(recording: Recording) -> Source:
    async def read(within: Interval) -> Recording:
        return recording

    start = min((it.start for it in recording.windows), default=0.0)
    end = max((it.end for it in recording.windows), default=0.0)
    return Source(read, Interval(start, end), inf, is_over=True)


async def sources_of_server(server: ActivityWatchServer, within: Interval) -> dict[str, Source]:
    """The machines of a server. Raises ActivityWatchError."""
    hosts = await server.hosts()
    return {
        host: Source(partial(server.recording, buckets), within, _STEP_SECONDS, is_over=False)
        for host, buckets in hosts.items()
    }


class Bridged(NamedTuple):
    """`until` is the Unix time up to which all is posted, None if nothing is; `seconds` are those of all spans."""

    spans: int
    sessions: int
    seconds: float
    until: float | None


class Bridge:
    """`collector` is None where nothing is to be posted. A pause of more than `gap` seconds ends a session; no span
    has more than `longest`."""

    def __init__(
        self,
        collector: CollectorClient | None,
        progress: Progress,
        user: str,
        zone: ZoneInfo,
        gap: float,
        longest: float = 86_400.0,
    ) -> None:
        self._collector = collector
        self._progress = progress
        self._user = user
        self._zone = zone
        self._gap = gap
        self._longest = longest

    async def run(self, host: str, source: Source) -> AsyncIterator[Bridged]:
        """Posts what was left, then the sessions of a machine in the times that are not posted yet, and yields what
        is done so far: at least once.

        Unless the recording is over, the last session waits until its pause is long enough.
        """
        within, done = source.within, Bridged(0, 0, 0.0, None)
        async for body in self._post_left(host):
            spans = [json.loads(line) for line in body.splitlines()]
            sessions, seconds = sum(it["isEnd"] for it in spans), sum(it["duration"] for it in spans)
            done = Bridged(done.spans + len(spans), done.sessions + sessions, done.seconds + seconds, done.until)
            yield done
        posted = self._progress.posted(self._user, host)
        ends = (min(it.end, within.end) for it in posted if it.start < within.end)
        done = done._replace(until=max(ends, default=None))
        yield done
        for gap in missing(within, posted):
            start = end = gap.start
            is_over = source.is_over or gap.end < within.end
            while end < gap.end:
                end = min(end + source.step, gap.end)
                step = Interval(start, end)
                pieces = cut(spans_of(await source.read(step), step), self._longest)
                sessions = list(sessions_of(pieces, self._gap))
                if sessions and not (is_over and end == gap.end) and sessions[-1][-1].end > end - self._gap:
                    sessions.pop()  # it may go on
                if sessions:
                    last = sessions[-1][-1].end
                    await self._post(host, sessions, Interval(start, last))
                    start = last
                    spans = [span for session in sessions for span in session]
                    seconds = done.seconds + sum(span.seconds for span in spans)
                    until = max(last, done.until or last)
                    done = Bridged(done.spans + len(spans), done.sessions + len(sessions), seconds, until)
                yield done

    async def _post(self, host: str, sessions: list[list[Span]], posted: Interval) -> None:
        if self._collector is None:
            return
        messages = (it for session in sessions for it in messages_of(session, self._user, host, self._zone))
        self._progress.keep(self._user, host, batches_of(messages), posted)
        async for _ in self._post_left(host):
            pass

    async def _post_left(self, host: str) -> AsyncIterator[bytes]:
        """Posts what is kept, and yields each body that is posted."""
        if self._collector is None:
            return
        for file in self._progress.left(self._user, host):
            body = file.read_bytes()
            await self._collector.post(body)
            file.unlink()
            yield body
        self._progress.finish(self._user, host)
