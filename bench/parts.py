"""The parts of the pipeline that need no server, wired as its container does, and the payloads they would send."""

import asyncio
from dataclasses import asdict
from typing import Any

from bench.workload import GROUP, STREAM
from domains.leaderboard.service import BoardCalendar
from domains.patternClassifier.classifier import PatternClassifier
from domains.pomodoro.model import CommitResult, DeadLetter, PomodoroPatternClassifyMessage
from domains.pomodoro.service import BatchClassification, Decided
from infrastructure.composition.from_settings import message_limits
from infrastructure.memory.repositories import InMemoryCategoryPatternRepository
from infrastructure.patterns.pattern_file import default_patterns
from infrastructure.redis.commit import CommitLimits, RedisCommit
from infrastructure.redis.keys import StreamKeys
from infrastructure.settings import Settings
from infrastructure.spring.message_parser import MessageParser


class NullStore:
    """A store that accepts everything and keeps nothing."""

    async def find_many_by_app_url_title_batch(self, keys: Any) -> dict[Any, Any]:
        return {}

    async def save_all(self, documents: Any, provisional: Any = ()) -> dict[str, str]:
        return {}

    async def update_category_all(self, updates: Any) -> dict[str, str]:
        return {}


class _Silent:
    """An observer that ignores everything."""

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


class RecordedScript:
    """Takes the place of a RedisCommit's Redis client, and keeps what would be sent to `scripts.COMMIT`."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[Any], list[Any]]] = []

    def register_script(self, _: str) -> "RecordedScript":
        return self

    async def __call__(self, keys: list[Any], args: list[Any]) -> list[Any]:
        self.calls.append((keys, args))
        return [part for field in asdict(CommitResult()).items() for part in field]


class Parts:
    """The parts of the pipeline that need no server, wired as its container does."""

    def __init__(self) -> None:
        settings = Settings(_env_file=None)
        null: Any = NullStore()
        silent: Any = _Silent()
        self.calendar = BoardCalendar(settings.zone)
        self.parser = MessageParser(self.calendar, message_limits(settings))
        patterns = InMemoryCategoryPatternRepository(default_patterns())
        self.classifier = PatternClassifier(patterns, silent)
        asyncio.run(self.classifier.load())
        self.batches = BatchClassification(self.classifier, null, null, self.calendar, STREAM)
        self.script = RecordedScript()
        client: Any = self.script
        limits = CommitLimits(settings.dead_letters_max, settings.deferred_max, settings.deduplication_days)
        self.commits = RedisCommit(client, StreamKeys(STREAM), GROUP, "one", limits)

    def messages(self, entries: list[tuple[str, dict[str, str]]]) -> list[PomodoroPatternClassifyMessage]:
        parsed = [self.parser.parse(entry_id, fields) for entry_id, fields in entries]
        assert not any(isinstance(message, DeadLetter) for message in parsed)
        return parsed  # type: ignore[return-value]

    def decided(self, messages: list[PomodoroPatternClassifyMessage]) -> list[Decided]:
        """For windows that the store does not know."""
        decided, undecided = self.batches.decide(messages, {})
        assert not undecided
        return decided


def payloads(client: Any, batch: int, parts: Parts) -> list[tuple[list[Any], list[Any]]]:
    """Keys and arguments of the commit of each batch of the stream."""
    return asyncio.run(_payloads(client, batch, parts))


async def _payloads(client: Any, batch: int, parts: Parts) -> list[tuple[list[Any], list[Any]]]:
    after = "-"
    while entries := client.xrange(STREAM, after, "+", count=batch):
        await parts.commits.commit(parts.batches.commit_of(parts.decided(parts.messages(entries))))
        after = f"({entries[-1][0]}"
    return parts.script.calls
