"""The commit script under any interleaving of readers, claims, repeated, stale and overlapping commits."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from math import fsum, isclose
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from domains.kernel.window import Window
from domains.leaderboard.model import LeaderboardEntry
from domains.pomodoro.model import (
    Commit,
    CommitResult,
    DeadLetter,
    DeferredMessage,
    Move,
    NotedEnd,
    Posting,
    Session,
    SessionEnd,
)
from infrastructure.redis.client import make_client
from infrastructure.redis.commit import CommitLimits, RedisCommit
from infrastructure.redis.deferred import RedisDeferredMessages
from infrastructure.redis.event_outbox import RedisEventOutbox
from infrastructure.redis.keys import StreamKeys
from infrastructure.redis.session_ends import RedisSessionEnds
from infrastructure.settings import Settings
from tests.chaos import commit_model
from tests.chaos.commit_model import CommitModel, Entry
from tests.depth import examples
from tests.servers import RedisServer

STREAM, GROUP = "commit_stream", "commit_group"
DAY = date(2025, 9, 2)
USERS = ["u1", "둘", "two\nlines"]
BOARDS = [f"leaderboard:{category}:2025-09-02" for category in ("work", "Development", "SNS")]
MOVED_TO = [tuple(BOARDS[:2]), tuple(BOARDS[2:]), ()]
CONSUMERS = st.sampled_from(["c1", "c2", "c3"])
_SECONDS = st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000)
"""So that what rounding leaves of large numbers, added and moved away again, is not taken for a score."""
LOGS = [None, *(f"68b6a3f00000000000000{number:03}" for number in range(4)), "000000010000000000000001"]
_ROUNDING = 1e-6

CHOICES = st.lists(st.integers(0, 40), max_size=12)


class CommitMachine(RuleBasedStateMachine):
    """`redis` reads and publishes, `adapter` is what is tested; both are set for the whole run."""

    redis: ClassVar[Any]
    commits: ClassVar[RedisCommit]
    ends: ClassVar[RedisSessionEnds]
    outbox: ClassVar[RedisEventOutbox]
    deferred: ClassVar[RedisDeferredMessages]
    runner: ClassVar[asyncio.Runner]
    claims_drop_deleted: ClassVar[bool]

    def __init__(self) -> None:
        super().__init__()
        self.redis.flushall()
        self.redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        self.model = CommitModel()
        self.ids: list[str] = []
        self.earlier: list[Commit] = []
        self.records: list[DeferredMessage] = []
        """All that were ever made, in the order in which they were."""

    @initialize(broken=st.sets(st.sampled_from(BOARDS), max_size=1))
    def break_a_board(self, broken: set[str]) -> None:
        for board in broken:
            self.redis.set(board, "of the wrong type")
        self.model.broken_boards = broken

    @rule(
        user=st.sampled_from(USERS),
        boards=st.sampled_from([tuple(BOARDS[:2]), tuple(BOARDS[2:]), ()]),
        seconds=_SECONDS,
        session=st.integers(1, 3),
        is_end=st.booleans(),
        log=st.sampled_from(LOGS),
    )
    def publish(
        self, user: str, boards: tuple[str, ...], seconds: float, session: int, is_end: bool, log: str | None
    ) -> None:
        self.ids.append(self.redis.xadd(STREAM, {"n": str(len(self.ids) + 1)}))
        self.model.entries.append(Entry(len(self.ids), user, boards, seconds, session, is_end, log))

    @rule(consumer=CONSUMERS, count=st.integers(1, 6))
    def read(self, consumer: str, count: int) -> None:
        reply = self.redis.xreadgroup(GROUP, consumer, {STREAM: ">"}, count=count)
        got = [self._position(entry_id) for _, entries in reply for entry_id, _ in entries]
        assert got == self.model.deliver(consumer, count)

    @precondition(lambda self: self.model.pending)
    @rule(consumer=CONSUMERS, chosen=CHOICES)
    def claim(self, consumer: str, chosen: list[int]) -> None:
        pending = sorted(self.model.pending)
        positions = {pending[i % len(pending)] for i in chosen}
        if not positions:
            return
        self.redis.xclaim(STREAM, GROUP, consumer, 0, [self._id(position) for position in positions])
        for position in positions:
            if position in self.model.deleted and self.claims_drop_deleted:
                del self.model.pending[position]
            else:
                self.model.pending[position] = consumer

    @precondition(lambda self: self.ids)
    @rule(at=st.integers(0, 40))
    def delete_an_entry(self, at: int) -> None:
        position = at % len(self.ids) + 1
        self.redis.xdel(STREAM, self._id(position))
        self.model.deleted.add(position)

    @rule(chosen=CHOICES, letters=CHOICES, repeats=st.integers(1, 2), deferred=CHOICES, moved=CHOICES)
    def commit_anything(
        self, chosen: list[int], letters: list[int], repeats: int, deferred: list[int], moved: list[int]
    ) -> None:
        """Pending or not, delivered or not, acknowledged before, twice in one commit, both good and dead, deferred
        without being committed, or moved again."""
        known, records = len(self.ids), len(self.records)
        entries = [i % known + 1 for i in chosen] if known else []
        dead = [i % known + 1 for i in letters[:3]] if known else []
        postponed = dict.fromkeys(i % known + 1 for i in deferred) if known else {}
        moves = [self._move(i % records, MOVED_TO[i % 3]) for i in moved[:3]] if records else []
        self._send(entries * repeats, dead, list(postponed), moves)

    @precondition(lambda self: self.model.pending)
    @rule(consumer=CONSUMERS, share=st.integers(1, 3), deferring=st.booleans())
    def commit_as_a_consumer_does(self, consumer: str, share: int, deferring: bool) -> None:
        own = [position for position, holder in self.model.pending.items() if holder == consumer]
        self._send(own[::share], [], own[::share] if deferring else [])

    @precondition(lambda self: self.model.records)
    @rule(new=st.sampled_from(MOVED_TO), share=st.integers(1, 2))
    def move_as_reclassification_does(self, new: tuple[str, ...], share: int) -> None:
        self._send([], [], [], [self._move(number, new) for number in list(self.model.records)[::share]])

    @rule(at_once=st.integers(1, 3))
    def announce(self, at_once: int) -> None:
        """Also what others have just announced: as often as there are instances."""
        noted = self.runner.run(self._due())
        sessions = sum(self.runner.run(self.ends.announce(noted)) for _ in range(at_once))
        assert sessions == self.model.announce()

    @precondition(lambda self: self.earlier)
    @rule(at=st.integers(0, 40))
    def repeat_an_earlier_commit(self, at: int) -> None:
        """A reply was lost, and the client does not know whether the script ran."""
        commit = self.earlier[at % len(self.earlier)]
        dead = [self._position(letter.entry_id) for letter in commit.dead_letters]
        deferred = [self._position(message.id) for message in commit.deferred]
        self._compare(commit, dead, deferred)

    @invariant()
    def redis_is_as_the_model(self) -> None:
        model = self.model
        pending = self.redis.xpending_range(STREAM, GROUP, "-", "+", 1000)
        assert {self._position(e["message_id"]): e["consumer"] for e in pending} == model.pending
        for board in BOARDS:
            if board in model.broken_boards:
                assert self.redis.get(board) == "of the wrong type"
            else:
                scores = dict(self.redis.zrange(board, 0, -1, withscores=True))
                _assert_close(scores, model.scores().get(board, {}), _ROUNDING)
        kept = self.redis.hgetall(StreamKeys(STREAM).failed_scores)
        _assert_close({name: float(seconds) for name, seconds in kept.items()}, model.kept_scores(), _ROUNDING)
        events = [(e["userId"], e["sessionDate"], e["session"]) for _, e in self.redis.xrange("session_score_stream")]
        assert events == [(user, "2025-09-02", str(session)) for user, session in model.announced]
        letters = [letter["originalId"] for _, letter in self.redis.xrange(StreamKeys(STREAM).dead_letters)]
        assert letters == [self._id(position) for position in model.dead]
        records = self.runner.run(self.deferred.after("0", 1000))
        assert [(r.user_id, r.duration) for r in records] == [
            (model.entries[position - 1].user, model.entries[position - 1].seconds)
            for position in model.records.values()
        ]

    async def _due(self) -> list[NotedEnd]:
        return [end async for page in self.ends.due(0.0) for end in page]

    def _send(
        self, entries: list[int], dead: list[int], deferred: Sequence[int] = (), moves: Sequence[Move] = ()
    ) -> None:
        postponed = [self._deferred(position) for position in deferred]
        postings = {self._id(position): self._posting(self.model.entries[position - 1]) for position in entries}
        commit = Commit(
            self._aggregated(entries), self._ends(entries), self._letters(dead), postponed, moves, postings
        )
        self.earlier.append(commit)
        self._compare(commit, dead, deferred)

    def _compare(self, commit: Commit, dead: list[int], deferred: Sequence[int]) -> None:
        entries = [self._position(entry_id) for entry in commit.entries for entry_id in entry.message_ids]
        ends = [position for position in entries + dead if self.model.entries[position - 1].is_end]
        numbers = {record.id: number for number, record in enumerate(self.records)}
        moves = [
            commit_model.Move(numbers[m.deferred_id], m.user_id, m.seconds, tuple(m.from_boards), tuple(m.to_boards))
            for m in commit.moves
        ]
        expected = self.model.commit(entries, ends, dead, deferred, moves)
        result: CommitResult = self.runner.run(self.commits.commit(commit))
        assert (result.messages, result.dead_letters, result.moved, result.duplicates) == expected
        last = self.records[-1].id if self.records else "0"
        self.records += self.runner.run(self.deferred.after(last, 1000))

    @invariant()
    def postings_are_the_boards(self) -> None:
        """With what was kept for replay."""
        sums: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for entry in self.runner.run(self.outbox.after("0-0", 10_000)):
            for posting in entry.postings:
                for board in filter(None, posting.category.split("|")):
                    sums[board, posting.user_id].append(posting.seconds)
        model = self.model
        wanted = {(board, user): parts for board, users in model.boards.items() for user, parts in users.items()}
        wanted |= model.kept
        for key in sums.keys() | wanted.keys():
            assert isclose(fsum(sums[key]), fsum(wanted.get(key, [])), rel_tol=1e-9, abs_tol=_ROUNDING), key

    def _deferred(self, position: int) -> DeferredMessage:
        _, user, _, seconds, *_ = self.model.entries[position - 1]
        return DeferredMessage(self._id(position), user, Window("a", "", ""), seconds, 1.5, "SNS", "d", "l")

    def _move(self, number: int, new: tuple[str, ...]) -> Move:
        """From the boards in which the message was counted."""
        record = self.records[number]
        old = self.model.entries[self.model.made[number] - 1].boards
        entry = self.model.entries[self.model.made[number] - 1]
        postings = self._posting(entry, -1), self._posting(entry._replace(boards=new))
        return Move(record.id, record.user_id, record.duration, old, new, postings=postings)

    def _posting(self, entry: Entry, sign: int = 1) -> Posting:
        """Its category names the boards."""
        category, seconds = "|".join(entry.boards), sign * entry.seconds
        return Posting(entry.user, "l", "2025-09-02", 1.5, seconds, "", 1, category, False, "", "", "", "")

    def _aggregated(self, positions: list[int]) -> list[LeaderboardEntry]:
        """One entry a user and set of boards, repeated ids included."""
        grouped: dict[tuple[str, tuple[str, ...]], LeaderboardEntry] = {}
        for position in positions:
            _, user, boards, seconds, _, _, log = self.model.entries[position - 1]
            entry = grouped.setdefault((user, boards), LeaderboardEntry(user, boards))
            entry.message_ids.append(self._id(position))
            entry.durations.append(seconds)
            entry.log_ids.append(log)
        return list(grouped.values())

    def _ends(self, positions: list[int]) -> list[SessionEnd]:
        found = [self.model.entries[position - 1] for position in positions]
        return [SessionEnd(self._id(e.position), Session(e.user, DAY, e.session)) for e in found if e.is_end]

    def _letters(self, positions: list[int]) -> list[DeadLetter]:
        found = [self.model.entries[position - 1] for position in positions]
        return [
            DeadLetter(
                self._id(e.position),
                "no good",
                {"n": str(e.position)},
                ends=Session(e.user, DAY, e.session) if e.is_end else None,
            )
            for e in found
        ]

    def _id(self, position: int) -> str:
        return self.ids[position - 1]

    def _position(self, entry_id: str) -> int:
        return self.ids.index(entry_id) + 1


def _assert_close(have: dict[str, float], want: dict[str, float], abs_tol: float = 0.0) -> None:
    assert have.keys() == want.keys()
    for name, value in want.items():
        assert isclose(have[name], value, rel_tol=1e-9, abs_tol=abs_tol), name


@contextmanager
def _machine_on(server: RedisServer, protocol: int) -> Iterator[type[CommitMachine]]:
    with asyncio.Runner() as runner, server.client(protocol=2) as redis:
        client = make_client(Settings(redis_addr=server.address).model_copy(update={"redis_protocol": protocol}))
        CommitMachine.redis, CommitMachine.runner = redis, runner
        limits = CommitLimits(10_000, 10_000, 3, events_max=1_000_000)
        CommitMachine.commits = RedisCommit(client, StreamKeys(STREAM), GROUP, "c1", limits)
        CommitMachine.outbox = RedisEventOutbox(client, StreamKeys(STREAM), "c1")
        CommitMachine.ends = RedisSessionEnds(client, StreamKeys(STREAM), GROUP, deliver=None)
        CommitMachine.deferred = RedisDeferredMessages(client, StreamKeys(STREAM), "one")
        CommitMachine.claims_drop_deleted = int(redis.info("server")["redis_version"].split(".")[0]) >= 7
        try:
            yield CommitMachine
        finally:
            runner.run(client.aclose())
            redis.flushall()


@pytest.fixture(scope="module")
def server_in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """No AOF: tens of thousands of steps are not to wait for a disk that other tests keep busy."""
    server = RedisServer(tmp_path_factory.mktemp("commit"), "--appendonly", "no").start()
    yield server
    server.stop()


@pytest.mark.timeout(900)  # thousands of examples, on a machine that may be busy
@pytest.mark.parametrize("protocol", [2, 3])
def test_boards_pending_and_events_agree_with_the_model_after_every_step(
    server_in_memory: RedisServer, protocol: int
) -> None:
    with _machine_on(server_in_memory, protocol) as machine:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples(150),
                phases=[Phase.explicit, Phase.generate],
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                report_multiple_bugs=False,
            ),
        )
