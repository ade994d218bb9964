"""The tiers of the classifier: rules, shared cache, LLM, Uncategorized."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from domains.categoryPattern.model import LLM_ONLY_CATEGORIES, UNCATEGORIZED, CategoryPattern, category_id
from domains.errors import ClassificationFailed, PipelineError, RedisOutage, StoreOutage
from domains.patternClassifier.classifier import Classification, PatternClassifier, PatternSnapshot
from domains.patternClassifier.ports import LLMAnswers
from domains.patternClassifier.questions import Question
from domains.patternClassifier.rules import PatternProblem
from domains.pomodoro.model import ActivityKey
from infrastructure.memory.repositories import InMemoryCategoryPatternRepository, InMemoryClassificationCache
from infrastructure.patterns import default_patterns
from tests.messages import DEVELOPMENT, DOCUMENTATION, hex_id, patterns

EDITOR = ActivityKey("Visual Studio Code", "", "")
STRANGE = ActivityKey("Frobnicator", "", "notes")
STRANGER = ActivityKey("Zyzzyva", "zyzzyva.example", "")
PRIVATE = ActivityKey("1Password", "", "my bank")


class LLM:
    """Answers from `answers`; waits at `gate`, which stands open unless a test closes it."""

    def __init__(self, answers: Mapping[ActivityKey, str | None] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[list[ActivityKey]] = []
        self.categories: list[str] = []
        self.error: Exception | None = None
        self.now = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def classify(self, questions: Sequence[Question], categories: Sequence[str]) -> LLMAnswers:
        keys = [ActivityKey(question.app, question.site, question.title) for question in questions]
        self.asked.append(keys)
        self.categories = list(categories)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
            if self.error is not None:
                raise self.error
            return LLMAnswers([self.answers.get(key) for key in keys])
        finally:
            self.now -= 1


class AwayCache:
    async def get_many(self, keys: Collection[ActivityKey]) -> dict[ActivityKey, str]:
        raise RedisOutage("away")

    async def put_many(self, answers: Mapping[ActivityKey, str]) -> None:
        raise RedisOutage("away")


@dataclass
class Seen:
    """ClassifierObserver."""

    loaded: list[int] = field(default_factory=list)
    problems: list[PatternProblem] = field(default_factory=list)
    cache: list[PipelineError] = field(default_factory=list)
    llm: list[tuple[int, PipelineError]] = field(default_factory=list)
    answered: list[tuple[int, int]] = field(default_factory=list)

    def patterns_loaded(self, count: int, problems: Sequence[PatternProblem]) -> None:
        self.loaded.append(count)
        self.problems += problems

    def cache_failed(self, cause: PipelineError) -> None:
        self.cache.append(cause)

    def llm_answered(self, windows: int, answered: int, tokens: int, seconds: float) -> None:
        self.answered.append((windows, answered))

    def llm_failed(self, windows: int, cause: PipelineError) -> None:
        self.llm.append((windows, cause))


@dataclass
class Side:
    classifier: PatternClassifier
    store: InMemoryCategoryPatternRepository
    cache: InMemoryClassificationCache | AwayCache
    llm: LLM
    seen: Seen


async def side(
    answers: Mapping[ActivityKey, str | None] | None = None,
    stored: Collection[CategoryPattern] | None = None,
    cache: InMemoryClassificationCache | AwayCache | None = None,
    **options: int,
) -> Side:
    store = InMemoryCategoryPatternRepository(patterns() if stored is None else stored)
    llm, seen = LLM(answers), Seen()
    cache = cache or InMemoryClassificationCache()
    classifier = PatternClassifier(store, cache, llm, seen, **options)
    await classifier.load()
    return Side(classifier, store, cache, llm, seen)


# Loading


async def test_uncategorized_is_created_where_it_is_missing() -> None:
    it = await side()

    assert it.store.documents[category_id(UNCATEGORIZED)] == CategoryPattern(
        category_id(UNCATEGORIZED), UNCATEGORIZED
    )
    assert it.classifier.uncategorized == Classification(UNCATEGORIZED, category_id(UNCATEGORIZED))


async def test_uncategorized_keeps_the_id_that_spring_gave_it() -> None:
    it = await side(stored=[*patterns(), CategoryPattern(hex_id(77), UNCATEGORIZED)])

    assert len(it.store.documents) == 5
    assert it.classifier.uncategorized.category_id == hex_id(77)


async def test_two_instances_create_the_same_uncategorized() -> None:
    store = InMemoryCategoryPatternRepository(patterns())
    one, two = (PatternClassifier(store, InMemoryClassificationCache(), None, Seen()) for _ in range(2))
    await asyncio.gather(one.load(), two.load())

    assert len(store.documents) == 5
    assert one.uncategorized == two.uncategorized


async def test_defaults_are_saved_where_the_store_has_nothing() -> None:
    store, seen = InMemoryCategoryPatternRepository(), Seen()
    classifier = PatternClassifier(store, InMemoryClassificationCache(), None, seen, defaults=default_patterns())
    await classifier.load()

    assert store.documents == {pattern.id: pattern for pattern in default_patterns()}
    assert seen.loaded[0] >= 600
    assert seen.problems == []


async def test_defaults_are_not_saved_beside_what_the_store_has() -> None:
    store = InMemoryCategoryPatternRepository(patterns()[:1])
    await PatternClassifier(store, InMemoryClassificationCache(), None, Seen(), defaults=default_patterns()).load()

    assert sorted(document.category for document in store.documents.values()) == ["Development", UNCATEGORIZED]


async def test_loading_again_takes_what_has_changed() -> None:
    it = await side()
    assert it.classifier.by_rules(STRANGE) is None

    await it.store.save_all([CategoryPattern(hex_id(9), "Finance", None, ("Frobnicator",))])
    assert it.classifier.by_rules(STRANGE) is None
    await it.classifier.load()
    assert it.classifier.by_rules(STRANGE) == Classification("Finance", hex_id(9), tier="app")


async def test_a_broken_pattern_is_told_of_and_skipped() -> None:
    it = await side(stored=[CategoryPattern(hex_id(1), "Development", 1, ("Visual Studio Code",), ("http://",))])

    assert [problem.pattern for problem in it.seen.problems] == ["http://"]
    assert it.classifier.by_rules(EDITOR) is not None


async def test_a_store_that_is_away_is_not_an_empty_store() -> None:
    class Away(InMemoryCategoryPatternRepository):
        async def find_all(self) -> list[CategoryPattern]:
            raise StoreOutage("away")

    store = Away()
    classifier = PatternClassifier(store, InMemoryClassificationCache(), None, Seen(), defaults=default_patterns())

    with pytest.raises(StoreOutage):
        await classifier.load()
    assert store.documents == {}


# Rules and stored categories


async def test_rules_decide_without_asking_anybody() -> None:
    it = await side()

    assert it.classifier.by_rules(EDITOR) == Classification(
        "Development", DEVELOPMENT, is_llm_based=False, tier="app"
    )
    assert it.classifier.by_rules(STRANGE) is None
    assert it.llm.asked == []


async def test_without_an_llm_there_are_no_slow_tiers() -> None:
    assert not PatternClassifier(
        InMemoryCategoryPatternRepository(), InMemoryClassificationCache(), None, Seen()
    ).has_slow_tiers
    assert (await side()).classifier.has_slow_tiers


@pytest.mark.parametrize(
    ("stored_id", "is_llm_based", "expected"),
    [
        (DEVELOPMENT, False, Classification("Development", DEVELOPMENT, False, "documents")),
        (DEVELOPMENT, True, Classification("Development", DEVELOPMENT, True, "documents")),
        (None, False, None),  # inserted by Spring and not classified yet
        ("", False, None),
        (hex_id(404), False, None),  # of a category that an administrator has removed
        (category_id(UNCATEGORIZED), False, None),  # worth another try
        (category_id(UNCATEGORIZED), True, None),
    ],
)
async def test_what_a_stored_category_says(
    stored_id: str | None, is_llm_based: bool, expected: Classification | None
) -> None:
    assert (await side()).classifier.snapshot.stored(stored_id, is_llm_based) == expected


def test_a_category_that_stands_twice_is_known_by_both_ids_and_named_by_the_first() -> None:
    snapshot = PatternSnapshot([CategoryPattern(hex_id(1), "Design"), CategoryPattern(hex_id(2), "Design")])

    assert snapshot.by_tier["app"]["Design"] == Classification("Design", hex_id(1), False, "app")
    assert snapshot.stored(hex_id(2), False) == Classification("Design", hex_id(1), False, "documents")


# The cache


async def test_the_cache_recalls_what_the_llm_said() -> None:
    it = await side({STRANGE: "Documentation"})
    assert await it.classifier.recall([STRANGE]) == {}
    await asked(it.classifier, [STRANGE])

    assert await it.classifier.recall([STRANGE, STRANGER]) == {
        STRANGE: Classification("Documentation", DOCUMENTATION, is_llm_based=True, tier="cache")
    }


async def test_what_the_cache_says_is_not_taken_where_the_category_is_gone() -> None:
    it = await side()
    await it.cache.put_many({STRANGE: "A Category Of Old"})

    assert await it.classifier.recall([STRANGE]) == {}


async def test_no_answer_is_not_remembered() -> None:
    it = await side({STRANGE: None})
    await asked(it.classifier, [STRANGE])

    assert await it.cache.get_many([STRANGE]) == {}


async def test_a_cache_that_is_away_is_told_of_and_does_not_matter() -> None:
    it = await side({STRANGE: "Documentation"}, cache=AwayCache())

    assert await it.classifier.recall([STRANGE]) == {}
    assert (await asked(it.classifier, [STRANGE]))[STRANGE].category == "Documentation"
    assert [str(cause) for cause in it.seen.cache] == ["away", "away"]


# The LLM


async def asked(classifier: PatternClassifier, keys: list[ActivityKey]) -> dict[ActivityKey, Classification]:
    """What the slow lane does with the LLM's answers."""
    names = await classifier.ask(keys)
    if missing := classifier.missing_categories(names.values()):
        await classifier.create_categories(missing)
    return classifier.accept(names)


