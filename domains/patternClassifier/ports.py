"""What the classifier wants from the outside: a cache that all instances share, a local classifier, and an LLM."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from domains.kernel.errors import PipelineError
from domains.kernel.window import Window
from domains.patternClassifier.model import PauseReason, Tier
from domains.patternClassifier.questions import Question
from domains.patternClassifier.rules import PatternProblem


class ClassificationCachePort(Protocol):
    """Answers of the LLM, shared by all instances and bounded in number. Both methods raise RedisOutage.

    An empty name says that the LLM was asked and had no answer.
    """

    async def get_many(self, questions: Collection[Question]) -> dict[Question, str]:
        """The category names of the questions that are remembered, in one round trip."""

    async def put_many(self, answers: Mapping[Question, str]) -> None:
        """Remembers category names for a limited time; empty ones, and `Uncategorized`, for a shorter one."""


class StoredCategory(Protocol):
    """What a store says of a window: the id of its category, None where it has none yet, and who named it."""

    @property
    def category_id(self) -> str | None: ...
    @property
    def is_llm_based(self) -> bool: ...


class ClassifiedWindowsPort(Protocol):
    """The windows that were classified before."""

    async def find_many_by_app_url_title_batch(self, windows: Collection[Window]) -> Mapping[Window, StoredCategory]:
        """What the store has for exactly these windows, in one query. Raises StoreOutage or StoreRefused."""


class LocalClassifierPort(Protocol):
    def predict(self, questions: Sequence[Question]) -> list[str | None]:
        """A category name for each question; None where it is not sure enough. This needs only CPU time."""


class LLMAnswers(NamedTuple):
    """A name for each question, in their order, None where there is no acceptable one; and what they cost."""

    names: list[str | None]
    tokens: int = 0


class LLMClientPort(Protocol):
    async def classify(self, questions: Sequence[Question], categories: Sequence[str]) -> LLMAnswers:
        """One category name of `categories` for each question, by one request.

        None stands where the answer for that question is missing or is not in `categories`; it does not affect the
        others. Raises ClassificationFailed where there is no usable answer at all, after the adapter's own
        bounded retries. Windows are hostile text and must not be able to change another window's answer.
        """


class LLMBudgetPort(Protocol):
    """What all instances together may spend on the LLM. All methods raise RedisOutage."""

    async def take(self) -> float:
        """Books one request. Returns 0, or the seconds until there is budget again; then nothing was booked."""

    async def book(self) -> None:
        """Books one request more, within the budget or not: a further try of one that was taken."""

    async def spend(self, tokens: int) -> None:
        """Books what a request has cost."""


class ClassifierObserver:
    """Told what happens in the classifier. A base class, like ConsumerObserver, whose methods must not raise."""

    def patterns_loaded(self, count: int, problems: Sequence[PatternProblem]) -> None: ...

    def patterns_not_loaded(self, cause: PipelineError) -> None: ...

    def tier_failed(self, tier: Tier, cause: Exception) -> None: ...

    def llm_answered(self, windows: int, answered: int, tokens: int, seconds: float) -> None: ...

    def llm_failed(self, windows: int, cause: Exception) -> None: ...

    def llm_paused(self, reason: PauseReason, seconds: float) -> None: ...
