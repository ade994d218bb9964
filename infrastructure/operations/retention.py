"""Deletes what has been kept for long enough: dead letters, decided proposals and, where asked for, usage logs."""

from collections.abc import Callable
from time import time
from typing import NamedTuple

from domains.categoryPattern.model import ProposalStatus
from domains.categoryPattern.ports import PatternProposalRepositoryPort
from domains.operations.model import LetterSummary
from domains.operations.ports import DeadLettersPort
from domains.userData.model import USAGE_LOGS, WINDOWS, Scope
from domains.userData.ports import PersonalDocumentsPort

_DAY = 86_400
_AT_ONCE = 500


class KeptDays(NamedTuple):
    """How many days things are kept; 0: for ever."""

    dead_letters: float
    proposals: float
    usage_logs: float


class Expired(NamedTuple):
    """How much was deleted, or would be."""

    dead_letters: int
    proposals: int
    usage_logs: int
    windows: int


class Retention:
    """`documents` gives the port where usage logs are to be deleted."""

    def __init__(
        self,
        letters: DeadLettersPort,
        proposals: PatternProposalRepositoryPort,
        documents: Callable[[], PersonalDocumentsPort],
        days: KeptDays,
    ) -> None:
        self._letters = letters
        self._proposals = proposals
        self._documents = documents
        self._days = days

    async def apply(self, dry_run: bool) -> Expired:
        """May be repeated. Raises Outage and StoreRefused; what was deleted before stays deleted."""
        now = time()
        letters = await self._drop_letters(now, dry_run)
        proposals = await self._delete_proposals(now, dry_run)
        logs = {USAGE_LOGS: 0, WINDOWS: 0}
        if self._days.usage_logs:
            scope, documents = Scope(before=now - self._days.usage_logs * _DAY), self._documents()
            logs |= await (documents.count(scope) if dry_run else documents.erase(scope))
        return Expired(letters, proposals, logs[USAGE_LOGS], logs[WINDOWS])

    async def _drop_letters(self, now: float, dry_run: bool) -> int:
        if not self._days.dead_letters:
            return 0
        before, found = now - self._days.dead_letters * _DAY, 0
        page: list[LetterSummary] = []
        async for letter in self._letters.all():
            if letter.time >= before:
                continue
            page.append(letter)
            if len(page) == _AT_ONCE:
                found += await self._drop(page, dry_run)
                page = []
        return found + await self._drop(page, dry_run)

    async def _drop(self, letters: list[LetterSummary], dry_run: bool) -> int:
        return len(letters) if dry_run or not letters else await self._letters.drop(letters)

    async def _delete_proposals(self, now: float, dry_run: bool) -> int:
        """Those that were decided on so long ago. Without them the pattern may be proposed again."""
        if not self._days.proposals:
            return 0
        before = now - self._days.proposals * _DAY
        old = [
            each.id
            for each in await self._proposals.find_all()
            if each.status is not ProposalStatus.PROPOSED and 0 < each.decided < before
        ]
        if not dry_run:
            await self._proposals.delete_all(old)
        return len(old)