async def test_the_llm_is_offered_every_category_and_those_that_it_alone_may_name() -> None:
    it = await side()
    await asked(it.classifier, [STRANGE])

    known = {"Development", "Documentation", "SNS", "Entertainment", UNCATEGORIZED}
    assert it.llm.categories == sorted(known | LLM_ONLY_CATEGORIES)


async def test_answers_belong_to_their_windows() -> None:
    it = await side({STRANGE: "Documentation", STRANGER: "SNS"})
    answers = await asked(it.classifier, [STRANGE, STRANGER])

    assert {key: (answer.category, answer.is_llm_based) for key, answer in answers.items()} == {
        STRANGE: ("Documentation", True),
        STRANGER: ("SNS", True),
    }
    assert it.llm.asked == [[STRANGE, STRANGER]]


@pytest.mark.parametrize("answer", [None, "Cooking", "development", ""])
async def test_no_answer_or_one_outside_the_list_is_uncategorized(answer: str | None) -> None:
    it = await side({STRANGE: answer, STRANGER: "SNS"})
    answers = await asked(it.classifier, [STRANGE, STRANGER])

    assert answers[STRANGE] == it.classifier.uncategorized
    assert answers[STRANGER].category == "SNS"
    assert "Cooking" not in [document.category for document in it.store.documents.values()]


