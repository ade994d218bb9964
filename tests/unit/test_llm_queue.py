"""The way to the LLM: what goes into a request, who shares it, who waits, and what happens when it fails."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from domains.kernel.errors import ClassificationFailed, LLMFailure, RedisOutage
from domains.patternClassifier.llm_queue import LLMQueue, LLMQueueLimits
from domains.patternClassifier.model import BudgetLimit
from domains.patternClassifier.ports import BudgetRefusal, LLMAnswers, Reservation
from domains.patternClassifier.questions import Question
from domains.patternClassifier.tiers import AnswerMemory
from infrastructure.composition.from_settings import llm_queue_limits
from infrastructure.memory.repositories import InMemoryClassificationCache, InMemoryLLMBudget
from tests.unit.pipeline_in_memory import DEFAULTS, Seen, turns, until

CATEGORIES = ("Development", "SNS")
LIMITS = replace(
    llm_queue_limits(DEFAULTS),
    batch=20,
    linger_seconds=0.0,
    first_pause_seconds=2.0,
    longest_pause_seconds=10.0,
    retries=0,
)
NEVER = 3600.0
"""Seconds: longer than any test."""


class Clock:
    """The lane's and the memory's time, which goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("domains.patternClassifier.llm_queue.monotonic", clock)
    monkeypatch.setattr("domains.patternClassifier.tiers.monotonic", clock)
    monkeypatch.setattr("domains.patternClassifier.llm_queue.random.uniform", lambda least, most: most)
    return clock


class LLM:
    """Answers `names[app]`, else SNS, when `gate` is open; fails with `error` while there is one."""

    def __init__(self) -> None:
        self.requests: list[list[Question]] = []
        self.names: dict[str, Any] = {}
        self.error: BaseException | None = None
        self.errors: list[BaseException] = []
        self.cut = 0
        self.now = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def most_tokens(self, questions: Sequence[Question], categories: Sequence[str]) -> int:
        return 25 * len(questions)

    async def classify(self, questions: Sequence[Question], categories: Sequence[str]) -> LLMAnswers:
        self.requests.append(list(questions))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
            if self.errors:
                raise self.errors.pop(0)
            if self.error is not None:
                raise self.error
            names = [self.names.get(question.app, "SNS") for question in questions]
            return LLMAnswers(names[self.cut :], tokens=10 * len(questions))
        finally:
            self.now -= 1


class World:
    def __init__(
        self, limits: LLMQueueLimits = LIMITS, budget: Any = None, cache: Any = None, **changes: Any
    ) -> None:
        self.llm, self.seen, self.budget = LLM(), Seen(), budget or InMemoryLLMBudget()
        self.memory = AnswerMemory(self.seen, cache, limit=1000)
        self.lane = LLMQueue(self.llm, self.budget, self.memory, self.seen, replace(limits, **changes))

    async def ask(self, *questions: Question, user: str = "user-1") -> dict[Question, str]:
        return await self.lane.ask(dict.fromkeys(questions, (user,)), CATEGORIES)

    def asking(self, *questions: Question, user: str = "user-1") -> asyncio.Task[dict[Question, str]]:
        return asyncio.create_task(self.ask(*questions, user=user))

    async def fail(self, times: int, error: BaseException | None = None) -> None:
        self.llm.error = error or ClassificationFailed("no", LLMFailure.UNAVAILABLE)
        for number in range(times):
            assert await self.ask(*questions(1, f"failing {number}")) == {}
        self.llm.error = None


def questions(count: int, name: str = "app") -> list[Question]:
    return [Question(f"{name} {number}", "", "") for number in range(count)]


ONE = Question("Frobnicator", "zyzzyva.example", "notes")


# Requests


async def test_answers_belong_to_their_questions() -> None:
    it = World()
    it.llm.names = {"app 0": "Development"}
    one, two = questions(2)

    assert await it.ask(one, two) == {one: "Development", two: "SNS"}


@pytest.mark.parametrize("name", [None, "", "Cooking", "development", 7, ["SNS"]])
async def test_no_usable_answer_spoils_no_other_and_is_none_after_some_tries(name: Any) -> None:
    it = World()
    it.llm.names = {"app 0": name}
    one, two = questions(2)

    assert [await it.ask(one, two) for _ in range(3)] == [{two: "SNS"}, {two: "SNS"}, {one: "", two: "SNS"}]


