"""What the category pattern domain wants from its store."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from domains.categoryPattern.model import CategoryPattern, PatternProposal


class CategoryPatternRepositoryPort(Protocol):
    """The patterns, owned by Spring's admin API. Every method raises StoreOutage where the store is away."""

    async def find_all(self) -> list[CategoryPattern]:
        """All patterns, in an order that does not change while they do not."""

    async def count(self) -> int:
        """How many documents there are: a small question, to see whether the store answers."""

    async def save_all(self, patterns: Iterable[CategoryPattern]) -> None:
        """Inserts those whose id is not there yet and leaves the others as they are."""

    async def add_patterns(
        self, category: str, app_patterns: Sequence[str] = (), domain_patterns: Sequence[str] = ()
    ) -> None:
        """Adds, behind the others, the patterns that are not there yet; atomic beside what others add and remove.

        They go to the document with the lowest id of those of that category; where there is none, it is created
        under `category_id`, without a priority. Raises StoreRefused where that document cannot take them.
        """


class PatternProposalRepositoryPort(Protocol):
    """The pipeline's own proposals. Methods raise StoreOutage, or StoreRefused where data are to blame."""

    async def find_all(self) -> list[PatternProposal]:
        """All proposals, by id."""

    async def save_all(self, proposals: Sequence[PatternProposal]) -> None:
        """Inserts them, in place of those with the same id."""

    async def delete_all(self, ids: Collection[str]) -> None:
        """Unknown ids are no failure."""
