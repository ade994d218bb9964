"""The tiers of the classifier: rules, memory, cache, documents, model, LLM, and what is said where none decides."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from domains.categoryPattern.model import LLM_ONLY_CATEGORIES, UNCATEGORIZED, CategoryPattern, category_id
from domains.kernel.errors import ClassificationFailed, LLMFailure, RedisOutage, StoreOutage, StoreRefused
from domains.kernel.window import Window
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.llm_queue import LLMQueue
from domains.patternClassifier.model import Classification, PatternProblem
from domains.patternClassifier.ports import LLMAnswers
from domains.patternClassifier.questions import Question, Questions
from domains.patternClassifier.snapshot import PatternSnapshot
from domains.patternClassifier.tiers import AnswerMemory, CacheTier, DocumentsTier, LocalClassifierTier, SlowTier
from domains.pomodoro.model import CategoryUpdate
from infrastructure.memory.repositories import (
    InMemoryCategorizedDataRepository,
    InMemoryCategoryPatternRepository,
    InMemoryClassificationCache,
    InMemoryLLMBudget,
)
from infrastructure.patterns.pattern_file import default_patterns
from tests.messages import DEVELOPMENT, DOCUMENTATION, ENTERTAINMENT, SNS, categorized, hex_id, patterns
from tests.unit.pipeline_in_memory import LLM_LIMITS

EDITOR = Window("Visual Studio Code", "", "")
STRANGE = Window("Frobnicator", "", "notes")
STRANGER = Window("Zyzzyva", "https://zyzzyva.example", "")
PAGE = Window("Google Chrome", "https://zyzzyva.example/a", "a page")
NEW_TAB = Window("Google Chrome", "chrome://newtab", "New Tab")
VIDEO = Window("Google Chrome", "https://zyzzyva.example/watch", "A lecture - Zyzzyva")
VIDEO_SITE = [CategoryPattern("", "Entertainment", None, (), ("zyzzyva.example",), (), True)]
UNKNOWN_PAGE = Classification(UNCATEGORIZED, category_id(UNCATEGORIZED), tier="provisional")
BROWSING = hex_id(5)
WITH_BROWSER = [*patterns(), CategoryPattern(BROWSING, "Browsing", 9, ("Google Chrome",))]


class LLM:
    """Answers from `answers`, by app."""

    def __init__(self, answers: Mapping[Window, str | None] | None = None) -> None:
        self.answers = {key.app: name for key, name in (answers or {}).items()}
        self.asked: list[list[str]] = []
        self.categories: list[str] = []
        self.error: Exception | None = None

    def most_tokens(self, questions: Sequence[Question], categories: Sequence[str]) -> int:
        return 2 * len(questions)

    async def classify(self, questions: Sequence[Question], categories: Sequence[str]) -> LLMAnswers:
        self.asked.append([question.app for question in questions])
        self.categories = list(categories)
        if self.error is not None:
            raise self.error
        return LLMAnswers([self.answers.get(question.app) for question in questions], tokens=len(questions))


class Model:
    """A local classifier that is sure of `names`, by app."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names
        self.error: Exception | None = None

    def predict(self, questions: Sequence[Question]) -> list[str | None]:
        if self.error is not None:
            raise self.error
        return [self.names.get(question.app) for question in questions]


class AwayCache:
    async def get_many(self, questions: Collection[Question]) -> dict[Question, str]:
        raise RedisOutage("away")

    async def put_many(self, answers: Mapping[Question, str]) -> None:
        raise RedisOutage("away")


class Documents(InMemoryCategorizedDataRepository):
    error: Exception | None = None
    looked_up = 0

    async def find_many_by_app_url_title_batch(self, windows: Collection[Window]) -> dict[Window, Any]:
        self.looked_up += len(windows)
        if self.error is not None:
            raise self.error
        return await super().find_many_by_app_url_title_batch(windows)