async def test_an_llm_that_answers_nothing_usable_has_failed_and_its_questions_stay_open() -> None:
    it = World()
    for number in range(12):
        assert not it.lane.is_paused, "it may be the fault of the questions"
        it.llm.names = {f"{number} 0": "Cooking"}
        assert await it.ask(*questions(1, str(number))) == {}
    assert it.lane.is_paused

    assert [it.memory.get(question) for question in questions(1, "0")] == [None]


async def test_odd_questions_of_one_user_do_not_pause_it_for_the_others() -> None:
    it = World()
    it.llm.names = {f"odd {number}": "Cooking" for number in range(30)}
    for number, odd in enumerate(questions(30, "odd")):
        await it.ask(odd, user="odd user")
        if number % 10 == 9:
            assert await it.ask(*questions(1, str(number))) != {}
    assert it.seen.paused == []


async def test_a_request_holds_questions_of_one_user() -> None:
    it = World()
    callers = [it.asking(*questions(3, user), user=user) for user in ("one", "two", "three")]
    for caller in callers:
        assert len(await caller) == 3

    assert it.llm.requests == [questions(3, user) for user in ("one", "two", "three")]


async def test_users_take_turns() -> None:
    it = World(batch=2, concurrency=1)
    it.llm.gate.clear()
    callers = [it.asking(*questions(6, "many"), user="many"), it.asking(*questions(2, "few"), user="few")]
    await until(lambda: it.llm.now == 1)
    it.llm.gate.set()
    for caller in callers:
        await caller

    assert it.llm.requests[2] == questions(2, "few"), "the second was queued before"


async def test_what_many_callers_ask_goes_in_requests_of_twenty() -> None:
    it = World(linger_seconds=NEVER)
    asked = questions(40)
    callers = [it.asking(*asked[start : start + 8]) for start in range(0, 40, 8)]
    answers = [await caller for caller in callers]

    assert [len(request) for request in it.llm.requests] == [20, 20]
    assert sorted(question for request in it.llm.requests for question in request) == sorted(asked)
    assert [len(answer) for answer in answers] == [8] * 5


async def test_a_request_that_is_not_full_waits_for_more_but_not_for_ever() -> None:
    it = World(linger_seconds=NEVER)
    first = it.asking(*questions(19))
    await turns()
    assert it.llm.requests == []
    await it.ask(ONE)
    assert [len(request) for request in it.llm.requests] == [20]
    assert len(await first) == 19

    lingering = World(linger_seconds=0.01)
    assert await lingering.ask(ONE) == {ONE: "SNS"}


async def test_equal_questions_of_all_callers_are_asked_once() -> None:
    it = World()
    it.llm.gate.clear()
    callers = [it.asking(ONE) for _ in range(10)]
    await until(lambda: it.llm.now == 1)
    callers += [it.asking(ONE) for _ in range(10)]
    await turns()
    it.llm.gate.set()

    assert [await caller for caller in callers] == [{ONE: "SNS"}] * 20
    assert it.llm.requests == [[ONE]]


async def test_no_more_requests_at_once_than_allowed_and_the_others_follow() -> None:
    it = World(batch=1, concurrency=3)
    it.llm.gate.clear()
    caller = it.asking(*questions(20))
    await until(lambda: it.llm.now == 3)
    await turns()
    assert len(it.llm.requests) == 3
    it.llm.gate.set()

    assert len(await caller) == 20
    assert (it.llm.most, len(it.llm.requests)) == (3, 20)


# Waiting


async def test_one_user_takes_half_of_the_places_at_most() -> None:
    it = World(waiting=4, concurrency=0)
    many = it.asking(*questions(4, "many"), user="many")
    few = it.asking(*questions(2, "few"), user="few")
    await turns()
    it.lane._empty_queues()

    assert await many == await few == {}
    assert len(it.lane._asked) == 0


async def test_no_more_questions_wait_than_allowed_and_the_others_are_not_answered_now() -> None:
    it = World(waiting=2, batch=1)
    it.llm.gate.clear()
    asked = questions(3)
    caller = it.asking(*asked)
    await until(lambda: it.llm.now == 2)
    it.llm.gate.set()

    assert await caller == dict.fromkeys(asked[:2], "SNS")
    assert await it.ask(asked[2]) == {asked[2]: "SNS"}


