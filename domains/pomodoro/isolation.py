"""Isolation and retry: finds the message that is at fault for a failure, tries it again and parks it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence

from domains.pomodoro.capacity import ConsumerContext
from domains.pomodoro.model import DeadLetter, PomodoroPatternClassifyMessage

_RETRY_ALONE_SECONDS = 0.2


class Isolation:
    """Tries failed messages again by `process`, in tasks of its own, and in the end parks them by `park`."""

    def __init__(
        self,
        context: ConsumerContext,
        process: Callable[[Sequence[PomodoroPatternClassifyMessage]], Coroutine[None, None, None]],
        park: Callable[[Sequence[DeadLetter]], Coroutine[None, None, None]],
    ) -> None:
        self._context = context
        self._process = process
        self._park = park
        self._attempts: dict[str, int] = {}

    def halve(self, messages: Sequence[PomodoroPatternClassifyMessage], cause: Exception) -> None:
        """Halves a batch that failed as a whole, until the message at fault is alone."""
        self._context.observer.batch_failed(cause)
        if len(messages) == 1:
            self.retry(messages[0], f"{type(cause).__name__}: {cause}")
            return
        middle = len(messages) // 2
        for half in (messages[:middle], messages[middle:]):
            self._context.tasks.spawn(self._process(half), f"half {half[0].entry_id}")

    def retry(self, message: PomodoroPatternClassifyMessage, reason: str) -> None:
        """Tries a failed message again by itself, and parks it after `max_deliveries` failures."""
        attempt = self._attempts[message.entry_id] = self._attempts.get(message.entry_id, 0) + 1
        self._context.observer.message_failed(message.entry_id, attempt, reason)
        self._context.tasks.spawn(self._alone(message, attempt, reason), f"retry {message.entry_id}")

    def forget(self, entry_ids: Iterable[str]) -> None:
        """Forgets the tries of messages that are committed or parked."""
        if self._attempts:
            for entry_id in entry_ids:
                self._attempts.pop(entry_id, None)

    async def _alone(self, message: PomodoroPatternClassifyMessage, attempt: int, reason: str) -> None:
        if attempt < self._context.limits.max_deliveries:
            await asyncio.sleep(_RETRY_ALONE_SECONDS * attempt)
            await self._process([message])
        else:
            ends = message.of_session if message.is_end else None
            await self._park([DeadLetter(message.entry_id, reason, message.fields, attempt, ends=ends)])
