"""The tiers behind the rules for a command without Redis and store: the local classifier and the LLM."""

import asyncio
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.window import Window
from domains.patternClassifier.model import Classification, RuleMatch, Tier
from domains.patternClassifier.ports import ClassifierObserver
from domains.patternClassifier.snapshot import PatternSnapshot
from infrastructure.offline.window_lines import BadLine, WindowLine
from infrastructure.patterns.pattern_file import default_additions
from infrastructure.patterns.sites import known_sites

Answer = RuleMatch | Classification

_NAMES = ("OPENAI_API_KEY", "MODEL_FILE", "PATTERN_FILE", "UNKNOWN_PAGES_COUNT_AS", "CLASSIFICATION_TIERS")
_FILES = (Path(".env"), Path(".data/model.npz"))
_MOST = 1_000_000
_PATIENCE = 600.0  # seconds: only the command itself waits for these windows


def snapshot_of(patterns: Sequence[CategoryPattern]) -> PatternSnapshot:
    """The rules as the pipeline would have them. Raises SettingsError."""
    if not may_be_configured():
        return PatternSnapshot(patterns, default_additions(), sites=known_sites())
    from infrastructure.composition import from_settings
    from infrastructure.settings import load_settings

    settings = load_settings(app_env="dev")
    return from_settings.snapshot_of(from_settings.pattern_additions(settings), settings)(patterns)


def may_be_configured() -> bool:
    """Whether there may be settings that matter here. This is cheap; loading the settings takes longer."""
    return any(map(os.environ.get, _NAMES)) or any(path.exists() for path in _FILES)


def decide(
    snapshot: PatternSnapshot, behind: "OfflineClassifier | None", windows: Sequence[WindowLine | BadLine]
) -> list[Answer | None]:
    """The answer for each window, in order: of what is `behind` the rules, else theirs; None where there is none."""
    keys = [w.window if isinstance(w, WindowLine) else None for w in windows]
    found = [None if key is None else snapshot.provisionally(key) for key in keys]
    if behind is None:
        return list(found)
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
            update={
                "classification_tiers": ",".join(settings.tiers & {Tier.SITE, Tier.MODEL, Tier.LLM}),
                "site_profiles": False,
            }
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

    def would_ask(self, window: Window) -> list[Tier]:
        """The tiers that are asked for a window of which the rules do not know for good."""
        tiers = [Tier.MODEL] if self._container.local_classifier() is not None else []
        return [*tiers, Tier.LLM] if self._classifier.would_ask(window) else tiers

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
