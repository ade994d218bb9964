"""Decisions on proposed patterns: an accepted one joins its category, a rejected one is not proposed again."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from domains.categoryPattern.model import PatternKind, PatternProposal, ProposalStatus
from domains.categoryPattern.ports import CategoryPatternRepositoryPort, PatternProposalRepositoryPort


class NewPattern(Protocol):
    """A pattern that is to be added to a category: a proposal, or an item of a pattern file."""

    @property
    def category(self) -> str: ...
    @property
    def kind(self) -> PatternKind: ...
    @property
    def pattern(self) -> str: ...


async def accept(
    chosen: Sequence[PatternProposal],
    proposals: PatternProposalRepositoryPort,
    patterns: CategoryPatternRepositoryPort,
) -> list[PatternProposal]:
    """Adds the chosen proposals to their categories.

    A proposal that was accepted before is added again, in case an administrator has removed its pattern.
    """
    accepted = [replace(proposal, status=ProposalStatus.ACCEPTED) for proposal in chosen]
    await add(accepted, patterns)
    await proposals.save_all(
        accepted
    )  # last, so that a crash before this line leads to the proposal being accepted again
    return accepted


async def reject(
    chosen: Sequence[PatternProposal], proposals: PatternProposalRepositoryPort
) -> list[PatternProposal]:
    """Keeps the chosen proposals from being made again.

    None of them may be accepted already: an accepted pattern is removed in its category, not here.
    """
    rejected = [replace(proposal, status=ProposalStatus.REJECTED) for proposal in chosen]
    await proposals.save_all(rejected)
    return rejected


async def add(wanted: Iterable[NewPattern], patterns: CategoryPatternRepositoryPort) -> None:
    for category, added in by_category(wanted).items():
        await patterns.add_patterns(category, added[PatternKind.APP], added[PatternKind.DOMAIN])


def by_category(wanted: Iterable[NewPattern]) -> dict[str, dict[PatternKind, list[str]]]:
    grouped: dict[str, dict[PatternKind, list[str]]] = {}
    for each in wanted:
        grouped.setdefault(each.category, {kind: [] for kind in PatternKind})[each.kind].append(each.pattern)
    return grouped
