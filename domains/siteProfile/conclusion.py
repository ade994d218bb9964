"""From evidence to a category: reasons for the same category add up, and reasons for others count against it."""

from collections.abc import Collection, Iterable
from math import exp, log1p
from typing import NamedTuple

from domains.categoryPattern.model import UNCATEGORIZED
from domains.siteProfile.model import SiteEvidence

_MOST_CERTAIN = 0.98
"""No single reason is certain, whatever it says."""


class Conclusion(NamedTuple):
    """The leading category and the confidence in it (0 to 1); an empty category where there is no evidence."""

    category: str = ""
    confidence: float = 0.0


def conclude(evidence: Iterable[SiteEvidence]) -> Conclusion:
    """Weighs evidence.

    Reasons for a category are taken as independent: it is wrong only if each of them is. The result is multiplied by
    the category's share of all reasons, so two that are as well founded leave a confidence of a half at most.
    """
    support: dict[str, float] = {}
    for _, _, category, weight in evidence:
        if category != UNCATEGORIZED and weight > 0:
            support[category] = support.get(category, 0.0) - log1p(-min(weight, _MOST_CERTAIN))
    if not support:
        return Conclusion()
    best = min(support, key=lambda category: (-support[category], category))
    share = support[best] / sum(support.values())
    return Conclusion(best, (1 - exp(-support[best])) * share)


class Findings(NamedTuple):
    """The evidence that was looked at, and what follows from it: no category below the wanted confidence."""

    evidence: tuple[SiteEvidence, ...]
    conclusion: Conclusion


def weigh(evidence: Collection[SiteEvidence], categories: Collection[str], min_confidence: float) -> Findings:
    """What follows from the evidence for `categories`. The leading category is left out if it is not sure enough."""
    known = tuple(it for it in evidence if it.category in categories)
    found = conclude(known)
    return Findings(known, found if found.confidence >= min_confidence else Conclusion("", found.confidence))
