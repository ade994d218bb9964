"""The tiers by which a window gets its category, from the cheapest to the dearest.

| tier        | who decides                                                | waited for                       |
|-------------|------------------------------------------------------------|----------------------------------|
| correction  | a person (`corrections.py`)                                | microseconds, with its batch     |
| url, app,   | the rules (`rules.py` says which of them wins), where they | microseconds, with its batch     |
| title       | decide for good                                            |                                  |
| site        | what its page said, of a site that no rule knows           | microseconds, where this process |
|             | (`domains/siteProfile`)                                    | remembers it; else slow lane     |
| memory      | what the LLM answered to this process                      | microseconds, with its batch     |
| cache       | what the LLM answered to any instance (Redis)              | in the slow lane                 |
| documents   | what `categorized_data` says of exactly this window        | in the slow lane                 |
| model       | the local classifier, where it is sure enough              | in the slow lane                 |
| llm         | the LLM (`llm_queue.py`)                                   | in the slow lane, with a bound   |
| provisional | the rules, where they cannot know and nobody else does     | not at all                       |
| fallback    | nobody: `Uncategorized`                                    | not at all                       |

`at_once` is synchronous; nothing that it decides waits for the others.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache, partial

from domains.categoryPattern.decisions import are_any, patterns_or_defaults
from domains.categoryPattern.model import LLM_ONLY_CATEGORIES, UNCATEGORIZED, CategoryPattern, category_id
from domains.categoryPattern.ports import CategoryPatternRepositoryPort
from domains.kernel.errors import NoPatterns, PipelineError
from domains.kernel.resilience import Breaker, cancel_all
from domains.kernel.window import Window
from domains.patternClassifier.corrections import CorrectedWindows, CorrectionRepositoryPort
from domains.patternClassifier.llm_queue import LLMQueue
from domains.patternClassifier.model import Classification, Tier
from domains.patternClassifier.ports import ClassifierObserver
from domains.patternClassifier.questions import Question, Questions
from domains.patternClassifier.snapshot import PatternSnapshot
from domains.patternClassifier.tiers import AnswerMemory, FastTier, SlowTier

_QUESTIONS = 4096
"""Windows whose question is kept at hand: each is needed three times on the way to the LLM."""


class PatternClassifier:
    """Classifies windows. `load` before anything else, and again whenever the patterns may have changed.

    `memory` holds the LLM's answers, which come by `llm_queue`; `tiers` are asked before it; `sites` is the
    one of them that also knows things at once. `defaults` are saved
    where the store has no patterns at all. `snapshot_of` makes of the store's patterns what classifies. `if_none` is
    what an operator is told where there are none.
    """

    def __init__(
        self,
        patterns: CategoryPatternRepositoryPort,
        observer: ClassifierObserver,
        defaults: Sequence[CategoryPattern] = (),
        questions: Questions | None = None,
        memory: AnswerMemory | None = None,
        tiers: Sequence[SlowTier] = (),
        llm_queue: LLMQueue | None = None,
        snapshot_of: Callable[[Sequence[CategoryPattern]], PatternSnapshot] = PatternSnapshot,
        if_none: str = "the store has no category patterns",
        sites: FastTier | None = None,
        corrections: CorrectionRepositoryPort | None = None,
    ) -> None:
        self._patterns = patterns
        self._observer = observer
        self._defaults = defaults
        self._questions = questions or Questions()
        self._question = lru_cache(_QUESTIONS)(self._questions.of)
        self._memory = memory
        self._tiers = tiers
        self._llm_queue = llm_queue
        self.snapshot_of = snapshot_of
        self._if_none = if_none
        self._sites = sites
        self._correction_store = corrections
        self.corrections = CorrectedWindows()
        self.snapshot = PatternSnapshot([])

    @property
    def can_ask(self) -> bool:
        """Whether the LLM may be asked now: never before the patterns are loaded, which name the categories."""
        return self._knows_categories and self._llm_queue is not None and not self._llm_queue.is_paused

    def would_ask(self, window: Window) -> bool:
        """Whether the LLM would be asked for a window that the tiers before it do not know."""
        return self._llm_queue is not None and self._questions.may_leave(window)

    async def load(self) -> PatternSnapshot:
        """Takes the patterns and corrections from the store, creating `Uncategorized` where it is missing.

        Returns what classifies from now on. Raises StoreOutage, and NoPatterns where there are no others.

        Where they have not changed the snapshot stays; where they have, a new one is built beside the running batches
        and takes its place as a whole.
        """
        patterns = await patterns_or_defaults(self._patterns, self._defaults)
        if not are_any(patterns):
            raise NoPatterns(self._if_none)
        if all(pattern.category != UNCATEGORIZED for pattern in patterns):
            await self._patterns.save_all([CategoryPattern(category_id(UNCATEGORIZED), UNCATEGORIZED)])
            patterns = await self._patterns.find_all()
        if self._correction_store is not None:
            self.corrections = CorrectedWindows(await self._correction_store.find_all())
        if patterns != self.snapshot.patterns:
            self.snapshot = await asyncio.to_thread(self.snapshot_of, patterns)  # a large set takes its time
            self._observer.patterns_loaded(self.snapshot.rules.size, self.snapshot.rules.problems)
        return self.snapshot

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
                except PipelineError as cause:
                    self._observer.patterns_not_loaded(cause)

    def corrected(self, user_id: str, window: Window) -> Classification | None:
        """What a person has said of the window of a user; of anybody's ('')."""
        if not self.corrections or (name := self.corrections.category(user_id, window)) is None:
            return None
        return self.snapshot.by_tier[Tier.CORRECTION].get(name)

    def at_once(self, window: Window) -> Classification | None:
        """What can be said in microseconds; None where a slow tier has to be asked."""
        found = self.snapshot.by_rules(window)
        if found is None and self._sites is not None:
            found = self._sites.at_once(window, self.snapshot)
        if found is None and self._llm_queue is not None and self._memory is not None:
            name = self._memory.get(self._question(window))
            found = None if name is None else self.snapshot.answered(name, window, Tier.MEMORY)
        if found is None and self._llm_queue is None and not self._tiers:
            return self.snapshot.fallback(window)
        return found

    def all_at_once(self, windows: Sequence[Window]) -> list[Classification | None]:
        """What `at_once` says of each."""
        settled = self.snapshot.settled
        return [settled.get(window[:2]) or self.at_once(window) for window in windows]

    async def further(self, windows: Collection[Window]) -> dict[Window, Classification]:
        """What the tiers between memory and LLM know of `windows`. A tier that is away, or breaks, is passed over."""
        asked = {window: self._question(window) for window in windows}
        found: dict[Question, Classification] = {}
        for tier in self._tiers:
            left = {question: window for window, question in asked.items() if question not in found}
            try:
                found |= await tier.classify(left, self.snapshot) if left else {}
            except Exception as cause:
                self._observer.tier_failed(tier.name, cause)
        return {window: found[question] for window, question in asked.items() if question in found}

    @property
    def _knows_categories(self) -> bool:
        return len(self.snapshot.categories) > 1  # `Uncategorized` alone is nothing to choose from

    async def ask(
        self, asked: Iterable[tuple[Window, str]], store: Breaker | None = None
    ) -> dict[Window, Classification]:
        """What the LLM answers, and the fallback where it has no answer to give or must not be asked.

        `asked` are windows, each with the id of a user who had it in front and pays for the question. A window is
        missing where there is no answer now: the LLM is away or slow, or the budget is spent. A category that only
        the LLM may name is created where the store does not have it yet: `store` waits while the store is away;
        without it, StoreOutage is raised.
        """
        names = await self._names(asked)
        if missing := (set(names.values()) & LLM_ONLY_CATEGORIES) - self.snapshot.categories:
            create = partial(self._create_categories, missing)
            await (create() if store is None else store.run(create))
        snapshot = self.snapshot  # a category may be gone meanwhile
        return {
            window: snapshot.answered(name, window, Tier.LLM) or snapshot.fallback(window)
            for window, name in names.items()
        }

    async def _names(self, asked: Iterable[tuple[Window, str]]) -> dict[Window, str]:
        """The category names that the LLM answers: empty where it has none to give, or must not be asked."""
        asked = list(asked)
        if self._llm_queue is None:
            return {window: "" for window, _ in asked}
        if not self._knows_categories:
            return {}
        names: dict[Window, str] = {}
        users: dict[Question, set[str]] = {}
        for window, user in asked:
            if self._questions.may_leave(window):
                users.setdefault(self._question(window), set()).add(user)
            else:
                names[window] = ""
        answers = await self._llm_queue.ask(users, sorted(self.snapshot.categories | LLM_ONLY_CATEGORIES))
        for window, _ in asked:
            if window not in names and (name := answers.get(self._question(window))) is not None:
                names[window] = name
        return names

    async def _create_categories(self, categories: Iterable[str]) -> None:
        await self._patterns.save_all([CategoryPattern(category_id(name), name) for name in categories])
        await self.load()


async def _first_of(stop: asyncio.Event, reload: asyncio.Event, seconds: float) -> None:
    """Returns when either event is set, or after `seconds`."""
    waiting = {asyncio.create_task(event.wait()) for event in (stop, reload)}
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_all(waiting)