@dataclass
class Seen:
    """ClassifierObserver."""

    loaded: list[int] = field(default_factory=list)
    problems: list[PatternProblem] = field(default_factory=list)
    tiers: list[tuple[str, Exception]] = field(default_factory=list)
    llm: list[tuple[int, Exception]] = field(default_factory=list)
    answered: list[tuple[int, int]] = field(default_factory=list)

    def patterns_loaded(self, count: int, problems: Sequence[PatternProblem]) -> None:
        self.loaded.append(count)
        self.problems += problems

    def patterns_not_loaded(self, cause: Exception) -> None: ...

    def tier_failed(self, tier: str, cause: Exception) -> None:
        self.tiers.append((tier, cause))

    def llm_answered(self, windows: int, answered: int, tokens: int, seconds: float) -> None:
        self.answered.append((windows, answered))

    def llm_failed(self, windows: int, cause: Exception) -> None:
        self.llm.append((windows, cause))

    def llm_paused(self, reason: str, seconds: float) -> None: ...


class Side:
    """A classifier with all tiers but those in `without`."""

    def __init__(
        self,
        answers: Mapping[Window, str | None] | None = None,
        stored: Collection[CategoryPattern] = WITH_BROWSER,
        cache: Any = None,
        without: Collection[str] = (),
        memory: int = 1000,
        model: Mapping[str, str] | None = None,
        questions: Questions | None = None,
        snapshot_of: Callable[[Sequence[CategoryPattern]], PatternSnapshot] = PatternSnapshot,
    ) -> None:
        self.store, self.documents = InMemoryCategoryPatternRepository(stored), Documents()
        self.llm, self.seen, self.model = LLM(answers), Seen(), Model(model or {})
        self.cache = cache or InMemoryClassificationCache()
        self.questions = questions or Questions()
        shared = None if "cache" in without else self.cache
        self.memory = AnswerMemory(self.seen, shared, 0 if "memory" in without else memory)
        tiers: list[SlowTier] = [
            CacheTier(self.memory),
            DocumentsTier(self.documents),
            LocalClassifierTier(self.model),
        ]
        llm_queue = LLMQueue(self.llm, InMemoryLLMBudget(), self.memory, self.seen, LLM_LIMITS)
        self.classifier = PatternClassifier(
            self.store,
            self.seen,
            questions=self.questions,
            memory=self.memory,
            tiers=[tier for tier in tiers if tier.name not in without],
            llm_queue=None if "llm" in without else llm_queue,
            snapshot_of=snapshot_of,
        )

    async def classify(self, *keys: Window) -> dict[Window, Classification]:
        """As the consumer asks, tier by tier; without those that nobody can tell now."""
        found = {key: decided for key in keys if (decided := self.classifier.at_once(key))}
        found |= await self.classifier.further(set(keys) - found.keys())
        return found | await self.classifier.ask((key, "user-1") for key in set(keys) - found.keys())

    async def tier_of(self, key: Window) -> tuple[str, str]:
        found = (await self.classify(key))[key]
        return found.tier, found.category


async def side(*arguments: Any, **options: Any) -> Side:
    it = Side(*arguments, **options)
    await it.classifier.load()
    return it


def without_tiers(store: InMemoryCategoryPatternRepository, **options: Any) -> PatternClassifier:
    return PatternClassifier(store, options.pop("seen", Seen()), **options)


# Loading


async def test_uncategorized_is_created_where_it_is_missing() -> None:
    it = await side()

    assert it.store.documents[category_id(UNCATEGORIZED)] == CategoryPattern(
        category_id(UNCATEGORIZED), UNCATEGORIZED
    )
    assert it.classifier.snapshot.uncategorized == Classification(UNCATEGORIZED, category_id(UNCATEGORIZED))


async def test_uncategorized_keeps_the_id_that_spring_gave_it() -> None:
    it = await side(stored=[*patterns(), CategoryPattern(hex_id(77), UNCATEGORIZED)])

    assert len(it.store.documents) == 5
    assert it.classifier.snapshot.uncategorized.category_id == hex_id(77)


