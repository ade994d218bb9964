"""What the category pattern domain wants from its store."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from domains.categoryPattern.model import CategoryPattern, PatternProposal


class CategoryPatternRepositoryPort(Protocol):
    """The patterns, which Spring's admin API owns. Every method raises StoreOutage if the store cannot be used."""

    async def find_all(self) -> list[CategoryPattern]:
        """All patterns. The order is the same as long as the patterns are."""

    async def count(self) -> int:
        """The number of documents. It is cheap, so it also serves to check that the store answers."""

    async def save_all(self, patterns: Iterable[CategoryPattern]) -> None:
        """Inserts the patterns whose id is not stored yet, and leaves the stored ones as they are."""

    async def add_patterns(
        self, category: str, app_patterns: Sequence[str] = (), domain_patterns: Sequence[str] = ()
    ) -> None:
        """Appends the patterns that the category does not have yet.

        Changes that others make to the category meanwhile are kept. The patterns go to the document of that category
        with the lowest id. If there is none, one is created under `category_id`, without a priority. Raises
        StoreRefused if that document cannot take them.
        """


class PatternProposalRepositoryPort(Protocol):
    """The pipeline's own proposals. Methods raise StoreOutage, or StoreRefused if the data are at fault."""

    async def find_all(self) -> list[PatternProposal]:
        """All proposals, ordered by id."""

    async def save_all(self, proposals: Sequence[PatternProposal]) -> None:
        """Saves the proposals; a stored one with the same id is replaced."""

    async def delete_all(self, ids: Collection[str]) -> None:
        """Deletes proposals. Unknown ids are ignored."""
