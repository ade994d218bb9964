"""What handing out and erasing want from the stores. Every method may be repeated, and raises Outage."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Protocol

from domains.userData.model import PersonalItem, Scope


class PersonalDataPort(Protocol):
    """A store that holds something of users."""

    def of_user(self, user_id: str) -> AsyncIterator[PersonalItem]:
        """All that it has of the user, in any order, never all of it in memory."""

    async def erase(self, user_id: str) -> Counter[str]:
        """Deletes what is ours. Returns how many items, by place."""


class PersonalDocumentsPort(Protocol):
    """Usage logs and windows of the document store. Also raises StoreRefused.

    A window belongs to a scope if no usage log outside of the scope points at it.
    """

    def find(self, scope: Scope) -> AsyncIterator[PersonalItem]:
        """The usage logs of the scope, then its windows."""

    async def count(self, scope: Scope) -> Counter[str]:
        """How many items of the scope are ours, by place."""

    async def erase(self, scope: Scope) -> Counter[str]:
        """Deletes those that are ours, the windows first: as long as a log is there, its window can be found."""
