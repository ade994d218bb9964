"""The queue to the LLM: a question is asked once, whoever asks, and the wait for its answer is bounded.

A request has questions of one user only, so a title that the model takes for an instruction cannot change the answers
of others.
"""

import asyncio
import random
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from domains.kernel.errors import ClassificationFailed, LLMFailure, RedisOutage
from domains.kernel.resilience import cancel_all
from domains.patternClassifier.model import BudgetLimit, PauseReason, Tier
from domains.patternClassifier.ports import (
    BudgetRefusal,
    ClassifierObserver,
    LLMBudgetPort,
    LLMClientPort,
    Reservation,
)
from domains.patternClassifier.questions import Question
from domains.patternClassifier.tiers import AnswerMemory

_LINGER_LONGER = 20
_TRIES = 12
_TRY_BESIDE_OTHERS = 4
"""After twelve tries without a usable answer, a question counts as having none.

A try counts for four if other questions got their answers, in the same request or in another one within the last
minute: the LLM is not at fault then."""
_WELL_SECONDS = 60.0

_REPEATED = frozenset({LLMFailure.TIMEOUT, LLMFailure.RATE_LIMITED, LLMFailure.UNAVAILABLE})
"""Failures that may be over a moment later.

Any other failure may be the fault of a question, so four of them count as one:
odd titles of a single user do not pause the LLM for everybody."""
_FAULT_OF_A_QUESTION = 0.25
_LONGEST_RETRY_WAIT = 5.0
_FIRST_RETRY_WAIT, _RETRY_WAIT_LIMIT = 0.5, 8.0  # seconds


@dataclass(frozen=True, slots=True)
class LLMQueueLimits:
    """The bounds of the queue.

    At most `batch` questions go into one request, which waits `linger_seconds` for more, or twenty times as long
    while other requests are under way. At most `concurrency` requests are, and each is repeated up to `retries`
    times. Callers wait `wait_seconds` for an answer. At most `waiting` questions are in the queue, and at most half
    of them of one user. After `failures` failed requests in a row the queue pauses, at first for
    `first_pause_seconds`.
    """

    batch: int
    concurrency: int
    linger_seconds: float
    wait_seconds: float
    waiting: int
    longest_pause_seconds: float
    retries: int
    failures: int = 3
    first_pause_seconds: float = 2.0