async def test_a_failure_is_uncategorized_and_told_of() -> None:
    it = await side()
    it.llm.error = ClassificationFailed("no answer in time")
    answers = await asked(it.classifier, [STRANGE, STRANGER])

    assert answers == {STRANGE: it.classifier.uncategorized, STRANGER: it.classifier.uncategorized}
    assert not answers[STRANGE].is_llm_based
    assert [(windows, str(cause)) for windows, cause in it.seen.llm] == [(2, "no answer in time")]


async def test_after_a_failure_the_next_one_asks_again() -> None:
    it = await side({STRANGE: "SNS"})
    it.llm.error = ClassificationFailed("no answer in time")
    await asked(it.classifier, [STRANGE])
    it.llm.error = None

    assert (await asked(it.classifier, [STRANGE]))[STRANGE].category == "SNS"


@pytest.mark.parametrize("category", sorted(LLM_ONLY_CATEGORIES))
async def test_a_category_that_only_the_llm_names_is_created_when_it_does(category: str) -> None:
    it = await side({STRANGE: category})
    assert category not in it.classifier.snapshot.categories

    answers = await asked(it.classifier, [STRANGE])

    assert answers[STRANGE] == Classification(category, category_id(category), is_llm_based=True, tier="llm")
    assert it.store.documents[category_id(category)] == CategoryPattern(category_id(category), category)
    assert it.classifier.by_rules(EDITOR) is not None, "the rules are still there"


