"""The archive read on this machine: one object at a time in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice

from domains.collector.erasures import erasures_of
from domains.replay.service import DamagedObject, ReplayedSpan, Wanted
from infrastructure.collector.archive import Archive
from infrastructure.replay.archived_spans import PREFIX, SpanReader, may_hold

_PAGE = 1000


class LocalEngine:
    """ReplayEnginePort."""

    def __init__(self, archive: Archive, reader: SpanReader) -> None:
        self._archive = archive
        self._reader = reader

    async def spans(self, wanted: Wanted) -> AsyncIterator[list[ReplayedSpan | DamagedObject]]:
        wanted = wanted._replace(erasures=await erasures_of(self._archive))
        async for key in self._archive.keys(PREFIX):
            if may_hold(key, wanted.first):
                spans = self._reader.spans(key, await self._archive.get(key), wanted)
                while page := await asyncio.to_thread(_page, spans):
                    yield page


def _page(spans: Iterator[ReplayedSpan | DamagedObject]) -> list[ReplayedSpan | DamagedObject]:
    return list(islice(spans, _PAGE))