async def test_an_answer_that_takes_too_long_is_not_waited_for_but_remembered() -> None:
    it = World(wait_seconds=0.01)
    it.llm.gate.clear()

    assert await it.ask(ONE) == {}
    assert await it.ask(ONE) == {}, "it is still on its way, and asked once"
    it.llm.gate.set()
    await until(lambda: it.memory.get(ONE) == "SNS")
    assert it.llm.requests == [[ONE]]
    assert not it.lane.is_paused


async def test_an_answer_is_remembered_before_anybody_has_it() -> None:
    class SlowCache(InMemoryClassificationCache):
        gate = asyncio.Event()

        async def put_many(self, answers: Mapping[Question, str]) -> None:
            await self.gate.wait()
            await super().put_many(answers)

    cache = SlowCache()
    it = World(cache=cache)
    caller = it.asking(ONE)
    await until(lambda: it.memory.get(ONE) == "SNS")
    await turns()
    assert not caller.done()
    cache.gate.set()

    assert await caller == {ONE: "SNS"}
    assert await cache.get_many([ONE]) == {ONE: "SNS"}


async def test_no_acceptable_answer_is_remembered_too() -> None:
    it = World()
    it.llm.names = {ONE.app: None}
    for _ in range(3):
        await it.ask(ONE, *questions(1))

    assert it.memory.get(ONE) == ""


async def test_a_cancelled_caller_does_not_take_the_answer_from_the_others() -> None:
    it = World()
    it.llm.gate.clear()
    callers = [it.asking(ONE) for _ in range(3)]
    await until(lambda: it.llm.now == 1)
    callers[0].cancel()
    await turns()
    it.llm.gate.set()

    assert [await caller for caller in callers[1:]] == [{ONE: "SNS"}] * 2
    with pytest.raises(asyncio.CancelledError):
        await callers[0]


# Failures


async def test_a_failure_is_shared_and_the_next_call_asks_again() -> None:
    it = World()
    it.llm.gate.clear()
    it.llm.error = ClassificationFailed("no", LLMFailure.UNAVAILABLE)
    callers = [it.asking(ONE) for _ in range(3)]
    await until(lambda: it.llm.now == 1)
    it.llm.gate.set()

    assert [await caller for caller in callers] == [{}] * 3
    assert len(it.llm.requests) == 1
    assert it.memory.get(ONE) is None
    it.llm.error = None
    assert await it.ask(ONE) == {ONE: "SNS"}


async def test_after_failures_in_a_row_nothing_is_asked_for_a_while(clock: Clock) -> None:
    it = World()
    await it.fail(2)
    assert not it.lane.is_paused
    await it.fail(1)

    assert it.lane.is_paused
    assert it.seen.paused == ["failures"]
    assert await it.ask(ONE) == {}
    clock.now += 1.9
    assert it.lane.is_paused
    clock.now += 0.2
    assert not it.lane.is_paused
    assert await it.ask(ONE) == {ONE: "SNS"}
    assert len(it.llm.requests) == 4


async def test_a_success_between_failures_starts_the_count_again() -> None:
    it = World()
    await it.fail(2)
    await it.ask(ONE)
    await it.fail(2)

    assert not it.lane.is_paused


async def test_when_a_pause_is_over_one_request_tries_and_the_others_do_not_wait(clock: Clock) -> None:
    it = World(batch=1)
    await it.fail(3)
    clock.now += 2.1
    it.llm.gate.clear()
    probe = it.asking(ONE)
    await until(lambda: it.llm.now == 1)

    assert it.lane.is_paused
    assert await it.ask(*questions(5)) == {}
    it.llm.gate.set()
    assert await probe == {ONE: "SNS"}
    assert not it.lane.is_paused
    assert len(await it.ask(*questions(5))) == 5


async def test_pauses_double_up_to_the_longest(clock: Clock) -> None:
    it = World()
    await it.fail(3)
    for seconds in (2.0, 4.0, 8.0, 10.0, 10.0):
        clock.now += seconds - 0.1
        assert it.lane.is_paused
        clock.now += 0.2
        await it.fail(1)


