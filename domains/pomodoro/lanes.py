"""The two lanes: the fast one decides, writes and commits at once, and never waits for the slow one.

The slow lane asks the slow tiers: those behind the rules, and the LLM. It collects its messages into batches, since a
single message would cost as much as a batch.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from domains.kernel.resilience import Breaker
from domains.kernel.window import Window
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.model import KNOWN, Classification
from domains.pomodoro.capacity import ConsumerContext, Gathering
from domains.pomodoro.isolation import Isolation
from domains.pomodoro.model import (
    Commit,
    CommitResult,
    DeadLetter,
    Lane,
    PomodoroPatternClassifyMessage,
    Stage,
)
from domains.pomodoro.ports import CommitPort
from domains.pomodoro.service import BatchClassification, Decided, Span, possible_repeats

T = TypeVar("T")

_PARKED_BYTES = 700_000
"""What is no UTF-8 is written as JSON escapes, six characters a byte: then a commit has 4 MiB of letters."""

_SLOW_LANE_GATHERS_SECONDS = 0.1
"""Messages of the slow lane have waited already, and a few large batches delay the fast lane least."""


class Lanes:
    """Failed messages go to `Isolation`, which gives them back to `process` in smaller batches, or to `park`."""

    def __init__(
        self,
        context: ConsumerContext,
        batches: BatchClassification,
        classifier: PatternClassifier,
        commits: CommitPort,
    ) -> None:
        self._context = context
        self._batches = batches
        self._classifier = classifier
        self._commits = commits
        self._asking = 0
        self._isolation = Isolation(context, self.process, self.park)
        gathering = (context.tasks.spawn, _SLOW_LANE_GATHERS_SECONDS, context.limits.batch_max)
        self._unknown = Gathering(self._ask_tiers, *gathering)
        self._answered = Gathering(self._settle_slow, *gathering)

    async def process(self, messages: Sequence[PomodoroPatternClassifyMessage]) -> None:
        """Commits the messages that can be decided at once, and hands the others to the slow lane."""
        started = monotonic()
        with self._observed(messages, started, Lane.FAST):
            await self._decide(messages, started)

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """Parks them in commits of bounded size: a script's arguments are."""
        for some in _by_size(letters):
            await self._park(some)

    async def _park(self, letters: Sequence[DeadLetter]) -> None:
        result = await self._commit(Commit(dead_letters=letters), monotonic())
        self._leave(letter.entry_id for letter in letters)
        if result.dead_letters:  # else another instance has parked them
            self._context.observer.dead_lettered(letters)

    # Both lanes

    async def _decide(self, messages: Sequence[PomodoroPatternClassifyMessage], started: float) -> None:
        try:
            messages = await self._without_repeats(messages, started)
            documents, missing = self._batches.documents_of(messages)
            if missing:
                documents |= await self._stage(
                    Stage.LOOK_UP, self._context.store, lambda: self._batches.look_up(missing)
                )
            deciding = monotonic()
            decided, undecided = self._batches.decide(messages, documents)
            self._context.observer.stage_done(Stage.DECIDE, monotonic() - deciding)
        except Exception as cause:
            self._isolation.halve(messages, cause)
            return
        if undecided:
            self._unknown.add(undecided, started)
        if decided:
            await self._settle(decided, started)

    async def _without_repeats(
        self, messages: Sequence[PomodoroPatternClassifyMessage], started: float
    ) -> Sequence[PomodoroPatternClassifyMessage]:
        """Commits the messages whose logs have counted before; writes nothing for them. Returns the others."""
        log_ids = possible_repeats(messages)
        counted = await self._context.redis.run(lambda: self._commits.counted(log_ids)) if log_ids else ()
        if not counted:
            return messages
        repeats = [message for message in messages if message.pomodoro_usage_log_id in counted]
        fallback = self._classifier.snapshot.fallback
        decided = [Decided(Span(message), fallback(message.window)) for message in repeats]
        await self._commit(self._batches.commit_of(decided), started)
        self._leave(message.entry_id for message in repeats)
        return [message for message in messages if message.pomodoro_usage_log_id not in counted]

    async def _settle(self, decided: Sequence[Decided], started: float, lane: Lane = Lane.FAST) -> None:
        """Writes and commits messages.

        A message that fails by itself is tried again alone and does not hinder the others.
        """
        try:
            messages = [item.span.message for item in decided if item.deferred]
            deferring = {message.entry_id: message.of_session for message in messages}
            if deferring:
                await self._context.redis.run(lambda: self._commits.deferring(deferring))
            failed = await self._stage(Stage.WRITE, self._context.store, lambda: self._batches.write(decided))
            good = [item for item in decided if item.span.message.entry_id not in failed] if failed else decided
            tiers = Counter([item.classification.tier for item in good])
            self._context.observer.classified(tiers)
            if not tiers.keys() <= KNOWN:
                unknown = [it.span.message for it in good if it.classification.tier not in KNOWN]
                self._context.observer.unknown_windows([(message.window, message.user_id) for message in unknown])
            if (await self._commit(self._batches.commit_of(good), started, lane)).messages:
                seconds = defaultdict[str, float](float)
                for (message, _), classification, _ in good:
                    seconds[classification.category] += message.duration
                self._context.observer.categorised(seconds)
        except Exception as cause:
            self._isolation.halve([item.span.message for item in decided], cause)
            return
        self._leave(item.span.message.entry_id for item in good)
        for item in decided if failed else ():
            if reason := failed.get(item.span.message.entry_id):
                self._isolation.retry(item.span.message, reason)

    async def _commit(self, commit: Commit, started: float, lane: Lane = Lane.FAST) -> CommitResult:
        result = await self._stage(Stage.COMMIT, self._context.redis, lambda: self._commits.commit(commit))
        self._context.observer.batch_committed(result, monotonic() - started, lane)
        return result

    async def _stage(self, stage: Stage, breaker: Breaker, call: Callable[[], Awaitable[T]]) -> T:
        started = monotonic()
        result = await breaker.run(call)
        self._context.observer.stage_done(stage, monotonic() - started)
        return result

    @contextmanager
    def _observed(
        self, messages: Sequence[PomodoroPatternClassifyMessage], started: float, lane: Lane
    ) -> Iterator[None]:
        self._context.observer.batch_started(messages, started, lane)
        try:
            yield
        finally:
            self._context.observer.batch_ended()

    def _leave(self, entry_ids: Iterable[str]) -> None:
        ids = list(entry_ids)
        self._context.in_flight.leave(ids)
        self._isolation.forget(ids)

    # The slow lane

    async def _ask_tiers(self, spans: Sequence[Span], started: float) -> None:
        """Asks the tiers before the LLM. A task of its own asks the LLM about the windows that none of them knows."""
        try:
            found = await self._classifier.further({span.message.window for span in spans})
        except Exception as cause:
            self._isolation.halve([span.message for span in spans], cause)
            return
        unknown = [span for span in spans if span.message.window not in found]
        if unknown:
            self._context.tasks.spawn(self._ask_llm(unknown, started), f"ask {unknown[0].message.entry_id}")
        self._answered.add([Decided(s, found[s.message.window]) for s in spans if s.message.window in found], started)

    async def _ask_llm(self, spans: Sequence[Span], started: float) -> None:
        """Asks the LLM. Messages that it does not answer now are committed with an interim category."""
        try:
            answers = await self._answers(spans)
        except Exception as cause:
            self._isolation.halve([span.message for span in spans], cause)
            return
        self._answered.add([self._decided(span, answers.get(span.message.window)) for span in spans], started)

    async def _answers(self, spans: Sequence[Span]) -> dict[Window, Classification]:
        """The LLM's answers.

        At most half of the messages in flight wait for it, so that half remains for the fast lane.
        """
        if self._asking + len(spans) > self._context.limits.max_in_flight // 2:
            return {}
        self._asking += len(spans)
        try:
            asked = [(span.message.window, span.message.user_id) for span in spans]
            return await self._classifier.ask(asked, self._context.store)
        finally:
            self._asking -= len(spans)

    def _decided(self, span: Span, answer: Classification | None) -> Decided:
        if answer is None:
            return Decided(span, self._classifier.snapshot.fallback(span.message.window), deferred=True)
        return Decided(span, answer)

    async def _settle_slow(self, decided: Sequence[Decided], started: float) -> None:
        with self._observed([item.span.message for item in decided], started, Lane.SLOW):
            await self._settle(decided, started, Lane.SLOW)


def _by_size(letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Groups of at most `_PARKED_BYTES`, or of one letter that is larger."""
    group, size = list[DeadLetter](), 0
    for letter in letters:
        if group and size + letter.size > _PARKED_BYTES:
            yield group
            group, size = [], 0
        group.append(letter)
        size += letter.size
    if group:
        yield group
