"""The classifier's ports: the shared cache, earlier documents, the local classifier, the LLM and its budget."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from domains.kernel.errors import PipelineError
from domains.kernel.window import Window
from domains.patternClassifier.model import BudgetLimit, PatternProblem, PauseReason, Tier
from domains.patternClassifier.questions import Question


class ClassificationCachePort(Protocol):
    """Answers of the LLM, shared by all instances and bounded in number. Both methods raise RedisOutage.

    An empty name means that the LLM was asked and had no answer.
    """

    async def get_many(self, questions: Collection[Question]) -> dict[Question, str]:
        """The category names of the questions that are remembered, in one round trip."""

    async def put_many(self, answers: Mapping[Question, str]) -> None:
        """Remembers category names for a limited time; empty ones, and `Uncategorized`, for a shorter one."""


class StoredCategory(Protocol):
    """The stored category of a window: its id (None if it has none yet), and whether the LLM named it."""

    @property
    def category_id(self) -> str | None: ...
    @property
    def is_llm_based(self) -> bool: ...


class ClassifiedWindowsPort(Protocol):
    """The windows that were classified before."""

    async def find_many_by_app_url_title_batch(self, windows: Collection[Window]) -> Mapping[Window, StoredCategory]:
        """The stored categories of exactly these windows, in one query. Raises StoreOutage or StoreRefused."""


class LocalClassifierPort(Protocol):
    def predict(self, questions: Sequence[Question]) -> list[str | None]:
        """A category name for each question; None where it is not sure enough. This needs only CPU time."""


class LLMAnswers(NamedTuple):
    """A name for each question, in the same order (None if there is no acceptable one), and the cost in tokens."""

    names: list[str | None]
    tokens: int


class LLMClientPort(Protocol):
    def most_tokens(self, questions: Sequence[Question], categories: Sequence[str]) -> int:
        """The most tokens, of question and answer, that one request for `questions` is expected to cost."""

    async def classify(self, questions: Sequence[Question], categories: Sequence[str]) -> LLMAnswers:
        """One name of `categories` for each question, by one request, which is not repeated here.

        A name is None if the answer is missing or not in `categories`; this does not affect the other questions.
        Raises ClassificationFailed if there is no usable answer at all. `tokens`, of the answers or of the error, is
        the number that the server reports, or `most_tokens` if it reports nothing plausible. Windows are hostile
        text: an answer counts only if it carries the secret number that was sent with its own question.
        """


class Reservation(NamedTuple):
    """Tokens that are set aside for a request of `user` on `day` (UTC, ISO 8601)."""

    user: str
    tokens: int
    day: str


class BudgetRefusal(NamedTuple):
    """The limit that a request would exceed, and the seconds until it is reset."""

    limit: BudgetLimit
    seconds: float


class LLMBudgetPort(Protocol):
    """The LLM's budget, which all instances share. All methods raise RedisOutage.

    A reservation counts as spent until it is settled, so the sum never exceeds the budget. One that is never settled,
    such as after a crash, stays spent.
    """

    async def reserve(self, user: str, tokens: int) -> Reservation | BudgetRefusal:
        """Reserves one request and its `tokens` for `user`, in one atomic step. If refused, reserves nothing."""

    async def settle(self, reservation: Reservation, tokens: int) -> None:
        """Replaces the reserved tokens by the `tokens` that the request has cost."""


class ClassifierObserver:
    """Gets the events of the classifier. A base class, like ConsumerObserver, whose methods must not raise."""

    def patterns_loaded(self, count: int, problems: Sequence[PatternProblem]) -> None: ...

    def patterns_not_loaded(self, cause: PipelineError) -> None: ...

    def tier_failed(self, tier: Tier, cause: Exception) -> None: ...

    def llm_answered(self, windows: int, answered: int, tokens: int, seconds: float) -> None: ...

    def llm_failed(self, windows: int, cause: Exception) -> None: ...

    def llm_paused(self, reason: PauseReason, seconds: float) -> None: ...

    def llm_share_spent(self, seconds: float) -> None:
        """A user has spent their share of the LLM's budget and has no other for `seconds`."""
