"""A stream with one consumer group in memory, and the commit on it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from math import inf
from time import monotonic, time

from domains.leaderboard.model import LeaderboardEntry
from domains.pomodoro.model import (
    Commit,
    CommitResult,
    DeadLetter,
    DeferredMessage,
    NotedEnd,
    PomodoroPatternClassifyMessage,
    Posting,
    ReadBatch,
    Session,
    StreamState,
)
from infrastructure.memory.leaderboard import InMemoryLeaderboard, score_sums
from infrastructure.spring.message_parser import MessageParser


class InMemoryStream:
    """The entries, and what the group knows about them. Several sources and commits may share one stream.

    `published` and `asked` say when each entry came and each consumer last asked for some (`time.monotonic`),
    `parked` when each dead letter was parked (Unix seconds).
    """

    def __init__(self, name: str = "stream") -> None:
        self.name = name
        self.entries: dict[str, Mapping[str, str]] = {}
        self.undelivered: list[str] = []
        self.pending: dict[str, str] = {}
        self.noted_ends: dict[str, Session] = {}
        self.ended: list[Session] = []
        self.counted: set[str] = set()
        self.deferring: dict[str, Session] = {}
        self.dead_letters: list[DeadLetter] = []
        self.parked: dict[str, float] = {}
        self.failed_scores: dict[tuple[str, str], float] = {}
        self.deferred: dict[str, DeferredMessage] = {}
        self.events: list[list[Posting]] = []
        self.added = asyncio.Event()
        self.published: dict[str, float] = {}
        self.asked: dict[str, float] = {}
        self._added = 0

    def needs(self, entry_id: str) -> bool:
        return entry_id in self.pending or entry_id in self.undelivered

    def add(self, fields: Mapping[str, str]) -> str:
        self._added += 1
        entry_id = f"{self._added}-0"
        self.entries[entry_id] = fields
        self.published[entry_id] = monotonic()
        self.undelivered.append(entry_id)
        self.added.set()
        return entry_id


class InMemoryMessageSource:
    """MessageSourcePort on an InMemoryStream. Entries of other consumers count as abandoned at once."""

    def __init__(self, stream: InMemoryStream, parser: MessageParser, consumer: str) -> None:
        self._stream = stream
        self._parser = parser
        self._consumer = consumer

    async def ensure_group(self) -> None:
        return

    async def read_new(self, limit: int, block_ms: int) -> ReadBatch:
        stream = self._stream
        stream.asked[self._consumer] = monotonic()
        if not stream.undelivered:
            stream.added.clear()
            try:
                await asyncio.wait_for(stream.added.wait(), block_ms / 1000)
            except TimeoutError:
                return ReadBatch()
        taken, stream.undelivered = stream.undelivered[:limit], stream.undelivered[limit:]
        stream.pending |= dict.fromkeys(taken, self._consumer)
        return self._batch(taken)

    async def read_pending(self, after: str, limit: int) -> ReadBatch:
        own = [entry for entry, consumer in self._stream.pending.items() if consumer == self._consumer]
        return self._batch([entry for entry in sorted(own, key=_order) if _order(entry) > _order(after)][:limit])

    async def claim_abandoned(self, limit: int, exclude: Collection[str]) -> ReadBatch:
        self._stream.asked[self._consumer] = monotonic()
        others = [entry for entry, consumer in self._stream.pending.items() if consumer != self._consumer]
        taken = [entry for entry in sorted(others, key=_order) if entry not in exclude][:limit]
        self._stream.pending |= dict.fromkeys(taken, self._consumer)
        more = len(taken) == limit and len(others) > len(taken)
        return replace(self._batch(taken), cursor=taken[-1] if more else "")

    async def tidy(self) -> StreamState:
        done = [entry for entry in self._stream.entries if not self._stream.needs(entry)]
        for entry in done:
            del self._stream.entries[entry], self._stream.published[entry]
        return StreamState(len(done), len(self._stream.entries))

    async def leave(self) -> int:
        return sum(consumer == self._consumer for consumer in self._stream.pending.values())

    def _batch(self, entry_ids: list[str]) -> ReadBatch:
        batch = ReadBatch(cursor=entry_ids[-1] if entry_ids else "")
        for entry_id in entry_ids:
            parsed = self._parser.parse(entry_id, self._stream.entries[entry_id])
            if isinstance(parsed, PomodoroPatternClassifyMessage):
                batch.messages.append(parsed)
            else:
                batch.rejected.append(parsed)
        return batch


class InMemoryDeferredMessages:
    """DeferredMessagesPort on an InMemoryStream. Every caller gets the lease."""

    def __init__(self, stream: InMemoryStream) -> None:
        self._stream = stream

    async def lease(self, seconds: float) -> bool:
        return True

    async def after(self, record_id: str, limit: int) -> list[DeferredMessage]:
        records = sorted(self._stream.deferred.values(), key=lambda message: _order(message.id))
        return [message for message in records if _order(message.id) > _order(record_id)][:limit]


class InMemoryCommit:
    """CommitPort on an InMemoryStream and on boards in memory."""

    def __init__(self, stream: InMemoryStream, boards: InMemoryLeaderboard) -> None:
        self._stream = stream
        self._boards = boards

    async def commit(self, commit: Commit) -> CommitResult:
        pending = self._stream.pending
        ends = [end for end in commit.ends if end.entry_id in pending]
        taken = [self._acknowledge(entry) for entry in commit.entries]
        committed = [entry_id for ids, _ in taken for entry_id in ids]
        counted = [entry for _, entry in taken if entry.message_ids]
        letters = [letter for letter in commit.dead_letters if pending.pop(letter.entry_id, None)]
        self._stream.dead_letters += letters
        self._stream.parked |= {letter.entry_id: time() for letter in letters}
        self._stream.noted_ends |= {end.entry_id: end.session for end in ends}
        self._stream.noted_ends |= {letter.entry_id: letter.ends for letter in letters if letter.ends}
        counting = {entry_id for entry in counted for entry_id in entry.message_ids}
        deferred = {message.id: message for message in commit.deferred if message.id in counting}
        self._stream.deferred |= deferred
        for message in commit.deferred:
            self._stream.deferring.pop(message.id, None)
        moves = [move for move in commit.moves if self._stream.deferred.pop(move.deferred_id, None)]
        posted = [commit.postings[id_] for entry in counted for id_ in entry.message_ids if id_ in commit.postings]
        posted += [posting for move in moves for posting in move.postings]
        if posted:
            self._stream.events.append(posted)
        raised, failed = self._raise(score_sums(counted, moves))
        return CommitResult(
            len(committed),
            raised,
            len(failed),
            len(letters),
            f"{failed[0]}: refused" if failed else "",
            len(deferred),
            len(moves),
            len(committed) - sum(len(entry.message_ids) for entry in counted),
        )

    async def deferring(self, messages: Mapping[str, Session]) -> None:
        self._stream.deferring |= messages

    async def counted(self, log_ids: Collection[str]) -> set[str]:
        return self._stream.counted & set(log_ids)

    def _acknowledge(self, entry: LeaderboardEntry) -> tuple[list[str], LeaderboardEntry]:
        """Acknowledges what is still pending. Returns its ids, and an entry with what of it counts."""
        log_ids = entry.log_ids or [None] * len(entry.message_ids)
        committed, counting = [], LeaderboardEntry(entry.user_id, entry.boards)
        for entry_id, seconds, log_id in zip(entry.message_ids, entry.durations, log_ids, strict=True):
            if self._stream.pending.pop(entry_id, None):
                committed.append(entry_id)
                if log_id is None or log_id not in self._stream.counted:
                    counting.message_ids.append(entry_id)
                    counting.durations.append(seconds)
                if log_id:
                    self._stream.counted.add(log_id)
        return committed, counting

    def _raise(self, scores: Mapping[tuple[str, str], float]) -> tuple[int, list[str]]:
        """How many scores were raised, and the boards of those that were not, which are kept."""
        failed = []
        for (board, user), seconds in scores.items():
            if not self._boards.add(board, user, seconds):
                kept = self._stream.failed_scores
                kept[board, user] = kept.get((board, user), 0.0) + seconds
                failed.append(board)
        return len(scores) - len(failed), failed


class InMemorySessionEnds:
    """SessionEndsPort on an InMemoryStream."""

    def __init__(self, stream: InMemoryStream) -> None:
        self._stream = stream

    async def due(self, delay_seconds: float) -> AsyncIterator[list[NotedEnd]]:
        stream, now = self._stream, monotonic()
        missing = min(map(_order, [*stream.pending, *stream.undelivered]), default=(inf, 0))
        sessions = self._deferred_sessions()
        due = [
            NotedEnd(entry_id, session, now - stream.published.get(entry_id, 0.0), session in sessions)
            for entry_id, session in sorted(stream.noted_ends.items(), key=lambda noted: _order(noted[0]))
            if _order(entry_id) < missing
        ]
        if due := [end for end in due if end.age >= delay_seconds]:
            yield due

    async def announce(self, ends: Sequence[NotedEnd], unless_deferred: bool = False) -> int:
        before, left = len(self._stream.ended), self._deferred_sessions() if unless_deferred else set()
        for end in ends:
            if end.session in left:
                continue
            session = self._stream.noted_ends.pop(end.token, None)
            if session is not None and session not in self._stream.ended:
                self._stream.ended.append(session)
        return len(self._stream.ended) - before

    def _deferred_sessions(self) -> set[Session | None]:
        deferred = {message.session for message in self._stream.deferred.values()}
        return deferred | {*self._stream.deferring.values()}


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)
