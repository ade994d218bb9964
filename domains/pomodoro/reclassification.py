"""Gives deferred messages their category when the LLM can be asked again.

No second is lost or counted twice: the documents are written first, idempotently. Then one commit moves the seconds
and deletes the message's record, if the record still exists (see CommitPort).
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from domains.kernel.errors import Outage, StoreRefused
from domains.kernel.resilience import pause
from domains.leaderboard.ports import LeaderboardCachePort
from domains.leaderboard.service import BoardCalendar, Boards
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.model import Classification, Tier
from domains.pomodoro.model import CategoryUpdate, Commit, DeferredMessage, Move
from domains.pomodoro.ports import (
    CategorizedDataRepositoryPort,
    CommitPort,
    ConsumerObserver,
    DeferredMessagesPort,
    PomodoroUsageLogRepositoryPort,
)
from domains.pomodoro.posting import Postings

_AT_ONCE = 200
_LEASE_SECONDS = 30.0


class Reclassification:
    """Reclassifies deferred messages every `interval_seconds`, while the LLM can be asked.

    One instance at a time does it. If two do, the LLM is asked twice, and the result is the same.
    """

    def __init__(
        self,
        deferred: DeferredMessagesPort,
        commits: CommitPort,
        classifier: PatternClassifier,
        categorized: CategorizedDataRepositoryPort,
        logs: PomodoroUsageLogRepositoryPort,
        leaderboard: LeaderboardCachePort,
        calendar: BoardCalendar,
        observer: ConsumerObserver,
        interval_seconds: float,
        postings: Postings | None = None,
    ) -> None:
        self._postings = postings
        self._deferred = deferred
        self._commits = commits
        self._classifier = classifier
        self._categorized = categorized
        self._logs = logs
        self._leaderboard = leaderboard
        self._calendar = calendar
        self._observer = observer
        self._interval_seconds = interval_seconds

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await pause(stop, self._interval_seconds)
            try:
                await self.reclassify_all(stop)
            except Outage as cause:
                self._observer.reclassification_failed(cause)

    async def reclassify_all(self, stop: asyncio.Event, at_once: bool = False) -> int:
        """Goes through the deferred messages once, while the LLM answers. Returns how many got their category.

        With `at_once` it does not wait for another instance that is reclassifying. Raises Outage; messages that were
        moved before stay moved. Messages that the store refuses stay deferred.
        """
        moved, after = 0, "0"
        while self._classifier.can_ask and not stop.is_set():
            messages = await self._deferred.after(after, _AT_ONCE)
            if not messages or not (at_once or await self._deferred.lease(_LEASE_SECONDS)):
                break
            try:
                moved += await self._reclassify(messages)
            except StoreRefused as cause:
                self._observer.reclassification_failed(cause)
            after = messages[-1].id
        return moved

    async def _reclassify(self, messages: Sequence[DeferredMessage]) -> int:
        answers = await self._answers(messages)
        answered = [message for message in messages if message.id in answers]
        failures = await self._write(answered, answers) if answered else {}
        settled = [m for m in answered if not {m.categorized_data_id, m.pomodoro_usage_log_id} & failures.keys()]
        return await self._move(settled, answers) if settled else 0

    async def _answers(self, messages: Sequence[DeferredMessage]) -> dict[str, Classification]:
        """Answers from the cheapest tier that knows the window, by the message's id.

        It may be the rules, if patterns were added meanwhile, or a person.
        """
        corrected = {it.id: found for it in messages if (found := self._classifier.corrected(it.user_id, it.window))}
        left = [message for message in messages if message.id not in corrected]
        windows = {message.window for message in left}
        answers = {window: found for window in windows if (found := self._classifier.at_once(window))}
        answers |= await self._classifier.further(windows - answers.keys())
        answers |= await self._classifier.ask(
            (message.window, message.user_id) for message in left if message.window not in answers
        )
        return corrected | {it.id: answers[it.window] for it in left if it.window in answers}

    async def _write(
        self, messages: Sequence[DeferredMessage], answers: Mapping[str, Classification]
    ) -> dict[str, str]:
        """Writes the category of the documents, even if it is unchanged: another delivery may have written its own.

        Returns {document id: reason} for documents that could not be written.
        """
        data, logs = [], []
        for message in messages:
            _, category_id, is_llm_based, tier = answers[message.id]
            if tier is not Tier.CORRECTION:
                data.append(CategoryUpdate([message.categorized_data_id], category_id, is_llm_based))
            logs.append(CategoryUpdate([message.pomodoro_usage_log_id], category_id, is_llm_based))
        failures = await self._categorized.update_category_all(data)
        return failures | await self._logs.update_category_all(logs)

    async def _move(self, messages: Sequence[DeferredMessage], answers: Mapping[str, Classification]) -> int:
        await self._commits.commit(Commit())  # on a cluster, scores of these messages may still be in the outbox
        counted = await self._leaderboard.having(
            {
                (board, message.user_id)
                for message in messages
                for board in self._boards(message, message.category).keys
            }
        )
        moves = [self._move_of(message, answers[message.id], counted) for message in messages]
        result = await self._commits.commit(Commit(moves=moves))
        self._observer.reclassified(result)
        return result.moved

    def _move_of(self, message: DeferredMessage, found: Classification, counted: Collection[tuple[str, str]]) -> Move:
        """The move of one message.

        Periods whose boards Spring has archived and deleted are left out: they must not come back.
        """
        old, new = self._boards(message, message.category), self._boards(message, found.category)
        periods = [period for period, boards in old.by_period.items() if (boards[0], message.user_id) in counted]
        left = [board for period in periods for board in old.by_period[period]]
        raised = [board for period in periods for board in new.by_period[period]]
        return Move(
            message.id,
            message.user_id,
            message.duration,
            [board for board in left if board not in raised],
            [board for board in raised if board not in left],
            message.session,
            self._postings.moved(message, found) if self._postings else (),
        )

    def _boards(self, message: DeferredMessage, category: str) -> Boards:
        return self._calendar.boards(category, message.timestamp)
