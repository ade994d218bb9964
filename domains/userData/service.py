"""Hands out all that is kept of a user, and erases it.

Erasing may be interrupted anywhere and repeated: every store deletes what it finds. It goes over the stores until
none of them finds anything, since a message that was being processed may write after its store was erased.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict

from domains.focusCard.ports import FocusCardStorePort
from domains.patternClassifier.corrections import CorrectionRepositoryPort
from domains.userData.model import Held, PersonalItem, Scope
from domains.userData.ports import PersonalDataPort, PersonalDocumentsPort

_PASSES = 5


class UserData:
    """`stores` in the order in which they are erased: what is processed first, and then what it is processed to."""

    def __init__(self, stores: Sequence[PersonalDataPort]) -> None:
        self.stores = stores

    async def export(self, user_id: str) -> AsyncIterator[PersonalItem]:
        for store in self.stores:
            async for item in store.of_user(user_id):
                yield item

    async def held(self, user_id: str) -> dict[str, Held]:
        """By place, how much there is of the user."""
        ours, of_spring = Counter[str](), Counter[str]()
        async for item in self.export(user_id):
            (ours if item.is_ours else of_spring)[item.place] += 1
        return {place: Held(ours[place], of_spring[place]) for place in {**ours, **of_spring}}

    async def erase(self, user_id: str) -> Counter[str]:
        """Erases what is ours. Returns how many items, by place; `held` says what is left, if anything is.

        Raises Outage and StoreRefused. What was erased before stays erased.
        """
        erased = Counter[str]()
        for _ in range(_PASSES):
            found = Counter[str]()
            for store in self.stores:
                found += await store.erase(user_id)
            erased += found
            if not found:
                break
        return erased


class UserDocuments:
    """PersonalDataPort of the document store."""

    def __init__(self, documents: PersonalDocumentsPort) -> None:
        self._documents = documents

    def of_user(self, user_id: str) -> AsyncIterator[PersonalItem]:
        return self._documents.find(Scope(user_id))

    async def erase(self, user_id: str) -> Counter[str]:
        return await self._documents.erase(Scope(user_id))


class UserCorrections:
    """PersonalDataPort of the corrections of a user's windows."""

    _PLACE = "corrections"

    def __init__(self, store: CorrectionRepositoryPort) -> None:
        self._store = store

    async def of_user(self, user_id: str) -> AsyncIterator[PersonalItem]:
        for each in await self._store.find_all():
            if each.user_id == user_id:
                yield PersonalItem(self._PLACE, asdict(each))

    async def erase(self, user_id: str) -> Counter[str]:
        ids = [each.id for each in await self._store.find_all() if each.user_id == user_id]
        return +Counter({self._PLACE: await self._store.delete(ids)})


class UserCards:
    """PersonalDataPort of the focus cards."""

    _PLACE = "focus cards"

    def __init__(self, cards: FocusCardStorePort) -> None:
        self._cards = cards

    async def of_user(self, user_id: str) -> AsyncIterator[PersonalItem]:
        for card in await self._cards.of_user(user_id):
            yield PersonalItem(self._PLACE, card.document)

    async def erase(self, user_id: str) -> Counter[str]:
        return +Counter({self._PLACE: await self._cards.erase(user_id)})