async def test_two_instances_create_the_same_uncategorized() -> None:
    store = InMemoryCategoryPatternRepository(patterns())
    one, two = without_tiers(store), without_tiers(store)
    await asyncio.gather(one.load(), two.load())

    assert len(store.documents) == 5
    assert one.snapshot.uncategorized == two.snapshot.uncategorized


async def test_defaults_are_saved_where_the_store_has_nothing() -> None:
    store, seen = InMemoryCategoryPatternRepository(), Seen()
    await without_tiers(store, seen=seen, defaults=default_patterns()).load()

    assert store.documents == {pattern.id: pattern for pattern in default_patterns()}
    assert seen.loaded[0] >= 600
    assert seen.problems == []


async def test_defaults_are_not_saved_beside_what_the_store_has() -> None:
    store = InMemoryCategoryPatternRepository(patterns()[:1])
    await without_tiers(store, defaults=default_patterns()).load()

    assert sorted(document.category for document in store.documents.values()) == ["Development", UNCATEGORIZED]


async def test_loading_again_takes_what_has_changed() -> None:
    it = await side()
    assert it.classifier.at_once(STRANGE) is None

    await it.store.save_all([CategoryPattern(hex_id(9), "Finance", None, ("Frobnicator",))])
    assert it.classifier.at_once(STRANGE) is None
    await it.classifier.load()
    assert it.classifier.at_once(STRANGE) == Classification("Finance", hex_id(9), tier="app")


async def test_a_broken_pattern_is_told_of_and_skipped() -> None:
    it = await side(stored=[CategoryPattern(hex_id(1), "Development", 1, ("Visual Studio Code",), ("http://",))])

    assert [problem.pattern for problem in it.seen.problems] == ["http://"]
    assert it.classifier.at_once(EDITOR) is not None


async def test_a_store_that_is_away_is_not_an_empty_store() -> None:
    class Away(InMemoryCategoryPatternRepository):
        async def find_all(self) -> list[CategoryPattern]:
            raise StoreOutage("away")

    store = Away()
    with pytest.raises(StoreOutage):
        await without_tiers(store, defaults=default_patterns()).load()
    assert store.documents == {}


# Rules, stored categories, and what is said where nobody knows


async def test_rules_decide_without_asking_anybody() -> None:
    it = await side()
    by_url = Window("Google Chrome", "https://github.com/a", "")

    assert it.classifier.at_once(EDITOR) == Classification("Development", DEVELOPMENT, tier="app")
    assert it.classifier.at_once(by_url) == Classification("Development", DEVELOPMENT, tier="url")
    assert it.classifier.at_once(STRANGE) is None
    assert (it.llm.asked, it.documents.looked_up) == ([], 0)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (PAGE, None),
        (Window("Google Chrome", "zyzzyva.example", ""), None),
        (NEW_TAB, "Browsing"),
        (Window("Google Chrome", "", "a title"), None),
        (Window("Google Chrome", "", "Google Chrome"), "Browsing"),
        (Window("Google Chrome", "", ""), "Browsing"),
        (Window("Google Chrome", "http://localhost:3000/a", ""), None),
        (Window("Google Chrome", "garbage", ""), None),
        (Window("Notion", "https://zyzzyva.example", ""), "Documentation"),
    ],
    ids=[
        *("page", "no_scheme", "new_tab", "title", "own_name", "nothing_else", "localhost", "garbage"),
        "an_app_that_is_no_browser",
    ],
)
async def test_a_browsers_name_decides_nothing_about_a_page_that_no_rule_knows(
    key: Window, expected: str | None
) -> None:
    found = (await side()).classifier.at_once(key)

    assert (found and found.category) == expected


async def test_what_nobody_knows_is_uncategorized_a_page_too() -> None:
    snapshot = (await side()).classifier.snapshot

    assert snapshot.fallback(PAGE) == UNKNOWN_PAGE
    assert snapshot.fallback(STRANGE) == snapshot.uncategorized


