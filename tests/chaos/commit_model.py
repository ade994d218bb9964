"""A model of the commit: what boards, pending list, dead letters and events must be after each step.

Source: the guarantee in design.md ("Effectively once", "When a session has ended"), not the script. A deferred
message moves once, while its record exists.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import NamedTuple

NOTHING_SECONDS = 1e-6


class Entry(NamedTuple):
    """An entry of the stream and its contribution. `position` is its place in the stream, from 1."""

    position: int
    user: str
    boards: tuple[str, ...]
    seconds: float
    session: int
    is_end: bool
    log: str | None = None


class Move(NamedTuple):
    """Moves the deferred message of the record with this number; records are numbered from 0 as they are made."""

    record: int
    user: str
    seconds: float
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass
class CommitModel:
    """One stream with one group. Entries are named by their positions; `delivered` is the last position delivered."""

    entries: list[Entry] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)
    delivered: int = 0
    pending: dict[int, str] = field(default_factory=dict)
    boards: defaultdict[str, defaultdict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    kept: defaultdict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    broken_boards: set[str] = field(default_factory=set)
    dead: list[int] = field(default_factory=list)
    noted: set[int] = field(default_factory=set)
    records: dict[int, int] = field(default_factory=dict)
    """The positions of the messages that were deferred and have not moved, by the number of the record."""
    made: list[int] = field(default_factory=list)
    """The positions of all messages that ever got a record, by the same numbers."""
    announced: list[tuple[str, int]] = field(default_factory=list)
    counted: set[str] = field(default_factory=set)
    """The logs that have counted."""

    def deliver(self, consumer: str, count: int) -> list[int]:
        """Delivers the next entries that are still in the stream to the consumer."""
        waiting = [e.position for e in self.entries[self.delivered :] if e.position not in self.deleted][:count]
        if waiting:
            self.delivered = waiting[-1]
        self.pending |= dict.fromkeys(waiting, consumer)
        return waiting

    def commit(
        self,
        entries: list[int],
        ends: list[int],
        letters: list[int],
        deferred: Sequence[int] = (),
        moves: Sequence[Move] = (),
    ) -> tuple[int, int, int, int]:
        """(messages, dead letters, moved, duplicates).

        An end is noted, and a deferred message gets a record, only if this commit acknowledges the message. Of the
        messages of one log the first counts, and it alone may be deferred.
        """
        acknowledged = [position for position in dict.fromkeys(entries) if self.pending.pop(position, None)]
        sums: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        counted = []
        for position in acknowledged:
            entry = self.entries[position - 1]
            if entry.log is not None and entry.log in self.counted:
                continue
            counted.append(position)
            if entry.log is not None:
                self.counted.add(entry.log)
            for board in entry.boards:
                sums[board, entry.user].append(entry.seconds)
        moved = 0
        for move in moves:
            if self.records.pop(move.record, None) is not None:
                moved += 1
                for board in move.old:
                    sums[board, move.user].append(-move.seconds)
                for board in move.new:
                    sums[board, move.user].append(move.seconds)
        self._raise(sums)
        for position in counted:
            if position in deferred:
                self.records[len(self.made)] = position
                self.made.append(position)
        parked = [position for position in dict.fromkeys(letters) if self.pending.pop(position, None)]
        self.dead += parked
        self.noted |= set(ends) & {*acknowledged, *parked}
        return len(acknowledged), len(parked), moved, len(acknowledged) - len(counted)

    def _raise(self, sums: Mapping[tuple[str, str], list[float]]) -> None:
        """Removes a score that this commit lowers to zero."""
        for (board, user), parts in sums.items():
            if board in self.broken_boards:
                self.kept[board, user] += parts
                continue
            place = self.boards[board][user]
            place += parts
            if fsum(parts) < 0 and abs(fsum(place)) < NOTHING_SECONDS:
                del self.boards[board][user]

    def announce(self) -> int:
        """Announces the ends below all that is pending or undelivered; returns how many sessions."""
        horizon = min(self.pending, default=self.delivered + 1)
        count = 0
        for position in sorted(noted for noted in self.noted if noted < horizon):
            self.noted.remove(position)
            session = (self.entries[position - 1].user, self.entries[position - 1].session)
            if session not in self.announced:
                self.announced.append(session)
                count += 1
        return count

    def scores(self) -> dict[str, dict[str, float]]:
        return {board: {user: fsum(parts) for user, parts in users.items()} for board, users in self.boards.items()}

    def kept_scores(self) -> dict[str, float]:
        return {f"{board}\n{user}": fsum(parts) for (board, user), parts in self.kept.items()}