async def test_what_is_queued_when_a_pause_begins_is_not_answered() -> None:
    it = World(batch=1, concurrency=1, failures=1)
    it.llm.error = ClassificationFailed("no", LLMFailure.UNAVAILABLE)

    assert await asyncio.wait_for(it.ask(*questions(5)), 60) == {}
    assert len(it.llm.requests) == 1


async def test_it_is_not_asked_before_the_time_that_it_names(clock: Clock) -> None:
    it = World()
    await it.fail(1, ClassificationFailed("429", LLMFailure.RATE_LIMITED, 30.0))

    assert it.lane.is_paused
    clock.now += 29.9
    assert await it.ask(ONE) == {}
    clock.now += 0.2
    assert await it.ask(ONE) == {ONE: "SNS"}


async def test_the_longer_of_both_pauses_counts(clock: Clock) -> None:
    it = World()
    await it.fail(2)
    await it.fail(1, ClassificationFailed("429", LLMFailure.RATE_LIMITED, 30.0))
    clock.now += 29.9

    assert it.lane.is_paused


async def test_a_bug_in_the_client_is_a_failure_like_others() -> None:
    it = World()
    await it.fail(3, ZeroDivisionError("a bug"))

    assert it.lane.is_paused


async def test_a_client_that_answers_for_too_few_is_a_failure_like_others() -> None:
    it = World()
    it.llm.cut = 1
    for number in range(3):
        assert await it.ask(*questions(2, f"cut {number}")) == {}

    assert it.lane.is_paused


# Retries


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the queue has slept between tries; it does not really."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("domains.patternClassifier.llm_queue.asyncio.sleep", sleep)
    return slept


@pytest.mark.parametrize("kind", [LLMFailure.TIMEOUT, LLMFailure.RATE_LIMITED, LLMFailure.UNAVAILABLE])
async def test_what_may_work_a_moment_later_is_repeated(kind: LLMFailure, sleeps: list[float]) -> None:
    it = World(retries=2)
    it.llm.errors = [ClassificationFailed("no", kind), ClassificationFailed("no", kind, retry_after=1.0)]

    assert await it.ask(ONE) == {ONE: "SNS"}
    assert sleeps == [0.5, 1.0]
    assert it.seen.llm == [], "it has not failed"


@pytest.mark.parametrize("kind", [LLMFailure.REFUSED, LLMFailure.MALFORMED, LLMFailure.ERROR])
async def test_what_would_fail_again_is_not_repeated(kind: LLMFailure, sleeps: list[float]) -> None:
    it = World(retries=2)
    it.llm.errors = [ClassificationFailed("no", kind)]

    assert await it.ask(ONE) == {}
    assert len(it.llm.requests) == 1


async def test_a_request_is_repeated_as_often_as_allowed(sleeps: list[float]) -> None:
    it = World(retries=3)
    it.llm.error = ClassificationFailed("no", LLMFailure.UNAVAILABLE)

    assert await it.ask(ONE) == {}
    assert len(it.llm.requests) == 4
    assert sleeps == [0.5, 1.0, 2.0]


async def test_a_long_wait_is_a_pause_for_all(sleeps: list[float]) -> None:
    it = World(retries=2)
    await it.fail(1, ClassificationFailed("429", LLMFailure.RATE_LIMITED, 30.0))

    assert it.lane.is_paused
    assert sleeps == []


# The budget


async def test_a_spent_budget_pauses_without_asking_until_there_is_one_again(clock: Clock) -> None:
    class Spent(InMemoryLLMBudget):
        refusal: BudgetRefusal | None = BudgetRefusal(BudgetLimit.CALLS, 40.0)

        async def reserve(self, user: str, tokens: int) -> Reservation | BudgetRefusal:
            return self.refusal or await super().reserve(user, tokens)

    budget = Spent()
    it = World(budget=budget)

    assert await it.ask(ONE) == {}
    assert it.lane.is_paused
    assert it.seen.paused == ["budget"]
    assert it.llm.requests == []
    clock.now += 40.1
    budget.refusal = None
    assert await it.ask(ONE) == {ONE: "SNS"}


async def test_what_a_request_cost_is_booked() -> None:
    it = World()
    await it.ask(*questions(3))

    assert it.budget.spent == 30


