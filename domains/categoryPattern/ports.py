"""What the category pattern domain wants from its store."""

from collections.abc import Iterable
from typing import Protocol

from domains.categoryPattern.model import CategoryPattern


class CategoryPatternRepositoryPort(Protocol):
    """The patterns, owned by Spring's admin API. Every method raises StoreOutage where the store is away."""

    async def find_all(self) -> list[CategoryPattern]:
        """All patterns, in an order that does not change while they do not."""

    async def save_all(self, patterns: Iterable[CategoryPattern]) -> None:
        """Inserts those whose id is not there yet and leaves the others as they are."""
