"""Decisions on proposed patterns: an accepted one joins its category, a rejected one is not proposed again."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from time import time
from typing import Protocol

from domains.categoryPattern.model import (
    UNCATEGORIZED,
    CategoryPattern,
    PatternKind,
    PatternProposal,
    ProposalStatus,
    category_id,
)
from domains.categoryPattern.ports import CategoryPatternRepositoryPort, PatternProposalRepositoryPort


class NoSuchProposal(Exception):
    """`ids` are those that no proposal has. Nothing was changed."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__("no such proposal")
        self.ids = ids


class AlreadyAccepted(Exception):
    """`ids` are those of proposals whose patterns are in use, and are removed where patterns are kept."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__("accepted already; its pattern is removed where the patterns are kept")
        self.ids = ids


class NewPattern(Protocol):
    """A pattern that is to be added to a category: a proposal, or an item of a pattern file."""

    @property
    def category(self) -> str: ...
    @property
    def kind(self) -> PatternKind: ...
    @property
    def pattern(self) -> str: ...


async def find(ids: Collection[str], proposals: PatternProposalRepositoryPort) -> list[PatternProposal]:
    """The proposals with these ids, each once. Raises NoSuchProposal where one of them is missing."""
    by_id = {proposal.id: proposal for proposal in await proposals.find_all()}
    if missing := [each for each in ids if each not in by_id]:
        raise NoSuchProposal(missing)
    return [by_id[each] for each in dict.fromkeys(ids)]


async def find_in_order(proposals: PatternProposalRepositoryPort) -> list[PatternProposal]:
    """All proposals: those that wait for a decision first, and of each status those with the most answers first."""
    order = list(ProposalStatus)
    kept = await proposals.find_all()
    return sorted(kept, key=lambda each: (order.index(each.status), -each.evidence.answers, each.id))


async def find_waiting(proposals: PatternProposalRepositoryPort, min_answers: int = 0) -> list[PatternProposal]:
    """Those that nobody has decided on, with at least so many answers in their favour."""
    kept = await proposals.find_all()
    return [it for it in kept if it.status is ProposalStatus.PROPOSED and it.evidence.answers >= min_answers]


async def accept(
    chosen: Sequence[PatternProposal],
    proposals: PatternProposalRepositoryPort,
    patterns: CategoryPatternRepositoryPort,
) -> list[PatternProposal]:
    """Adds the chosen proposals to their categories.

    A proposal that was accepted before is added again, in case an administrator has removed its pattern.
    """
    accepted = [replace(proposal, status=ProposalStatus.ACCEPTED, decided=time()) for proposal in chosen]
    await add(accepted, patterns)
    await proposals.save_all(
        accepted
    )  # last, so that a crash before this line leads to the proposal being accepted again
    return accepted


async def reject(
    chosen: Sequence[PatternProposal], proposals: PatternProposalRepositoryPort
) -> list[PatternProposal]:
    """Keeps the chosen proposals from being made again.

    Raises AlreadyAccepted, and then rejects none: an accepted pattern is removed in its category, not here.
    """
    if accepted := [each.id for each in chosen if each.status is ProposalStatus.ACCEPTED]:
        raise AlreadyAccepted(accepted)
    rejected = [replace(proposal, status=ProposalStatus.REJECTED, decided=time()) for proposal in chosen]
    await proposals.save_all(rejected)
    return rejected


async def add(wanted: Iterable[NewPattern], patterns: CategoryPatternRepositoryPort) -> None:
    for category, added in _by_category(wanted).items():
        await patterns.add_patterns(category, added[PatternKind.APP], added[PatternKind.DOMAIN])


def as_patterns(wanted: Iterable[NewPattern], present: Sequence[CategoryPattern]) -> list[CategoryPattern]:
    """`wanted` as documents of their categories that hold nothing else, with the priorities of `present`."""
    priorities = {pattern.category: pattern.priority for pattern in reversed(present)}
    return [
        CategoryPattern(
            category_id(category),
            category,
            priorities.get(category),
            tuple(sorted(added[PatternKind.APP])),
            tuple(sorted(added[PatternKind.DOMAIN])),
        )
        for category, added in sorted(_by_category(wanted).items())
    ]


async def patterns_or_defaults(
    patterns: CategoryPatternRepositoryPort, defaults: Sequence[CategoryPattern]
) -> list[CategoryPattern]:
    """All patterns of the store. Where it has no category but `Uncategorized`, it is given `defaults` first."""
    found = await patterns.find_all()
    if defaults and not are_any(found):
        known = {pattern.category for pattern in found}
        await patterns.save_all([pattern for pattern in defaults if pattern.category not in known])
        found = await patterns.find_all()
    return found


def are_any(patterns: Iterable[CategoryPattern]) -> bool:
    """Whether there is a category beside `Uncategorized`, which the pipeline creates by itself."""
    return any(pattern.category != UNCATEGORIZED for pattern in patterns)


def _by_category(wanted: Iterable[NewPattern]) -> dict[str, dict[PatternKind, list[str]]]:
    grouped: dict[str, dict[PatternKind, list[str]]] = {}
    for each in wanted:
        grouped.setdefault(each.category, {kind: [] for kind in PatternKind})[each.kind].append(each.pattern)
    return grouped
