"""The tiers by which a window gets its category, from the cheapest to the dearest.

    rules (in process) → cache (shared by all instances) → LLM → Uncategorized

`by_rules` is synchronous and takes microseconds. `recall` and `ask` are the slow tiers, and nothing that the rules
decide waits for them.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from domains.categoryPattern.model import LLM_ONLY_CATEGORIES, UNCATEGORIZED, CategoryPattern, category_id
from domains.categoryPattern.ports import CategoryPatternRepositoryPort
from domains.errors import ClassificationFailed, RedisOutage, StoreOutage
from domains.patternClassifier.ports import ClassificationCachePort, ClassifierObserver, LLMClientPort
from domains.patternClassifier.questions import Questions
from domains.patternClassifier.rules import RuleSet
from domains.pomodoro.model import ActivityKey


class Classification(NamedTuple):
    """A category by name and by the id of its `category_pattern`, and whether the LLM named it."""

    category: str
    category_id: str
    is_llm_based: bool = False


class PatternSnapshot:
    """Rules and category ids of one moment; replaced as a whole, so that a batch never sees half a change."""

    def __init__(self, patterns: Sequence[CategoryPattern]) -> None:
        self.patterns = patterns
        self.rules = RuleSet(patterns)
        self.ruled: dict[str, Classification] = {}
        for pattern in patterns:  # a name that stands twice keeps its first id
            self.ruled.setdefault(pattern.category, Classification(pattern.category, pattern.id))
        self.answered = {
            name: Classification(name, ruled.category_id, is_llm_based=True) for name, ruled in self.ruled.items()
        }
        self._names = {pattern.id: pattern.category for pattern in patterns}

    def stored(self, stored_id: str | None, is_llm_based: bool) -> Classification | None:
        """What a document's `categoryId` says; None where it says nothing (absent, unknown or Uncategorized)."""
        name = self._names.get(stored_id or "", UNCATEGORIZED)
        if name == UNCATEGORIZED:
            return None
        return (self.answered if is_llm_based else self.ruled)[name]


