"""What the classifier wants from the outside: a cache that all instances share, a local classifier, and an LLM."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from domains.kernel.errors import PipelineError
from domains.kernel.window import Window
from domains.patternClassifier.model import BudgetLimit, PatternProblem, PauseReason, Tier
from domains.patternClassifier.questions import Question


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
    tokens: int


class LLMClientPort(Protocol):
    def most_tokens(self, questions: Sequence[Question], categories: Sequence[str]) -> int:
        """The most tokens, of question and answer, that one request for `questions` is expected to cost."""

    async def classify(self, questions: Sequence[Question], categories: Sequence[str]) -> LLMAnswers:
        """One category name of `categories` for each question, by one request, which is not repeated here.

        None stands where the answer for that question is missing or is not in `categories`; it does not affect the
        others. Raises ClassificationFailed where there is no usable answer at all. `tokens`, of the answers or of the
        error, is what the server reports, or `most_tokens` where it reports nothing that can be. Windows are hostile
        text: an answer counts only if it carries what was sent with its own question alone and cannot be guessed.
        """


class Reservation(NamedTuple):
    """Tokens that are set aside for a request of `user` on `day` (UTC, ISO 8601)."""

    user: str
    tokens: int
    day: str


class BudgetRefusal(NamedTuple):
    """Which limit a request would exceed, and for how many seconds it stays as it is."""

    limit: BudgetLimit
    seconds: float


class LLMBudgetPort(Protocol):
    """What all instances together may spend on the LLM. All methods raise RedisOutage.

    What is reserved counts as spent until it is settled, so that the sum never exceeds the budget; what is never
    settled, after a crash for example, stays spent.
    """

    async def reserve(self, user: str, tokens: int) -> Reservation | BudgetRefusal:
        """Sets aside one request and its `tokens` for `user`, in one atomic step; if refused, nothing."""

    async def settle(self, reservation: Reservation, tokens: int) -> None:
        """Books the `tokens` that the request has cost in place of those that were reserved."""


class ClassifierObserver:
    """Told what happens in the classifier. A base class, like ConsumerObserver, whose methods must not raise."""

    def patterns_loaded(self, count: int, problems: Sequence[PatternProblem]) -> None: ...

    def patterns_not_loaded(self, cause: PipelineError) -> None: ...

    def tier_failed(self, tier: Tier, cause: Exception) -> None: ...

    def llm_answered(self, windows: int, answered: int, tokens: int, seconds: float) -> None: ...

    def llm_failed(self, windows: int, cause: Exception) -> None: ...

    def llm_paused(self, reason: PauseReason, seconds: float) -> None: ...

    def llm_share_spent(self, seconds: float) -> None:
        """A user has spent their share of the LLM's budget and has no other for `seconds`."""