async def test_what_a_request_may_cost_is_booked_before_it_is_sent() -> None:
    it = World()
    it.llm.gate.clear()
    caller = it.asking(*questions(3))
    await until(lambda: it.llm.now == 1)

    assert it.budget.spent == 75
    it.llm.gate.set()
    await caller


async def test_what_a_failed_request_may_have_cost_is_booked(sleeps: list[float]) -> None:
    it = World(retries=1)
    it.llm.errors = [
        ClassificationFailed("no", LLMFailure.TIMEOUT, tokens=25),
        ClassificationFailed("no", LLMFailure.MALFORMED, tokens=17),
    ]
    await it.ask(ONE)

    assert it.budget.spent == 42
    ((_, cause),) = it.seen.llm
    assert isinstance(cause, ClassificationFailed)
    assert cause.tokens == 42, "both tries are told of"


async def test_what_a_request_costs_whose_answers_cannot_be_used_is_booked() -> None:
    it = World()
    it.llm.names = {ONE.app: "Cooking"}
    await it.ask(ONE)

    assert it.budget.spent == 10


async def test_requests_under_way_never_exceed_the_budget_together() -> None:
    it = World(budget=InMemoryLLMBudget(tokens=100), batch=1)
    it.llm.gate.clear()
    caller = it.asking(*questions(10))
    await until(lambda: it.llm.now == 4)
    await turns()
    it.llm.gate.set()
    await caller

    assert len(it.llm.requests) == 4
    assert it.seen.paused[0] == "budget"


async def test_a_batch_for_which_there_is_too_little_left_is_halved() -> None:
    it = World(budget=InMemoryLLMBudget(tokens=60))
    asked = questions(8)

    assert await it.ask(*asked) == dict.fromkeys(asked[:2], "SNS")


async def test_who_has_spent_their_share_is_not_asked_for_and_the_others_are(clock: Clock) -> None:
    it = World(budget=InMemoryLLMBudget(tokens=1000, user_share=0.05), batch=1)
    one, two, three, four, five = questions(5)
    assert await it.ask(one, two, three, four, user="greedy") == {one: "SNS", two: "SNS", three: "SNS"}

    assert await it.ask(four, five, user="greedy") == {four: "", five: ""}
    assert it.memory.get(four) is None, "the answer is not that there is none"
    assert await it.ask(four) == {four: "SNS"}
    assert not it.lane.is_paused
    assert it.seen.shares_spent == 1
    clock.now += 86_401
    it.lane._budget = InMemoryLLMBudget()
    assert await it.ask(five, user="greedy") == {five: "SNS"}


async def test_another_user_pays_for_a_question_that_both_ask() -> None:
    it = World(budget=InMemoryLLMBudget(tokens=1000, user_share=0.05), batch=1)
    await it.ask(*questions(4), user="greedy")

    assert await it.lane.ask({ONE: ("greedy", "modest")}, CATEGORIES) == {ONE: "SNS"}


@pytest.mark.parametrize("method", ["reserve", "settle"])
async def test_a_budget_that_is_away_is_told_of_and_is_no_failure_of_the_llm(method: str) -> None:
    async def away(*_: object) -> float:
        raise RedisOutage("away")

    it = World()
    setattr(it.budget, method, away)
    for number in range(5):
        asked = questions(1, f"asked {number}")
        assert await it.ask(*asked) == ({} if method == "reserve" else {asked[0]: "SNS"})

    assert not it.lane.is_paused
    assert it.seen.away[0][0] == "llm"
    assert len(it.llm.requests) == (0 if method == "reserve" else 5), "nothing is spent that cannot be booked"


# The end


async def test_closing_gives_up_what_is_under_way_and_what_waits() -> None:
    it = World(batch=2, concurrency=2)
    it.llm.gate.clear()
    caller = it.asking(*questions(9))
    await until(lambda: it.llm.now == 2)
    await it.lane.aclose()

    assert await asyncio.wait_for(caller, 60) == {}
    await turns()
    assert len(it.llm.requests) == 2
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("LLM request")]


async def test_closing_answers_those_whose_request_lingers() -> None:
    it = World(linger_seconds=NEVER)
    caller = it.asking(ONE)
    await turns()
    await it.lane.aclose()

    assert await asyncio.wait_for(caller, 60) == {}
    assert it.llm.requests == []
