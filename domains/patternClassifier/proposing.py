"""The use case of learning: makes proposals of patterns from all answers of the LLM, and keeps them."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import NamedTuple, Protocol

from domains.categoryPattern import decisions
from domains.categoryPattern.model import CategoryPattern, PatternProposal, ProposalStatus
from domains.categoryPattern.ports import CategoryPatternRepositoryPort, PatternProposalRepositoryPort
from domains.kernel.window import Window
from domains.patternClassifier.corrections import Correction, CorrectionState
from domains.patternClassifier.learning import AnswerCounts, ProfiledSite, propose
from domains.patternClassifier.privacy import Privacy
from domains.patternClassifier.rules import RuleSet

_TOLD_EVERY = 1000
"""Answers."""


class StoredAnswer(Protocol):
    """A window whose category the LLM has named."""

    @property
    def window(self) -> Window: ...
    @property
    def category_id(self) -> str | None: ...


class LLMAnswersPort(Protocol):
    def find_llm_based(self) -> AsyncIterator[StoredAnswer]:
        """All answers of the LLM, in any order, without loading all into memory. Raises StoreOutage."""


class ProposalLimits(NamedTuple):
    """The conditions for a proposal, and whether proposals are accepted at once."""

    min_answers: int
    min_share: float
    auto_accept: bool


class Proposed(NamedTuple):
    """The result of a run: all proposals, and counts.

    `answers` were read, of which `unknown` name a category that no longer exists; `new` proposals were made.
    `forgotten` counts hosts and apps with few answers that were left out, and `withdrawn` earlier proposals that no
    longer have enough evidence.
    """

    proposals: list[PatternProposal]
    new: int
    withdrawn: int
    answers: int
    unknown: int
    forgotten: int


async def propose_patterns(
    answers: LLMAnswersPort,
    patterns: CategoryPatternRepositoryPort,
    proposals: PatternProposalRepositoryPort,
    privacy: Privacy,
    limits: ProposalLimits,
    again: bool = False,
    progress: Callable[[int], None] = lambda answers: None,
    additions: Sequence[CategoryPattern] = (),
    sites: AsyncIterable[ProfiledSite] | None = None,
    corrections: Sequence[Correction] = (),
) -> Proposed:
    """Keeps the current proposals of `propose`, and withdraws earlier ones that are no longer among them.

    `progress` gets the number of answers read so far; `additions` are those of the rules; `sites` those with a
    profile. What rests on a profile or on `corrections` alone is not accepted here, whatever the limits say.
    """
    present = await patterns.find_all()
    names = {pattern.id: pattern.category for pattern in present}
    counts, read, unknown = AnswerCounts(privacy), 0, 0
    async for answer in answers.find_llm_based():
        read += 1
        if category := names.get(answer.category_id or ""):
            counts.add(answer.window, category)
        else:
            unknown += 1
        if not read % _TOLD_EVERY:
            progress(read)
    kept = await proposals.find_all()
    profiles = [site async for site in sites] if sites is not None else []
    rules = RuleSet(present, additions)
    found = propose(
        counts,
        rules,
        kept,
        limits.min_answers,
        limits.min_share,
        again,
        profiles,
        corrected_windows(corrections, privacy),
    )
    waiting = {proposal.id for proposal in kept if proposal.status is ProposalStatus.PROPOSED}
    withdrawn = waiting - {proposal.id for proposal in found}
    await proposals.save_all(found)
    await proposals.delete_all(withdrawn)
    if limits.auto_accept:
        answered = [proposal for proposal in found if proposal.evidence.answers >= limits.min_answers]
        others = [proposal for proposal in found if proposal.evidence.answers < limits.min_answers]
        found = await decisions.accept(answered, proposals, patterns) + others
    new = sum(proposal.id not in waiting for proposal in found)
    return Proposed(found, new, len(withdrawn), read, unknown, counts.forgotten)


def corrected_windows(corrections: Sequence[Correction], privacy: Privacy) -> AnswerCounts:
    counts = AnswerCounts(privacy)
    for each in corrections:
        if each.state is not CorrectionState.UNDOING:
            counts.add(each.window, each.category)
    return counts