@pytest.mark.parametrize(
    ("unknown_pages", "category", "category_id_"),
    [("Browsing", "Browsing", BROWSING), ("SNS", "SNS", SNS), ("Game", UNCATEGORIZED, category_id(UNCATEGORIZED))],
    ids=["browsing", "another", "one_that_the_store_lacks"],
)
async def test_an_unknown_page_counts_as_what_was_asked_for(
    unknown_pages: str, category: str, category_id_: str
) -> None:
    it = await side(snapshot_of=partial(PatternSnapshot, unknown_pages=unknown_pages), without=EVERYBODY)

    assert it.classifier.at_once(PAGE) == Classification(category, category_id_, tier="provisional")


async def test_a_provisional_answer_other_than_browsing_is_used_as_it_is() -> None:
    it = await side(snapshot_of=partial(PatternSnapshot, additions=VIDEO_SITE), without=EVERYBODY)

    assert it.classifier.at_once(VIDEO) == Classification("Entertainment", ENTERTAINMENT, tier="provisional")


async def test_a_provisional_answer_holds_only_where_no_tier_knows_better() -> None:
    it = await side({VIDEO: "Documentation"}, snapshot_of=partial(PatternSnapshot, additions=VIDEO_SITE))

    assert it.classifier.at_once(VIDEO) is None
    assert it.classifier.snapshot.fallback(VIDEO).category == "Entertainment"
    assert await it.tier_of(VIDEO) == ("llm", "Documentation")


async def test_a_provisional_answer_that_was_stored_is_no_knowledge_and_another_one_is() -> None:
    it = await side(snapshot_of=partial(PatternSnapshot, additions=VIDEO_SITE))
    snapshot = it.classifier.snapshot

    assert snapshot.stored(ENTERTAINMENT, False, VIDEO) is None
    assert snapshot.stored(ENTERTAINMENT, True, VIDEO) is not None, "the LLM said so"
    assert snapshot.stored(DOCUMENTATION, False, VIDEO) is not None


async def test_the_local_classifier_does_not_confirm_what_it_has_learnt_from_the_same_patterns() -> None:
    video = {VIDEO.app: "Entertainment"}
    it = await side({VIDEO: "SNS"}, model=video, snapshot_of=partial(PatternSnapshot, additions=VIDEO_SITE))

    assert await it.tier_of(VIDEO) == ("llm", "SNS")


async def test_without_slow_tiers_all_is_said_at_once() -> None:
    it = await side(without=["cache", "documents", "model", "llm"])

    assert it.classifier.at_once(PAGE) == UNKNOWN_PAGE
    assert it.classifier.at_once(STRANGE) == it.classifier.snapshot.uncategorized
    assert not it.classifier.can_ask


async def test_without_an_llm_what_the_other_tiers_do_not_know_is_the_fallback_for_good() -> None:
    it = await side(without=["llm"])

    assert it.classifier.at_once(STRANGE) is None
    assert await it.classify(STRANGE, PAGE) == {
        STRANGE: it.classifier.snapshot.uncategorized,
        PAGE: UNKNOWN_PAGE,
    }


