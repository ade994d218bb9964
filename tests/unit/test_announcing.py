"""When an ended session is announced: not too early, not too late, and once."""

import asyncio
from collections.abc import Collection
from datetime import date

from domains.kernel.errors import PipelineError, RedisOutage, StoreOutage
from domains.pomodoro.announcing import SessionAnnouncer
from domains.pomodoro.model import Session
from infrastructure.memory.repositories import InMemoryPomodoroUsageLogRepository
from infrastructure.memory.stream import InMemorySessionEnds, InMemoryStream
from infrastructure.observing.observers import Observer
from tests.messages import DEVELOPMENT, message, usage_log

DAY = date(2025, 9, 2)
ONE, OTHER = Session("user-1", DAY, 3), Session("user-2", DAY, 3)


class Seen(Observer):
    def __init__(self) -> None:
        self.announced: list[tuple[int, int]] = []
        self.failed: list[PipelineError] = []

    def sessions_announced(self, sessions: int, impatient: int) -> None:
        self.announced.append((sessions, impatient))

    def announcing_failed(self, cause: PipelineError) -> None:
        self.failed.append(cause)


class Logs(InMemoryPomodoroUsageLogRepository):
    error: Exception | None = None

    async def sessions_without_category(self, sessions: Collection[Session]) -> set[Session]:
        if self.error:
            raise self.error
        return await super().sessions_without_category(sessions)


class Setting:
    """A stream on which sessions have ended, and an announcer of it."""

    def __init__(self, *sessions: Session, delay_ms: int = 0, patience: float = 3600.0) -> None:
        self.stream, self.logs, self.seen = InMemoryStream(), Logs(), Seen()
        for session in sessions:
            entry_id = self.stream.add(message())
            self.stream.undelivered.remove(entry_id)
            self.stream.noted_ends[entry_id] = session
        ends = InMemorySessionEnds(self.stream)
        self.announcer = SessionAnnouncer(ends, self.logs, self.seen, delay_ms, patience)


async def test_a_complete_session_is_announced_once() -> None:
    setting = Setting(ONE, OTHER)

    assert [await setting.announcer.announce_all() for _ in range(2)] == [2, 0]
    assert setting.stream.ended == [ONE, OTHER]
    assert setting.seen.announced == [(2, 0)]


async def test_an_end_waits_until_spring_has_committed() -> None:
    setting = Setting(ONE, delay_ms=600_000)

    assert await setting.announcer.announce_all() == 0
    assert setting.seen.announced == []


async def test_a_session_waits_for_the_category_of_each_of_its_logs_and_hinders_no_other() -> None:
    """The end came before the rest, as where Spring's producer has reversed its queue."""
    setting = Setting(ONE, OTHER)
    await setting.logs.save_all([usage_log(1), usage_log(2, category_id=DEVELOPMENT)])

    assert await setting.announcer.announce_all() == 1
    assert setting.stream.ended == [OTHER]

    await setting.logs.save_all([usage_log(1, category_id=DEVELOPMENT)])
    assert await setting.announcer.announce_all() == 1
    assert setting.stream.ended == [OTHER, ONE]


async def test_a_session_is_announced_in_the_end_though_a_log_never_gets_its_category() -> None:
    setting = Setting(ONE, patience=0.0)
    await setting.logs.save_all([usage_log(1)])

    assert await setting.announcer.announce_all() == 1
    assert setting.seen.announced == [(1, 1)]


async def test_an_outage_is_told_once_and_ends_nothing() -> None:
    setting, stop = Setting(ONE), asyncio.Event()
    setting.logs.error = StoreOutage("away")
    running = asyncio.create_task(setting.announcer.run(stop))
    async with asyncio.timeout(30):
        while not setting.seen.failed:
            await asyncio.sleep(0.001)
        setting.logs.error = RedisOutage("away, too")
        await asyncio.sleep(0)
        setting.logs.error = None
        while not setting.stream.ended:
            await asyncio.sleep(0.001)
        stop.set()
        await running

    assert list(map(str, setting.seen.failed)) == ["away"]