class LLMQueue:
    """Questions on their way to the LLM. An answer that is too late for its callers is still remembered."""

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
        self._queues: dict[str, deque[Question]] = {}
        self._requests: set[asyncio.Task[None]] = set()
        self._well_until = 0.0
        self._lingering: asyncio.TimerHandle | None = None
        self._failures = 0.0
        self._tries: dict[Question, int] = {}
        self._paused_until = 0.0
        self._share_spent_until: dict[str, float] = {}

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be asked now, since the LLM failed repeatedly or the budget is spent.

        After the pause, a single request tries whether the LLM works again.
        """
        return monotonic() < self._paused_until or (self._failing and bool(self._requests))

    @property
    def _failing(self) -> bool:
        return self._failures >= self._limits.failures

    async def ask(self, askers: Mapping[Question, Collection[str]], categories: Sequence[str]) -> dict[Question, str]:
        """The LLM's answers: names of `categories`, or empty if it has no acceptable one.

        `askers` are the users who ask each question; one of them pays for it. If all of them have spent their share
        of the budget, the name is empty as well. A question is missing if it has no answer now: the LLM is not
        available or too slow, or the queue is full.
        """
        self._categories = categories
        answers: dict[Question, str] = {}
        waiting: dict[Question, asyncio.Future[str | None]] = {}
        for question, users in askers.items():
            payer = next((user for user in users if not self._has_spent_share(user)), None)
            if payer is None and question not in self._asked:
                answers[question] = ""
            elif (future := self._enter(question, payer or "")) is not None:
                waiting[question] = future
        if waiting:
            await asyncio.wait(waiting.values(), timeout=self._limits.wait_seconds)
        done = {question: future.result() for question, future in waiting.items() if future.done()}
        return answers | {question: name for question, name in done.items() if name is not None}

    async def aclose(self) -> None:
        """Cancels all requests, and answers nothing more."""
        if self._lingering is not None:
            self._lingering.cancel()
        self._empty_queues()  # first, or a request that ends would start the next one
        await cancel_all(list(self._requests))

    def _has_spent_share(self, user: str) -> bool:
        return monotonic() < self._share_spent_until.get(user, 0.0)

    def _enter(self, question: Question, user: str) -> asyncio.Future[str | None] | None:
        """Queues the question, or joins the identical one under way; None if nothing may be asked now."""
        if question in self._asked:
            return self._asked[question]
        of_user = len(self._queues.get(user, ()))
        if self.is_paused or len(self._asked) >= self._limits.waiting or of_user >= self._limits.waiting / 2:
            return None
        future = self._asked[question] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(user, deque()).append(question)
        if len(self._queues[user]) >= self._limits.batch:
            self._send(user)
        elif self._lingering is None:
            seconds = self._limits.linger_seconds * (_LINGER_LONGER if self._requests else 1)
            self._lingering = asyncio.get_running_loop().call_later(seconds, self._send_all)
        return future

    def _send_all(self) -> None:
        self._lingering = None
        while self._queues and self._send(next(iter(self._queues))):
            pass

    def _send(self, user: str) -> bool:
        """Starts a request with questions of `user`. If enough are under way, the next one to end starts it."""
        if len(self._requests) >= (1 if self._failing else self._limits.concurrency):
            return False
        queue = self._queues.pop(user)
        questions = [queue.popleft() for _ in range(min(len(queue), self._limits.batch))]
        if queue:
            self._queues[user] = queue  # behind the other users
        request = asyncio.create_task(self._request(questions, user), name=f"LLM request of {len(questions)}")
        self._requests.add(request)
        request.add_done_callback(self._ended)
        return True

    def _ended(self, request: asyncio.Task[None]) -> None:
        self._requests.discard(request)
        if self.is_paused:
            self._empty_queues()
        elif self._queues and (self._lingering is None or not self._requests):
            self._send(next(iter(self._queues)))

    def _empty_queues(self) -> None:
        for queue in self._queues.values():
            for question in queue:
                self._answer(question, None)
        self._queues.clear()

    async def _request(self, questions: list[Question], user: str) -> None:
        """Answers `questions` in any case. Answers are remembered first, so that they stay the same."""
        answers: dict[Question, str] = {}
        try:
            answers = await self._with_retries(questions, user)
            await self._memory.remember(answers)
        except RedisOutage as cause:
            self._observer.tier_failed(Tier.LLM, cause)
        except Exception as cause:
            self._failed(len(questions), cause)
        finally:
            for question in questions:
                self._answer(question, answers.get(question))

    async def _with_retries(self, questions: Sequence[Question], user: str) -> dict[Question, str]:
        """The usable answers, of as many questions as the budget has room for.

        Each try is paid for. Raises ClassificationFailed if there is no usable answer.
        """
        lost = 0  # tokens that failed tries have cost
        for retries in range(self._limits.retries + 1):
            questions, reservation = await self._reserve(questions, user)
            if reservation is None:
                return {}
            started = monotonic()
            try:
                names, tokens = await self._llm.classify(questions, self._categories)
                answers = self._accepted(dict(zip(questions, names, strict=True)), tokens)
            except ClassificationFailed as failure:
                await self._settle(reservation, failure.tokens)
                failure.tokens = lost = lost + failure.tokens
                wait = failure.retry_after or _backoff(retries)
                if retries == self._limits.retries or failure.kind not in _REPEATED or wait > _LONGEST_RETRY_WAIT:
                    raise
                await asyncio.sleep(wait)
            else:
                self._failures = 0.0
                answered = sum(map(bool, answers.values()))
                self._observer.llm_answered(len(questions), answered, lost + tokens, monotonic() - started)
                await self._settle(reservation, tokens)
                return answers
        raise AssertionError("the last try returns or raises")

    async def _reserve(
        self, questions: Sequence[Question], user: str
    ) -> tuple[Sequence[Question], Reservation | None]:
        """As many of the questions as the budget allows. If it allows none, pauses and returns None."""
        while True:
            found = await self._budget.reserve(user, self._llm.most_tokens(questions, self._categories))
            if isinstance(found, Reservation):
                return questions, found
            if found.limit is BudgetLimit.CALLS or len(questions) == 1:
                self._refused(user, found)
                return questions, None
            questions = questions[: len(questions) // 2]

    async def _settle(self, reservation: Reservation, tokens: int) -> None:
        """Books the cost. If Redis is away, the reservation stays spent, and the answer is still used."""
        try:
            await self._budget.settle(reservation, tokens)
        except RedisOutage as cause:
            self._observer.tier_failed(Tier.LLM, cause)

    def _refused(self, user: str, refusal: BudgetRefusal) -> None:
        if refusal.limit is not BudgetLimit.USER_SHARE:
            self._pause(PauseReason.BUDGET, refusal.seconds)
            return
        if len(self._share_spent_until) >= self._limits.waiting:
            self._share_spent_until.clear()  # a user without budget is found with the next question
        self._share_spent_until[user] = monotonic() + refusal.seconds
        self._observer.llm_share_spent(refusal.seconds)

    def _accepted(self, names: Mapping[Question, str | None], tokens: int) -> dict[Question, str]:
        """The usable answers. A question without one is asked again, up to a bound.

        Raises ClassificationFailed if there is no usable answer at all.
        """
        answers = {question: name for question, name in names.items() if name and name in self._categories}
        is_well = bool(answers) or monotonic() < self._well_until
        if answers:
            self._well_until = monotonic() + _WELL_SECONDS
        for question in names.keys() - answers.keys():
            tries = self._tries[question] = self._tries.get(question, 0) + (_TRY_BESIDE_OTHERS if is_well else 1)
            if tries >= _TRIES:
                answers[question] = ""
        for question in answers:
            self._tries.pop(question, None)
        if len(self._tries) > self._limits.waiting:
            self._tries.clear()
        if not answers:
            raise ClassificationFailed("no answer names a category of the list", LLMFailure.MALFORMED, tokens=tokens)
        return answers

    def _failed(self, windows: int, cause: Exception) -> None:
        of_question = isinstance(cause, ClassificationFailed) and cause.kind not in _REPEATED
        self._failures += _FAULT_OF_A_QUESTION if of_question else 1
        self._observer.llm_failed(windows, cause)
        wait = (cause.retry_after if isinstance(cause, ClassificationFailed) else None) or 0.0
        if self._failing:
            doubled = self._limits.first_pause_seconds * 2 ** min(int(self._failures) - self._limits.failures, 16)
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


def _backoff(retries: int) -> float:
    """Seconds before a request is repeated for the `retries`th time."""
    longest: float = min(_FIRST_RETRY_WAIT * 2**retries, _RETRY_WAIT_LIMIT)
    return longest * random.uniform(0.75, 1)  # noqa: S311