@pytest.mark.parametrize(
    ("stored_id", "is_llm_based", "expected"),
    [
        (DEVELOPMENT, False, Classification("Development", DEVELOPMENT, tier="documents")),
        (DEVELOPMENT, True, Classification("Development", DEVELOPMENT, is_llm_based=True, tier="documents")),
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
    assert (await side()).classifier.snapshot.stored(stored_id, is_llm_based, STRANGE) == expected


@pytest.mark.parametrize(
    ("key", "is_llm_based", "expected"),
    [(PAGE, False, None), (PAGE, True, "Browsing"), (STRANGE, False, "Browsing"), (NEW_TAB, False, None)],
    ids=["a_browsers_page", "the_llm_said_so", "no_browser", "which_the_rules_decide"],
)
async def test_a_stored_browsing_says_nothing_of_a_browsers_window(
    key: Window, is_llm_based: bool, expected: str | None
) -> None:
    snapshot = (await side()).classifier.snapshot
    stored = snapshot.stored(BROWSING, is_llm_based, key)

    assert (stored and stored.category) == expected


def test_a_category_that_stands_twice_is_known_by_both_ids_and_named_by_the_first() -> None:
    snapshot = PatternSnapshot([CategoryPattern(hex_id(1), "Design"), CategoryPattern(hex_id(2), "Design")])

    assert snapshot.by_tier["url"]["Design"] == Classification("Design", hex_id(1), tier="url")
    assert snapshot.stored(hex_id(2), False, STRANGE) == Classification("Design", hex_id(1), tier="documents")


# The order of the tiers, and each of them alone

EVERYBODY = ("memory", "cache", "documents", "model", "llm")
SAYS = {
    "memory": "Development",
    "cache": "SNS",
    "documents": "Documentation",
    "model": "Entertainment",
    "llm": "Music",
}


async def everybody_knows(key: Window, **options: Any) -> Side:
    """A side where each tier says something else of `key`."""
    it = await side({key: SAYS["llm"]}, model={key.app: SAYS["model"]}, **options)
    question = it.questions.of(key)
    await it.memory.remember({question: SAYS["memory"]})
    await it.cache.put_many({question: SAYS["cache"]})
    await it.documents.save_all([categorized(1, *key, category_id=DOCUMENTATION)])
    return it


@pytest.mark.parametrize("key", [STRANGE, PAGE], ids=["app", "page"])
@pytest.mark.parametrize("off", range(len(EVERYBODY)))
async def test_the_first_tier_that_is_there_decides(off: int, key: Window) -> None:
    it = await everybody_knows(key, without=EVERYBODY[:off])

    assert await it.tier_of(key) == (EVERYBODY[off], SAYS[EVERYBODY[off]])
    assert bool(it.llm.asked) == (EVERYBODY[off] == "llm")


@pytest.mark.parametrize("off", EVERYBODY)
async def test_each_tier_can_be_left_out_by_itself(off: str) -> None:
    it = await everybody_knows(STRANGE, without=[off])

    if off == "memory":
        assert await it.tier_of(STRANGE) == ("cache", "SNS")
    elif off == "llm":  # memory and cache hold the LLM's answers
        assert it.classifier.at_once(STRANGE) is None
    else:
        assert await it.tier_of(STRANGE) == ("memory", "Development")


@pytest.mark.parametrize("is_llm_based", [True, False])
async def test_what_came_from_the_llm_says_so(is_llm_based: bool) -> None:
    for off, tier in enumerate(EVERYBODY):
        it = await everybody_knows(STRANGE, without=EVERYBODY[:off])
        update = CategoryUpdate([categorized(1).id], DOCUMENTATION, is_llm_based)
        await it.documents.update_category_all([update])
        expected = {"documents": is_llm_based, "model": False}.get(tier, True)
        assert (await it.classify(STRANGE))[STRANGE].is_llm_based == expected, tier


# Memory


async def test_memory_answers_at_once() -> None:
    it = await side({STRANGE: "SNS"})
    assert it.classifier.at_once(STRANGE) is None
    await it.classify(STRANGE)

    assert it.classifier.at_once(STRANGE) == Classification("SNS", SNS, is_llm_based=True, tier="memory")


async def test_memory_keeps_those_that_were_used_last() -> None:
    memory = AnswerMemory(Seen(), None, limit=2)
    one, two, three = (Question(app, "", "") for app in ("one", "two", "three"))
    await memory.remember({one: "SNS", two: "SNS"})
    memory.get(one)
    await memory.remember({three: "SNS"})

    assert [memory.get(question) for question in (one, two, three)] == ["SNS", None, "SNS"]


async def test_memory_forgets_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("domains.patternClassifier.tiers.monotonic", lambda: now)
    memory = AnswerMemory(Seen(), None, limit=2, seconds=600.0)
    question = Question("one", "", "")
    await memory.remember({question: "SNS"})

    now += 599.9
    assert memory.get(question) == "SNS", "and being used does not make it last longer"
    now += 0.2
    assert memory.get(question) is None


async def test_that_the_llm_cannot_tell_is_remembered_and_decides_for_the_fallback() -> None:
    it = await side({STRANGE: UNCATEGORIZED, PAGE: UNCATEGORIZED})
    first = await it.classify(STRANGE, PAGE)

    assert first == {
        STRANGE: it.classifier.snapshot.uncategorized,
        PAGE: UNKNOWN_PAGE,
    }
    assert {key: it.classifier.at_once(key) for key in (STRANGE, PAGE)} == first
    other = Side(stored=it.store.documents.values(), cache=it.cache)
    await other.classifier.load()
    assert await other.classify(STRANGE, PAGE) == first
    assert other.llm.asked == []


async def test_what_is_remembered_is_not_taken_where_the_category_is_gone() -> None:
    it = await side({STRANGE: "SNS"})
    question = it.questions.of(STRANGE)
    await it.memory.remember({question: "A Category Of Old"})

    assert it.classifier.at_once(STRANGE) is None
    assert await it.tier_of(STRANGE) == ("llm", "SNS")
    assert it.memory.get(question) == "SNS"


# The cache


async def test_what_the_llm_said_to_one_instance_the_other_knows_and_keeps_in_memory() -> None:
    it = await side({STRANGE: "Documentation"})
    await it.classify(STRANGE)
    other = await side(cache=it.cache)

    assert await other.tier_of(STRANGE) == ("cache", "Documentation")
    assert await other.tier_of(STRANGE) == ("memory", "Documentation")
    assert other.llm.asked == []


async def test_a_cache_that_is_away_is_told_of_and_does_not_matter() -> None:
    it = await side({STRANGE: "Documentation"}, cache=AwayCache())

    assert await it.tier_of(STRANGE) == ("llm", "Documentation")
    assert [(tier, str(cause)) for tier, cause in it.seen.tiers] == [("cache", "away"), ("cache", "away")]


# The documents


async def test_the_documents_say_what_a_window_was_before() -> None:
    it = await side()
    await it.documents.save_all([categorized(1, *STRANGE, category_id=DOCUMENTATION)])

    assert await it.tier_of(STRANGE) == ("documents", "Documentation")
    assert it.llm.asked == []


@pytest.mark.parametrize(
    ("key", "stored_id"),
    [(STRANGE, category_id(UNCATEGORIZED)), (STRANGE, None), (PAGE, BROWSING), (PAGE, hex_id(404))],
    ids=["uncategorized", "none", "browsing_in_a_browser", "of_no_category"],
)
async def test_a_document_that_says_no_more_than_the_fallback_does_not_count(
    key: Window, stored_id: str | None
) -> None:
    it = await side({key: "SNS"})
    await it.documents.save_all([categorized(1, *key, category_id=stored_id)])

    assert await it.tier_of(key) == ("llm", "SNS")


async def test_what_was_looked_up_in_vain_is_not_looked_up_again_for_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("domains.patternClassifier.tiers.monotonic", lambda: now)
    it = await side(without=["cache", "model"])
    for _ in range(3):
        assert await it.classifier.further({STRANGE}) == {}
    assert it.documents.looked_up == 1

    now += 60.1
    await it.documents.save_all([categorized(1, *STRANGE, category_id=DOCUMENTATION)])
    assert STRANGE in await it.classifier.further({STRANGE})


@pytest.mark.parametrize("error", [StoreOutage("away"), StoreRefused("too long")])
async def test_a_store_that_does_not_answer_is_passed_over(error: Exception) -> None:
    it = await side({STRANGE: "SNS"})
    it.documents.error = error

    assert await it.tier_of(STRANGE) == ("llm", "SNS")
    assert it.seen.tiers == [("documents", error)]


# The model


async def test_the_model_decides_where_it_is_sure_and_the_llm_is_asked_for_the_rest() -> None:
    it = await side({STRANGER: "SNS"}, model={STRANGE.app: "Documentation"})
    found = await it.classify(STRANGE, STRANGER)

    assert found[STRANGE] == Classification("Documentation", DOCUMENTATION, tier="model")
    assert found[STRANGER].tier == "llm"
    assert it.llm.asked == [[STRANGER.app]]


@pytest.mark.parametrize("name", ["A Category Of Old", UNCATEGORIZED, ""])
async def test_a_model_that_names_no_category_of_now_decides_nothing(name: str) -> None:
    it = await side({STRANGE: "SNS"}, model={STRANGE.app: name})

    assert await it.tier_of(STRANGE) == ("llm", "SNS")


async def test_a_model_that_breaks_is_passed_over() -> None:
    it = await side({STRANGE: "SNS"}, model={STRANGE.app: "Documentation"})
    it.model.error = ValueError("trained with another version")

    assert await it.tier_of(STRANGE) == ("llm", "SNS")
    assert it.seen.tiers == [("model", it.model.error)]


# The LLM


async def test_the_llm_is_offered_every_category_and_those_that_it_alone_may_name() -> None:
    it = await side(stored=patterns())
    await it.classify(STRANGE)

    known = {"Development", "Documentation", "SNS", "Entertainment", UNCATEGORIZED}
    assert it.llm.categories == sorted(known | LLM_ONLY_CATEGORIES)


async def test_answers_belong_to_their_windows() -> None:
    it = await side({STRANGE: "Documentation", STRANGER: "SNS"})
    answers = await it.classify(STRANGE, STRANGER)

    assert {key: (answer.category, answer.is_llm_based) for key, answer in answers.items()} == {
        STRANGE: ("Documentation", True),
        STRANGER: ("SNS", True),
    }
    assert sorted(it.llm.asked[0]) == [STRANGE.app, STRANGER.app]


@pytest.mark.parametrize("answer", [None, "Cooking", "development", ""])
async def test_no_answer_or_one_outside_the_list_is_none_yet(answer: str | None) -> None:
    it = await side({STRANGE: answer, STRANGER: "SNS"})
    answers = await it.classify(STRANGE, STRANGER)

    assert {key: decided.category for key, decided in answers.items()} == {STRANGER: "SNS"}
    assert it.seen.answered == [(2, 1)]
    assert "Cooking" not in [document.category for document in it.store.documents.values()]


async def test_a_failure_is_no_answer_and_is_told_of() -> None:
    it = await side()
    it.llm.error = ClassificationFailed("no answer in time")

    assert await it.classify(STRANGE, STRANGER) == {}
    assert [(windows, str(cause)) for windows, cause in it.seen.llm] == [(2, "no answer in time")]
    assert it.classifier.can_ask


async def test_after_failures_in_a_row_it_cannot_be_asked() -> None:
    it = await side()
    it.llm.error = ClassificationFailed("no answer in time", LLMFailure.TIMEOUT)
    for _ in range(3):
        await it.classify(STRANGE)

    assert not it.classifier.can_ask


async def test_what_must_not_leave_is_the_fallback_and_never_asked() -> None:
    class Private(Questions):
        def may_leave(self, key: Window) -> bool:
            return key.app != STRANGE.app

    it = await side({STRANGE: "SNS", STRANGER: "SNS"}, questions=Private())
    found = await it.classify(STRANGE, STRANGER)

    assert found[STRANGE] == it.classifier.snapshot.uncategorized
    assert it.llm.asked == [[STRANGER.app]]


@pytest.mark.parametrize("category", sorted(LLM_ONLY_CATEGORIES))
async def test_a_category_that_only_the_llm_names_is_created_when_it_does(category: str) -> None:
    it = await side({STRANGE: category})
    assert category not in it.classifier.snapshot.categories

    answers = await it.classify(STRANGE)

    assert answers[STRANGE] == Classification(category, category_id(category), is_llm_based=True, tier="llm")
    assert it.store.documents[category_id(category)] == CategoryPattern(category_id(category), category)
    assert it.classifier.at_once(EDITOR) is not None, "the rules are still there"


async def test_a_category_that_only_the_llm_names_keeps_the_id_that_spring_gave_it() -> None:
    it = await side({STRANGE: "Music"}, stored=[*patterns(), CategoryPattern(hex_id(55), "Music")])

    assert (await it.classify(STRANGE))[STRANGE].category_id == hex_id(55)
