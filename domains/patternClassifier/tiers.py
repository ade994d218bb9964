"""The tiers between the rules and the LLM, in their order: each is asked for what those before it left.

Each can be left out. None of them is needed: one that is away is passed over.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping
from time import monotonic
from typing import Protocol

from domains.categoryPattern.model import UNCATEGORIZED
from domains.kernel.errors import RedisOutage
from domains.kernel.window import Window
from domains.patternClassifier.model import Classification, Tier
from domains.patternClassifier.ports import (
    ClassificationCachePort,
    ClassifiedWindowsPort,
    ClassifierObserver,
    LocalClassifierPort,
)
from domains.patternClassifier.questions import Question
from domains.patternClassifier.snapshot import PatternSnapshot

Windows = Mapping[Question, Window]
"""A question and a window of which it is asked: there may be others."""


class SlowTier(Protocol):
    """A tier that has to be waited for."""

    name: Tier

    async def classify(self, windows: Windows, snapshot: PatternSnapshot) -> dict[Question, Classification]:
        """What it knows of `windows`. May raise Outage or StoreRefused."""


class FastTier(SlowTier, Protocol):
    """A slow tier that remembers, so that some windows need not wait."""

    def at_once(self, window: Window, snapshot: PatternSnapshot) -> Classification | None:
        """What it remembers of a window that no rule decides. Takes microseconds."""


class AnswerMemory:
    """The LLM's answers: in this process the `limit` used last, each for `seconds` at most, and in `cache`, if any.

    An empty name says that the LLM was asked and had no answer.
    """

    def __init__(
        self, observer: ClassifierObserver, cache: ClassificationCachePort | None, limit: int, seconds: float = 600.0
    ) -> None:
        self._observer = observer
        self._cache = cache
        self._limit = limit
        self._seconds = seconds
        self._answers: OrderedDict[Question, tuple[str, float]] = OrderedDict()

    def get(self, question: Question) -> str | None:
        found = self._answers.get(question)
        if found is None or found[1] < monotonic():
            return None
        self._answers.move_to_end(question)
        return found[0]

    async def recall(self, questions: Collection[Question]) -> dict[Question, str]:
        """What the cache remembers, from now on in this process too. Raises RedisOutage."""
        names = await self._cache.get_many(questions) if self._cache is not None else {}
        self._keep(names)
        return names

    async def remember(self, answers: Mapping[Question, str]) -> None:
        """Keeps new answers. A cache that is away does not learn them."""
        self._keep(answers)
        if self._cache is not None:
            try:
                await self._cache.put_many(answers)
            except RedisOutage as cause:
                self._observer.tier_failed(Tier.CACHE, cause)

    def _keep(self, answers: Mapping[Question, str]) -> None:
        until = monotonic() + self._seconds
        for question, name in answers.items():
            self._answers[question] = (name, until)
            self._answers.move_to_end(question)
        while len(self._answers) > self._limit:
            self._answers.popitem(last=False)


class CacheTier:
    """What the LLM has answered to any instance."""

    name = Tier.CACHE

    def __init__(self, memory: AnswerMemory) -> None:
        self._memory = memory

    async def classify(self, windows: Windows, snapshot: PatternSnapshot) -> dict[Question, Classification]:
        names = await self._memory.recall(windows.keys())
        found = {question: snapshot.answered(name, windows[question], self.name) for question, name in names.items()}
        return {question: classification for question, classification in found.items() if classification}


class DocumentsTier:
    """What `categorized_data` says of exactly these windows, unless that is no more than a fallback."""

    name = Tier.DOCUMENTS

    _MOST = 20_000
    _SECONDS = 60.0
    """A window that was looked up in vain is not looked up again for so long: it may have thousands of documents."""

    def __init__(self, categorized: ClassifiedWindowsPort) -> None:
        self._categorized = categorized
        self._in_vain: set[Question] = set()
        self._since = monotonic()

    async def classify(self, windows: Windows, snapshot: PatternSnapshot) -> dict[Question, Classification]:
        if monotonic() - self._since > self._SECONDS or len(self._in_vain) > self._MOST:
            self._in_vain.clear()
            self._since = monotonic()
        wanted = {question: window for question, window in windows.items() if question not in self._in_vain}
        documents = await self._categorized.find_many_by_app_url_title_batch(set(wanted.values()))
        found = {}
        for question, window in wanted.items():
            document = documents.get(window)
            if document and (stored := snapshot.stored(document.category_id, document.is_llm_based, window)):
                found[question] = stored
        self._in_vain |= wanted.keys() - found.keys()
        return found


class LocalClassifierTier:
    """The local classifier, where it is sure enough and says more than the rules, from which it has learnt."""

    name = Tier.MODEL

    def __init__(self, classifier: LocalClassifierPort) -> None:
        self._classifier = classifier

    async def classify(self, windows: Windows, snapshot: PatternSnapshot) -> dict[Question, Classification]:
        questions = list(windows)
        names = await asyncio.to_thread(self._classifier.predict, questions)
        of_tier = snapshot.by_tier[self.name]
        return {
            question: of_tier[name]
            for question, name in zip(questions, names, strict=True)
            if name in of_tier and name != UNCATEGORIZED and not snapshot.was_provisional(name, windows[question])
        }