async def test_a_category_that_only_the_llm_names_keeps_the_id_that_spring_gave_it() -> None:
    it = await side({STRANGE: "Music"}, stored=[*patterns(), CategoryPattern(hex_id(55), "Music")])

    assert (await asked(it.classifier, [STRANGE]))[STRANGE].category_id == hex_id(55)


async def test_a_key_given_twice_is_asked_for_once() -> None:
    it = await side({STRANGE: "SNS"})
    await asked(it.classifier, [STRANGE, STRANGE])

    assert it.llm.asked == [[STRANGE]]


async def test_callers_at_the_same_time_share_one_answer() -> None:
    it = await side({STRANGE: "SNS", STRANGER: "Documentation"})
    it.llm.gate.clear()
    callers = [asyncio.create_task(asked(it.classifier, [STRANGE])) for _ in range(10)]
    callers.append(asyncio.create_task(asked(it.classifier, [STRANGE, STRANGER])))
    await _settle()
    it.llm.gate.set()
    answers = await asyncio.gather(*callers)

    assert it.llm.asked == [[STRANGE], [STRANGER]]
    assert {answer[STRANGE].category for answer in answers} == {"SNS"}
    assert answers[-1][STRANGER].category == "Documentation"


async def test_a_failure_is_shared_too() -> None:
    it = await side()
    it.llm.gate.clear()
    it.llm.error = ClassificationFailed("no")
    callers = [asyncio.create_task(asked(it.classifier, [STRANGE])) for _ in range(3)]
    await _settle()
    it.llm.gate.set()

    assert await asyncio.gather(*callers) == [{STRANGE: it.classifier.uncategorized}] * 3
    assert len(it.llm.asked) == 1


async def test_a_cancelled_caller_does_not_take_the_answer_from_the_others() -> None:
    it = await side({STRANGE: "SNS"})
    it.llm.gate.clear()
    callers = [asyncio.create_task(asked(it.classifier, [STRANGE])) for _ in range(3)]
    await _settle()
    callers.pop().cancel()
    await _settle()
    it.llm.gate.set()
    answers = await asyncio.gather(*callers)

    assert [answer[STRANGE].category for answer in answers] == ["SNS", "SNS"]


async def test_nobody_waits_for_ever_where_the_llm_client_breaks() -> None:
    it = await side()
    it.llm.gate.clear()
    it.llm.error = RuntimeError("a bug")
    callers = [asyncio.create_task(asked(it.classifier, [STRANGE])) for _ in range(2)]
    await _settle()
    it.llm.gate.set()
    first, second = await asyncio.wait_for(asyncio.gather(*callers, return_exceptions=True), 5)

    assert isinstance(first, RuntimeError)
    assert second == {STRANGE: it.classifier.uncategorized}


async def test_the_llm_gets_to_see_the_least_that_decides() -> None:
    it = await side()
    await asked(it.classifier, [ActivityKey("Frobnicator", "https://a.com/x?token=1", "for kim@corp.com")])

    assert it.llm.asked == [[ActivityKey("Frobnicator", "a.com/x", "for [email]")]]


async def test_what_is_private_is_not_asked_for() -> None:
    it = await side({STRANGE: "SNS", PRIVATE: "SNS"})
    answers = await asked(it.classifier, [PRIVATE, STRANGE])

    assert it.llm.asked == [[STRANGE]]
    assert [answers[PRIVATE].category, answers[STRANGE].category] == [UNCATEGORIZED, "SNS"]


async def test_no_more_requests_at_once_than_allowed() -> None:
    keys = [ActivityKey(f"Frobnicator {i}", "", "") for i in range(20)]
    it = await side(llm_concurrency=3)
    it.llm.gate.clear()
    callers = [asyncio.create_task(asked(it.classifier, [key])) for key in keys]
    await _settle()
    it.llm.gate.set()
    await asyncio.gather(*callers)

    assert it.llm.most == 3
    assert len(it.llm.asked) == 20


async def _settle() -> None:
    """Lets every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)