class PatternClassifier:
    """Classifies windows. `load` before anything else, and again whenever the patterns may have changed.

    Without `llm` it runs on the rules alone. `defaults` are saved where the store has no patterns at all. At most
    `llm_batch` windows go into one request, and at most `llm_concurrency` requests are under way.
    """

    def __init__(
        self,
        patterns: CategoryPatternRepositoryPort,
        cache: ClassificationCachePort,
        llm: LLMClientPort | None,
        observer: ClassifierObserver,
        defaults: Sequence[CategoryPattern] = (),
        llm_batch: int = 20,
        llm_concurrency: int = 10,
        questions: Questions | None = None,
    ) -> None:
        self._patterns = patterns
        self._cache = cache
        self._llm = llm
        self._observer = observer
        self._defaults = defaults
        self._questions = questions or Questions()
        self.llm_batch = llm_batch
        self._requests = asyncio.Semaphore(llm_concurrency)
        self._asked: dict[ActivityKey, asyncio.Future[str | None]] = {}
        self.snapshot = PatternSnapshot([])

    @property
    def has_slow_tiers(self) -> bool:
        return self._llm is not None

    @property
    def uncategorized(self) -> Classification:
        return self.snapshot.ruled[UNCATEGORIZED]

    async def load(self) -> None:
        """Takes the patterns from the store, creating `Uncategorized` where it is missing. Raises StoreOutage.

        Where they have not changed the snapshot stays; where they have, a new one is built beside the running batches
        and takes its place as a whole.
        """
        patterns = await self._patterns.find_all()
        if not patterns and self._defaults:
            await self._patterns.save_all(self._defaults)
            patterns = await self._patterns.find_all()
        if all(pattern.category != UNCATEGORIZED for pattern in patterns):
            await self._patterns.save_all([CategoryPattern(category_id(UNCATEGORIZED), UNCATEGORIZED)])
            patterns = await self._patterns.find_all()
        if patterns == self.snapshot.patterns:
            return
        self.snapshot = await asyncio.to_thread(PatternSnapshot, patterns)  # a large set takes its time
        self._observer.patterns_loaded(self.snapshot.rules.size, self.snapshot.rules.problems)

    async def keep_fresh(self, stop: asyncio.Event, reload: asyncio.Event, seconds: float) -> None:
        """Loads the patterns every `seconds`, and at once when `reload` is set, until `stop` is.

        While the store is away the patterns stay as they are.
        """
        while not stop.is_set():
            await _first_of(stop, reload, seconds)
            reload.clear()
            if not stop.is_set():
                try:
                    await self.load()
                except StoreOutage as cause:
                    self._observer.patterns_not_loaded(cause)

    def by_rules(self, key: ActivityKey) -> Classification | None:
        match = self.snapshot.rules.match(key.app, key.url)
        return self.snapshot.ruled[match.category] if match else None

    async def recall(self, keys: Collection[ActivityKey]) -> dict[ActivityKey, Classification]:
        """What the shared cache remembers of `keys`; nothing where it is away, since asking again does no harm."""
        try:
            remembered = await self._cache.get_many(keys)
        except RedisOutage as cause:
            self._observer.cache_failed(cause)
            return {}
        answered = self.snapshot.answered
        return {key: answered[name] for key, name in remembered.items() if name in answered}

    async def ask(self, keys: Sequence[ActivityKey]) -> dict[ActivityKey, str | None]:
        """The category names that the LLM answers, at most `llm_batch` keys a call; None where it gives none.

        A key that is being asked for already is not asked for again: both callers get the one answer.
        """
        mine = [key for key in dict.fromkeys(keys) if key not in self._asked]
        loop = asyncio.get_running_loop()
        futures = {key: self._asked.setdefault(key, loop.create_future()) for key in keys}
        if mine:
            await self._answer(mine)
        # shielded: a caller that is cancelled must not cancel the answer of the others
        return {key: await asyncio.shield(future) for key, future in futures.items()}

    def missing_categories(self, answers: Iterable[str | None]) -> set[str]:
        """Categories among `answers` that the store does not have: those that only the LLM may name."""
        return {answer for answer in answers if answer is not None and answer not in self.snapshot.answered}

    async def create_categories(self, categories: Iterable[str]) -> None:
        """Creates categories in the store where they are missing. Raises StoreOutage."""
        await self._patterns.save_all([CategoryPattern(category_id(name), name) for name in categories])
        await self.load()

    def accept(self, answers: Mapping[ActivityKey, str | None]) -> dict[ActivityKey, Classification]:
        """The answers as classifications; None, and a category that is gone meanwhile, is `Uncategorized`."""
        answered = self.snapshot.answered
        return {key: answered.get(answer or "", self.uncategorized) for key, answer in answers.items()}

    async def _answer(self, keys: list[ActivityKey]) -> None:
        """Sets the futures of `keys`, whatever happens: to None where there is no answer."""
        answers: dict[ActivityKey, str] = {}
        try:
            answers = await self._request(keys)
        finally:
            for key in keys:
                self._asked.pop(key).set_result(answers.get(key))
        if answers:
            try:
                await self._cache.put_many(answers)
            except RedisOutage as cause:
                self._observer.cache_failed(cause)

    async def _request(self, keys: list[ActivityKey]) -> dict[ActivityKey, str]:
        assert self._llm is not None, "keys are only asked for where there is an LLM"
        categories = sorted(self.snapshot.ruled.keys() | LLM_ONLY_CATEGORIES)
        keys = [key for key in keys if self._questions.may_leave(key)]
        if not keys:
            return {}
        async with self._requests:
            try:
                answers = await self._llm.classify([self._questions.of(key) for key in keys], categories)
            except ClassificationFailed as cause:
                self._observer.llm_failed(len(keys), cause)
                return {}
        return {key: answer for key, answer in zip(keys, answers.names, strict=True) if answer in categories}


async def _first_of(stop: asyncio.Event, reload: asyncio.Event, seconds: float) -> None:
    """Returns when either event is set, or after `seconds`."""
    waiting = {asyncio.create_task(event.wait()) for event in (stop, reload)}
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
