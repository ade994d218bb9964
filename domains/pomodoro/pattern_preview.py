"""What a pattern would move before anybody accepts it: the usage logs of late whose category it would change."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import NamedTuple

from domains.categoryPattern.model import CategoryPattern, PatternKind, PatternProposal, new_category
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.snapshot import PatternSnapshot
from domains.pomodoro.ports import CategorizedDataRepositoryPort, PomodoroUsageLogRepositoryPort

_PATIENCE_SECONDS = 6.0


class Moved(NamedTuple):
    """`category` is the one that the logs have now."""

    category: str
    logs: int
    users: int
    seconds: float


class Preview(NamedTuple):
    """`logs` were looked at; `complete` is whether there was time for all of the period."""

    logs: int
    complete: bool
    moved: list[Moved]


class PatternPreview:
    def __init__(
        self,
        logs: PomodoroUsageLogRepositoryPort,
        categorized: CategorizedDataRepositoryPort,
        classifier: PatternClassifier,
    ) -> None:
        self._logs = logs
        self._categorized = categorized
        self._classifier = classifier

    async def of(self, proposal: PatternProposal, start: float, end: float) -> Preview:
        """What the proposal's pattern would move of the logs in [start, end), Unix seconds; most seconds first.

        A log is moved where the pattern changes what the rules say of its window, unless a person has corrected it.
        Raises StoreOutage.
        """
        now = self._classifier.snapshot
        then = await asyncio.to_thread(self._classifier.snapshot_of, with_pattern(now.patterns, proposal))
        until, looked_at, complete = monotonic() + _PATIENCE_SECONDS, 0, True
        found: dict[str, tuple[int, set[str], float]] = {}
        async for page in self._logs.find_in_period(start, end):
            documents = await self._categorized.find_by_ids({log.categorized_data_id for log in page})
            for log in page:
                data = documents.get(log.categorized_data_id)
                if data is None or log.category_id is None:
                    continue
                decided = then.by_rules(data.window)
                if decided is None or decided.category_id == log.category_id or decided == now.by_rules(data.window):
                    continue
                if self._classifier.corrected(log.user_id, data.window) is None:
                    name = _name(now, log.category_id)
                    logs, users, seconds = found.get(name, (0, set[str](), 0.0))
                    found[name] = logs + 1, users | {log.user_id}, seconds + log.duration
            looked_at += len(page)
            if monotonic() > until:
                complete = False
                break
        moved = [Moved(name, logs, len(users), seconds) for name, (logs, users, seconds) in found.items()]
        return Preview(looked_at, complete, sorted(moved, key=lambda each: -each.seconds))


def with_pattern(patterns: Sequence[CategoryPattern], proposal: PatternProposal) -> list[CategoryPattern]:
    """`patterns` once the proposal is accepted: its pattern is appended to the category's document."""
    known = [each for each in patterns if each.category == proposal.category]
    chosen = min(known, key=lambda each: each.id) if known else new_category(proposal.category)
    if proposal.kind is PatternKind.APP:
        extended = replace(chosen, app_patterns=(*chosen.app_patterns, proposal.pattern))
    else:
        extended = replace(chosen, domain_patterns=(*chosen.domain_patterns, proposal.pattern))
    return [each for each in patterns if each is not chosen] + [extended]


def _name(snapshot: PatternSnapshot, category_id: str) -> str:
    return next((each.category for each in snapshot.patterns if each.id == category_id), "?")
