"""The way of a question to the LLM: asked once whoever asks, in batches, and never waited for without a bound."""

import asyncio
import random
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from domains.kernel.errors import ClassificationFailed, LLMFailure, RedisOutage
from domains.kernel.resilience import cancel_all
from domains.patternClassifier.model import PauseReason, Tier
from domains.patternClassifier.ports import ClassifierObserver, LLMBudgetPort, LLMClientPort
from domains.patternClassifier.questions import Question
from domains.patternClassifier.tiers import AnswerMemory

_LINGER_LONGER = 20
_TRIES = 12
_TRY_BESIDE_OTHERS = 4
"""A question that gets no usable answer is taken to have none after twelve tries, of which one counts for four where
other questions of the same request got theirs: then the LLM is not to blame."""


@dataclass(frozen=True, slots=True)
class LLMQueueLimits:
    """At most `batch` questions go into one request, which waits `linger_seconds` for more of them, and twenty times
    as long while others are under way; these are at most `concurrency`. An answer is waited for `wait_seconds`, and
    `waiting` questions at most are on their way. After `failures` failed requests in a row nothing is asked for a
    while, at first `first_pause_seconds`.
    """

    batch: int
    concurrency: int
    linger_seconds: float
    wait_seconds: float
    waiting: int
    longest_pause_seconds: float
    failures: int = 3
    first_pause_seconds: float = 2.0


class LLMQueue:
    """Questions on their way. An answer that comes too late for those who asked is remembered all the same."""

    def __init__(
        self,
        llm: LLMClientPort,
        budget: LLMBudgetPort,
        memory: AnswerMemory,
        observer: ClassifierObserver,
        limits: LLMQueueLimits,
    ) -> None:
        self._llm = llm
        self._budget = budget
        self._observer = observer
        self._limits = limits
        self._memory = memory
        self._categories: Sequence[str] = ()
        self._asked: dict[Question, asyncio.Future[str | None]] = {}
        self._queue: deque[Question] = deque()
        self._requests: set[asyncio.Task[None]] = set()
        self._lingering: asyncio.TimerHandle | None = None
        self._failures = 0
        self._tries: dict[Question, int] = {}
        self._paused_until = 0.0

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be asked now: the LLM failed again and again, or the budget is spent.

        When the pause is over, one request tries whether the LLM is back.
        """
        return monotonic() < self._paused_until or (self._failing and bool(self._requests))

    @property
    def _failing(self) -> bool:
        return self._failures >= self._limits.failures

    async def ask(self, questions: Collection[Question], categories: Sequence[str]) -> dict[Question, str]:
        """The names of `categories` that the LLM answers, empty where it has no acceptable one.

        A question without an answer now (it is away, too slow or too much is asked) is missing.
        """
        self._categories = categories
        waiting = {question: future for question in questions if (future := self._enter(question)) is not None}
        if waiting:
            await asyncio.wait(waiting.values(), timeout=self._limits.wait_seconds)
        answers = {question: future.result() for question, future in waiting.items() if future.done()}
        return {question: name for question, name in answers.items() if name is not None}

    async def aclose(self) -> None:
        """Gives up what is under way."""
        if self._lingering is not None:
            self._lingering.cancel()
        self._empty_queue()  # first, or else a request that ends starts the next one
        await cancel_all(list(self._requests))

    def _enter(self, question: Question) -> asyncio.Future[str | None] | None:
        """The future answer, of the question that is on its way already where there is one; None: not now."""
        if question in self._asked:
            return self._asked[question]
        if self.is_paused or len(self._asked) >= self._limits.waiting:
            return None
        future = self._asked[question] = asyncio.get_running_loop().create_future()
        self._queue.append(question)
        if len(self._queue) >= self._limits.batch:
            self._send()
        elif self._lingering is None:
            seconds = self._limits.linger_seconds * (_LINGER_LONGER if self._requests else 1)
            self._lingering = asyncio.get_running_loop().call_later(seconds, self._send_all)
        return future

    def _send_all(self) -> None:
        self._lingering = None
        while self._queue and self._send():
            pass

    def _send(self) -> bool:
        """Starts a request with what is queued, unless enough are under way: then the next one to end does."""
        if len(self._requests) >= (1 if self._failing else self._limits.concurrency):
            return False
        questions = [self._queue.popleft() for _ in range(min(len(self._queue), self._limits.batch))]
        request = asyncio.create_task(self._request(questions), name=f"LLM request of {len(questions)}")
        self._requests.add(request)
        request.add_done_callback(self._ended)
        return True

    def _ended(self, request: asyncio.Task[None]) -> None:
        self._requests.discard(request)
        if self.is_paused:
            self._empty_queue()
        elif self._queue and (self._lingering is None or not self._requests):
            self._send()

    def _empty_queue(self) -> None:
        while self._queue:
            self._answer(self._queue.popleft(), None)

    async def _request(self, questions: list[Question]) -> None:
        """Answers `questions`, whatever happens; but first the answers are remembered, so that they stay the same."""
        answers: dict[Question, str] = {}
        try:
            if seconds := await self._budget.take():
                self._pause(PauseReason.BUDGET, seconds)
                return
            started = monotonic()
            names, tokens = await self._llm.classify(questions, self._categories)
            try:
                answers = self._accepted(dict(zip(questions, names, strict=True)))
                self._failures = 0
                answered = sum(map(bool, answers.values()))
                self._observer.llm_answered(len(questions), answered, tokens, monotonic() - started)
                await self._memory.remember(answers)
            finally:
                if tokens:
                    await self._budget.spend(tokens)
        except RedisOutage as cause:
            self._observer.tier_failed(Tier.LLM, cause)
        except Exception as cause:
            self._failed(len(questions), cause)
        finally:
            for question in questions:
                self._answer(question, answers.get(question))

    def _accepted(self, names: Mapping[Question, str | None]) -> dict[Question, str]:
        """The answers that can be used. A question without one is asked again, though not for ever.

        Raises ClassificationFailed where there is none at all.
        """
        answers = {question: name for question, name in names.items() if name and name in self._categories}
        for question in names.keys() - answers.keys():
            tries = self._tries[question] = self._tries.get(question, 0) + (_TRY_BESIDE_OTHERS if answers else 1)
            if tries >= _TRIES:
                answers[question] = ""
        for question in answers:
            self._tries.pop(question, None)
        if len(self._tries) > self._limits.waiting:
            self._tries.clear()
        if not answers:
            raise ClassificationFailed("no answer names a category of the list", LLMFailure.MALFORMED)
        return answers

    def _failed(self, windows: int, cause: Exception) -> None:
        self._failures += 1
        self._observer.llm_failed(windows, cause)
        wait = (cause.retry_after if isinstance(cause, ClassificationFailed) else None) or 0.0
        if self._failing:
            doubled = self._limits.first_pause_seconds * 2 ** min(self._failures - self._limits.failures, 16)
            wait = max(wait, min(doubled, self._limits.longest_pause_seconds) * random.uniform(0.5, 1))  # noqa: S311
        if wait:
            self._pause(PauseReason.FAILURES, wait)

    def _pause(self, reason: PauseReason, seconds: float) -> None:
        self._paused_until = max(self._paused_until, monotonic() + seconds)
        self._observer.llm_paused(reason, seconds)

    def _answer(self, question: Question, name: str | None) -> None:
        future = self._asked.pop(question, None)
        if future is not None and not future.done():
            future.set_result(name)
