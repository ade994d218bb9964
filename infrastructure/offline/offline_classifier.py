"""The tiers behind the rules for a command without Redis and store: the local classifier and the LLM."""

import asyncio
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.window import Window
from domains.patternClassifier.model import Classification, Tier
from domains.patternClassifier.ports import ClassifierObserver
from domains.patternClassifier.rules import RuleMatch, RuleSet
from infrastructure.offline.window_lines import BadLine, WindowLine

Answer = RuleMatch | Classification

_NAMES = ("OPENAI_API_KEY", "MODEL_FILE")
_FILES = (Path(".env"), Path(".data/model.npz"))
_MOST = 1_000_000
_PATIENCE = 600.0  # seconds: only the command itself waits for these windows


def may_be_there() -> bool:
    """Whether a local classifier or an LLM may be configured. This is cheap; loading the settings takes longer."""
    return any(map(os.environ.get, _NAMES)) or any(path.exists() for path in _FILES)


def decide(
    rules: RuleSet, behind: "OfflineClassifier | None", windows: Sequence[WindowLine | BadLine]
) -> list[Answer | None]:
    """The answer for each window, in order: of what is `behind` the rules, else theirs; None where there is none."""
    match = rules.match
    found = [match(w.app or "", w.url or "") if isinstance(w, WindowLine) else None for w in windows]
    if behind is None:
        return list(found)
    keys = [w.window if isinstance(w, WindowLine) else None for w in windows]
    answers = behind.classify({key for key in keys if key is not None})
    return [(answers.get(key) if key else None) or rule for key, rule in zip(keys, found, strict=True)]


class OfflineClassifier:
    """Use it as a context manager, in a thread without a running event loop. Raises SettingsError."""

    def __init__(self, patterns: Sequence[CategoryPattern], observer: ClassifierObserver) -> None:
        from dependency_injector import providers

        from infrastructure.composition.container import Container
        from infrastructure.memory.repositories import InMemoryCategoryPatternRepository, InMemoryLLMBudget
        from infrastructure.settings import load_settings

        # "dev" needs no stores. Tiers that need a store are left out
        settings = load_settings(app_env="dev", llm_wait=_PATIENCE, llm_max_waiting=_MOST)
        settings = settings.model_copy(
            update={"classification_tiers": ",".join(settings.tiers & {Tier.MODEL, Tier.LLM})}
        )
        self._container = Container(
            settings=providers.Object(settings),
            category_patterns=providers.Object(InMemoryCategoryPatternRepository(patterns)),
            categorized_data=providers.Object(None),
            classification_cache=providers.Object(None),
            llm_budget=providers.Object(InMemoryLLMBudget(settings.llm_max_calls_per_minute)),
            observer=providers.Object(observer),
        )
        self._classifier = self._container.classifier()
        self._runner = asyncio.Runner()

    def __enter__(self) -> "OfflineClassifier":
        self._runner.__enter__()
        self._runner.run(self._classifier.load())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._runner.run(self._close())
        self._runner.__exit__(kind, error, traceback)

    def classify(self, keys: Collection[Window]) -> dict[Window, Classification]:
        """The categories that the local classifier and the LLM give to windows that the rules leave open."""
        asked = {key for key in keys if self._classifier.snapshot.by_rules(key) is None}
        answers = self._runner.run(self._answers(asked)) if asked else {}
        return {key: answer for key, answer in answers.items() if answer.tier in (Tier.MODEL, Tier.LLM)}

    async def _answers(self, keys: set[Window]) -> dict[Window, Classification]:
        found = await self._classifier.further(keys)
        return found | await self._classifier.ask((key, "") for key in keys - found.keys())

    async def _close(self) -> None:
        if (llm_queue := self._container.llm_queue()) is not None:
            await llm_queue.aclose()
        if (openai := self._container.openai()) is not None:
            await openai.close()
