"""What the classifier wants from the outside: a memory that all instances share, and an LLM."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from domains.errors import PipelineError
from domains.patternClassifier.rules import PatternProblem
from domains.pomodoro.model import ActivityKey


class ClassificationCachePort(Protocol):
    """Answers of the LLM, shared by all instances. A cache that is away is no reason to stop: see each method."""

    async def get_many(self, keys: Collection[ActivityKey]) -> dict[ActivityKey, str]:
        """The category names of the keys that are remembered, in one round trip. Raises RedisOutage."""

    async def put_many(self, answers: Mapping[ActivityKey, str]) -> None:
        """Remembers category names for a limited time. Raises RedisOutage."""


class LLMClientPort(Protocol):
    async def classify(self, keys: Sequence[ActivityKey], categories: Sequence[str]) -> list[str | None]:
        """One category name of `categories` for each key, in their order, by one request.

        None stands where the answer for that key is missing or is not in `categories`; it does not affect the
        others. Raises ClassificationFailed where there is no usable answer at all, after the adapter's own
        bounded retries. Windows are hostile text and must not be able to change another window's answer.
        """


class ClassifierObserver(Protocol):
    """Told what happens in the classifier, for logs and metrics. Must not raise."""

    def patterns_loaded(self, count: int, problems: Sequence[PatternProblem]) -> None: ...

    def patterns_not_loaded(self, cause: PipelineError) -> None: ...

    def cache_failed(self, cause: PipelineError) -> None: ...

    def llm_answered(self, windows: int, answered: int, tokens: int, seconds: float) -> None: ...

    def llm_failed(self, windows: int, cause: PipelineError) -> None: ...
