"""What a classified file of windows comes to: how many each tier and category decided, and what stayed unknown."""

from collections import Counter
from collections.abc import Sequence

from domains.patternClassifier.model import RuleMatch, Tier
from domains.patternClassifier.urls import split_url
from infrastructure.offline.offline_classifier import Answer
from infrastructure.offline.window_lines import BadLine, WindowLine


class Tally:
    """`empty` are unknown windows that have neither a host nor an app."""

    def __init__(self) -> None:
        self.tiers: Counter[str] = Counter()
        self.categories: Counter[str] = Counter()
        self.unknown_hosts: Counter[str] = Counter()
        self.unknown_apps: Counter[str] = Counter()
        self.empty = 0

    def add(self, windows: Sequence[WindowLine | BadLine], found: Sequence[Answer | None]) -> None:
        """`found` are the answers for `windows`, in their order."""
        decided = Counter((_tier(answer), answer.category) for answer in found if answer is not None)
        for (tier, category), count in decided.items():
            self.tiers[tier] += count
            self.categories[category] += count
        for window, answer in zip(windows, found, strict=True):
            if answer is None and isinstance(window, WindowLine):
                self._add_unknown(window)

    @property
    def unknown(self) -> int:
        return self.unknown_hosts.total() + self.unknown_apps.total() + self.empty

    @property
    def total(self) -> int:
        return self.tiers.total() + self.unknown

    def _add_unknown(self, window: WindowLine) -> None:
        if host := split_url(window.url or "")[0]:
            self.unknown_hosts[host] += 1
        elif window.app:
            self.unknown_apps[window.app] += 1
        else:
            self.empty += 1


def _tier(answer: Answer) -> Tier:
    return Tier.PROVISIONAL if isinstance(answer, RuleMatch) and answer.provisional else answer.tier
