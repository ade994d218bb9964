"""What becomes of proposed patterns: accepted, they join their categories; rejected, they stay away."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from domains.categoryPattern.model import PatternKind, PatternProposal, ProposalStatus
from domains.categoryPattern.ports import CategoryPatternRepositoryPort, PatternProposalRepositoryPort


class NewPattern(Protocol):
    """A pattern on its way to its category: a proposal, or a line of a file."""

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
    """Adds them to their categories. One that is accepted already is put back where it was removed."""
    accepted = [replace(proposal, status=ProposalStatus.ACCEPTED) for proposal in chosen]
    await add(accepted, patterns)
    await proposals.save_all(accepted)  # last: what is cut off in between is accepted again
    return accepted


async def reject(
    chosen: Sequence[PatternProposal], proposals: PatternProposalRepositoryPort
) -> list[PatternProposal]:
    """Keeps them from being made again. None may be accepted already: patterns are removed where they are kept."""
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
