"""The tiers by which a window gets its category, from the cheapest to the dearest.

    rules (in process) → cache (shared by all instances) → LLM → Uncategorized

`by_rules` is synchronous and takes microseconds. `recall` and `ask` are the slow tiers, and nothing that the rules
decide waits for them.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from domains.categoryPattern.model import LLM_ONLY_CATEGORIES, UNCATEGORIZED, CategoryPattern, category_id
from domains.categoryPattern.ports import CategoryPatternRepositoryPort
from domains.errors import ClassificationFailed, RedisOutage, StoreOutage
from domains.patternClassifier.ports import ClassificationCachePort, ClassifierObserver, LLMClientPort
from domains.patternClassifier.rules import TIER_APP, TIER_URL, RuleSet
from domains.pomodoro.model import ActivityKey

TIER_CACHE = "cache"
TIER_DOCUMENTS = "documents"
TIER_LLM = "llm"
TIER_FALLBACK = "fallback"
TIERS = (TIER_URL, TIER_APP, TIER_DOCUMENTS, TIER_CACHE, TIER_LLM, TIER_FALLBACK)
_LLM_TIERS = frozenset({TIER_CACHE, TIER_LLM})


class Classification(NamedTuple):
    """A category by name and by the id of its `category_pattern`; whether the LLM named it; which tier decided."""

    category: str
    category_id: str
    is_llm_based: bool = False
    tier: str = TIER_FALLBACK


class PatternSnapshot:
    """Rules and category ids of one moment; replaced as a whole, so that a batch never sees half a change."""

    def __init__(self, patterns: Sequence[CategoryPattern]) -> None:
        self.patterns = patterns
        self.rules = RuleSet(patterns)
        ids: dict[str, str] = {}
        for pattern in patterns:  # a name that stands twice keeps its first id
            ids.setdefault(pattern.category, pattern.id)
        self.categories = ids.keys()
        self.by_tier = {
            tier: {name: Classification(name, id_, tier in _LLM_TIERS, tier) for name, id_ in ids.items()}
            for tier in TIERS
        }
        self._stored = [
            {name: Classification(name, id_, is_llm_based, TIER_DOCUMENTS) for name, id_ in ids.items()}
            for is_llm_based in (False, True)
        ]
        self._names = {pattern.id: pattern.category for pattern in patterns}

    def stored(self, stored_id: str | None, is_llm_based: bool) -> Classification | None:
        """What a document's `categoryId` says; None where it says nothing (absent, unknown or Uncategorized)."""
        name = self._names.get(stored_id or "", UNCATEGORIZED)
        if name == UNCATEGORIZED:
            return None
        return self._stored[is_llm_based][name]


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
    ) -> None:
        self._patterns = patterns
        self._cache = cache
        self._llm = llm
        self._observer = observer
        self._defaults = defaults
        self.llm_batch = llm_batch
        self._requests = asyncio.Semaphore(llm_concurrency)
        self._asked: dict[ActivityKey, asyncio.Future[str | None]] = {}
        self.snapshot = PatternSnapshot([])

    @property
    def has_slow_tiers(self) -> bool:
        return self._llm is not None

    @property
    def uncategorized(self) -> Classification:
        return self.snapshot.by_tier[TIER_FALLBACK][UNCATEGORIZED]

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
        return self.snapshot.by_tier[match.tier][match.category] if match else None

    async def recall(self, keys: Collection[ActivityKey]) -> dict[ActivityKey, Classification]:
        """What the shared cache remembers of `keys`; nothing where it is away, since asking again does no harm."""
        try:
            remembered = await self._cache.get_many(keys)
        except RedisOutage as cause:
            self._observer.cache_failed(cause)
            return {}
        cached = self.snapshot.by_tier[TIER_CACHE]
        return {key: cached[name] for key, name in remembered.items() if name in cached}

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
        return {answer for answer in answers if answer is not None and answer not in self.snapshot.categories}

    async def create_categories(self, categories: Iterable[str]) -> None:
        """Creates categories in the store where they are missing. Raises StoreOutage."""
        await self._patterns.save_all([CategoryPattern(category_id(name), name) for name in categories])
        await self.load()

    def accept(self, answers: Mapping[ActivityKey, str | None]) -> dict[ActivityKey, Classification]:
        """The answers as classifications; None, and a category that is gone meanwhile, is `Uncategorized`."""
        answered = self.snapshot.by_tier[TIER_LLM]
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
        categories = sorted(self.snapshot.categories | LLM_ONLY_CATEGORIES)
        async with self._requests:
            started = monotonic()
            try:
                names = await self._llm.classify(keys, categories)
            except ClassificationFailed as cause:
                self._observer.llm_failed(len(keys), cause)
                return {}
            seconds = monotonic() - started
        answers = {key: name for key, name in zip(keys, names, strict=True) if name in categories}
        self._observer.llm_answered(len(keys), len(answers), 0, seconds)
        return answers


async def _first_of(stop: asyncio.Event, reload: asyncio.Event, seconds: float) -> None:
    """Returns when either event is set, or after `seconds`."""
    waiting = {asyncio.create_task(event.wait()) for event in (stop, reload)}
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
