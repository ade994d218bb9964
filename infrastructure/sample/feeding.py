"""Feeds the sample week to a pipeline, as the Spring server would have published it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from domains.kernel.window import Window
from domains.pomodoro.model import CategorizedData, PomodoroUsageLog
from domains.pomodoro.ports import CategorizedDataRepositoryPort, PomodoroUsageLogRepositoryPort
from infrastructure.redis.backlog import StreamBacklog
from infrastructure.redis.publisher import StreamPublisher
from infrastructure.sample.week import SampleSpan, sample_week
from infrastructure.spring.message_spelling import spring_fields

_CHUNK = 200
_POLL_SECONDS = 0.05


class Fed(NamedTuple):
    """Spans of the sample so far."""

    published: int
    committed: int


class SampleFeed:
    """The spans of the sample are published once for each stream, however often this runs."""

    def __init__(
        self,
        publisher: StreamPublisher,
        backlog: StreamBacklog,
        categorized: CategorizedDataRepositoryPort,
        usage_logs: PomodoroUsageLogRepositoryPort,
    ) -> None:
        self._publisher = publisher
        self._backlog = backlog
        self._categorized = categorized
        self._usage_logs = usage_logs
        self._spans = list(sample_week())

    @property
    def total(self) -> int:
        return len(self._spans)

    async def run(self, stop: asyncio.Event) -> AsyncIterator[Fed]:
        """Publishes what has not been published yet, and ends once all is committed or `stop` is set."""
        published = await self._publisher.published_of_sample()
        while not stop.is_set():
            if chunk := self._spans[published : published + _CHUNK]:
                await self._publish(chunk)
                published += len(chunk)
            waiting = await self._backlog.uncommitted(at_most=self.total)
            yield Fed(published, max(0, published - waiting))
            if not chunk:
                if not waiting:
                    return
                await asyncio.sleep(_POLL_SECONDS)

    async def _publish(self, spans: Sequence[SampleSpan]) -> None:
        """As Spring does: both documents of a message with ids are stored before the message is published."""
        linked = [span for span in spans if span.categorized_data_id is not None]
        await self._categorized.save_all([_data_of(span) for span in linked])
        await self._usage_logs.save_all([_log_of(span) for span in linked])
        await self._publisher.publish_of_sample([_fields_of(span) for span in spans])


def _fields_of(span: SampleSpan) -> dict[str, str]:
    return spring_fields(
        {
            "userId": span.user_id,
            "app": span.app,
            "title": span.title,
            "url": span.url,
            "duration": span.duration,
            "timestamp": span.timestamp,
            "session": span.session,
            "sessionDate": span.session_date.isoformat(),
            "sessionMinutes": span.session_minutes,
            "isEnd": span.is_end,
            "categorizedDataId": span.categorized_data_id,
            "pomodoroUsageLogId": span.pomodoro_usage_log_id,
        }
    )


def _data_of(span: SampleSpan) -> CategorizedData:
    return CategorizedData(str(span.categorized_data_id), Window(span.app, span.url, span.title), None)


def _log_of(span: SampleSpan) -> PomodoroUsageLog:
    return PomodoroUsageLog(
        id=str(span.pomodoro_usage_log_id),
        user_id=span.user_id,
        categorized_data_id=str(span.categorized_data_id),
        category_id=None,
        session=span.session,
        session_minutes=span.session_minutes,
        session_date=span.session_date,
        timestamp=span.timestamp,
        duration=span.duration,
    )
