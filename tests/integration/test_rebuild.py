"""Boards made anew on a real Redis while messages come, wait, move and are parked, against an independent sum."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import date
from math import fsum
from random import Random
from typing import Any

import pytest

from domains.kernel.errors import RedisOutage, StoreOutage, TaskRefused
from domains.leaderboard.model import Period
from domains.operations.model import Selection
from domains.operations.service import replay_letters
from domains.pomodoro.model import CategoryUpdate, Commit, DeadLetter, Move, PomodoroUsageLog
from domains.pomodoro.rebuild import LeaderboardRebuild, Rebuilt
from domains.pomodoro.service import Decided, Span, document_ids
from infrastructure.composition.container import Container, running_container
from infrastructure.redis.rebuild import RedisBoardRebuild
from infrastructure.settings import Settings
from infrastructure.spring.message_spelling import java_double
from tests.chaos.model import boards_of
from tests.messages import DEVELOPMENT, data_id, linked_message, message, patterns, unix_seconds, usage_log

DAY = date(2025, 9, 2)
MONTH = "leaderboard:{}:2025-M9"
TIMES = ["2025-08-31T23:59:59", "2025-09-01T00:00:00", "2025-09-02T12:00:00", "2025-09-07T23:00:00"]
TIMES += ["2025-09-08T00:00:01", "2025-09-30T23:59:59", "2025-10-01T00:00:00"]
UNKNOWN = "An app that no rule knows"
CATEGORIES = {"Visual Studio Code": "Development", "카카오톡": "SNS", "Notion": "Documentation"}


class Traffic:
    """Messages taken through the pipeline step by step, and what the boards are to be."""

    def __init__(self, container: Container, redis: Any, seed: int = 0) -> None:
        self._container = container
        self._redis = redis
        self._rng = Random(seed)
        self._published = 0
        self._sent: list[dict[str, str]] = []
        self._counted: set[str] = set()
        self._read: list[Any] = []
        self._written: list[Decided] = []
        self.expected: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    async def publish(self, count: int = 3) -> None:
        """Of both kinds, in random windows, at times before, in and after the periods of DAY."""
        for _ in range(count):
            self._published += 1
            number, rng = self._published, self._rng
            fields = {
                "userId": rng.choice(["user-1", "사용자 둘", "two\nlines"]),
                "app": rng.choice([*CATEGORIES, UNKNOWN]),
                "duration": java_double(rng.choice([0.1, 1e-3, 8e4, rng.uniform(1, 600)])),
                "timestamp": unix_seconds(rng.choice(TIMES)),
            }
            if rng.random() < 0.5:
                await self._container.usage_logs().save_all([self._log(number, fields)])
                sent = linked_message(number, **fields)
                self._sent.append(sent)
                await self._container.publisher().publish([sent])
            else:
                await self._container.publisher().publish([message(title=f"title {number}", **fields)])

    async def send_again(self) -> None:
        """As Spring's producer does after a failed send, also of what has long been committed."""
        if self._sent:
            await self._container.publisher().publish([self._rng.choice(self._sent)])

    async def read(self, count: int = 5) -> None:
        self._read += (await self._container.partition().source().read_new(count, 1)).messages

    async def write(self, count: int = 3) -> None:
        """Decides and writes the documents; what no rule knows is deferred."""
        taken, self._read = self._read[:count], self._read[count:]
        batches, classifier = self._container.partition().batches(), self._container.classifier()
        for each in taken:
            found = classifier.at_once(each.window) or classifier.snapshot.fallback(each.window)
            item = Decided(Span(each), found, deferred=each.window.app == UNKNOWN)
            assert await batches.write([item]) == {}
            self._written.append(item)

    async def commit(self, count: int = 2) -> None:
        self._rng.shuffle(self._written)
        taken, self._written = self._written[:count], self._written[count:]
        for item in taken:
            result = (
                await self._container.partitions()[0]
                .commits()
                .commit(self._container.partition().batches().commit_of([item]))
            )
            assert result.messages == 1
            log_id = item.span.message.pomodoro_usage_log_id
            assert result.duplicates == (log_id in self._counted)
            if not result.duplicates:
                self._count(item.classification.category, item.span.message, item.span.message.duration)
            if log_id:
                self._counted.add(log_id)

    async def park(self) -> None:
        """After its documents were written, as where only some of them could be."""
        for item in self._written[:1]:
            self._written.remove(item)
            letter = DeadLetter(item.span.message.entry_id, "cannot be committed", item.span.message.fields)
            assert (
                await self._container.partition().commits().commit(Commit(dead_letters=[letter]))
            ).dead_letters == 1

    async def replay(self) -> None:
        await replay_letters(self._container.dead_letters(), Selection())

    async def move(self) -> None:
        """The oldest deferred message becomes Development: documents first, and then the boards, unless they wait."""
        for record in await self._container.partition().deferred().after("0", 1):
            updates = [CategoryUpdate([record.pomodoro_usage_log_id], DEVELOPMENT, True)]
            await self._container.usage_logs().update_category_all(updates)
            calendar = self._container.calendar()
            old, new = (calendar.boards(name, record.timestamp).keys for name in (record.category, "Development"))
            move = Move(record.id, record.user_id, record.duration, old, new)
            if (await self._container.partition().commits().commit(Commit(moves=[move]))).moved:
                self._count(record.category, record, -record.duration)
                self._count("Development", record, record.duration)

    async def finish(self) -> None:
        """Whatever is still under way is committed or moved."""
        await self.replay()
        while self._read or self._written or await self._container.backlog().uncommitted(1):
            await self.read(100)
            await self.write(100)
            await self.commit(100)
        while await self._container.partition().deferred().after("0", 1):
            await self.move()

    async def step(self) -> None:
        steps = [
            self.publish,
            self.send_again,
            self.read,
            self.write,
            self.commit,
            self.commit,
            self.move,
            self.park,
            self.replay,
        ]
        await self._rng.choice(steps)()

    def boards(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for key in self._redis.keys("leaderboard:*"):
            if self._redis.type(key) == "zset":
                found[key] = dict(self._redis.zrange(key, 0, -1, withscores=True))
        return found

    def check(self, without: str = "-") -> None:
        """`without`: boards in whose keys this text stands are not looked at."""
        sums = {
            board: {user: score for user, parts in users.items() if abs(score := fsum(parts)) > 1e-6}
            for board, users in self.expected.items()
            if without not in board or without == "-"
        }
        found = {board: users for board, users in self.boards().items() if without not in board or without == "-"}
        assert {board: pytest.approx(users, rel=1e-9) for board, users in sums.items() if users} == found

    def _count(self, category: str, of: Any, seconds: float) -> None:
        for board in boards_of(category, of.timestamp):
            self.expected[board][of.user_id].append(seconds)

    def _log(self, number: int, fields: dict[str, str]) -> PomodoroUsageLog:
        numbers = {name: float(fields[name]) for name in ("timestamp", "duration")}
        return usage_log(number, user_id=fields["userId"], **numbers)


@pytest.fixture
async def container(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Container]:
    monkeypatch.setattr("infrastructure.sqlite.repositories._PAGE", 7)
    monkeypatch.setattr("infrastructure.redis.rebuild._PAGE", 3)
    async with running_container(settings) as container:
        await container.category_patterns().save_all(patterns())
        await container.classifier().load()
        await container.partition().source().ensure_group()
        yield container


@pytest.fixture
def traffic(container: Container, redis_client: Any) -> Traffic:
    return Traffic(container, redis_client)


async def silent(done: Rebuilt) -> None:
    pass


async def rebuild(container: Container, *periods: Period) -> Rebuilt:
    return await container.leaderboard_rebuild().rebuild(periods or list(Period), DAY, silent)


class Interrupted(LeaderboardRebuild):
    """Does something between the pages of logs."""

    def __init__(self, container: Container, between: Any) -> None:
        super().__init__(
            container.board_rebuild, container.usage_logs(), container.category_patterns(), container.calendar()
        )
        self._between = between

    async def run(self) -> Rebuilt:
        return await self.rebuild(list(Period), DAY, self._between)


@pytest.mark.parametrize("seed", range(6))
async def test_boards_are_exact_while_messages_come_and_move(
    container: Container, redis_client: Any, seed: int
) -> None:
    traffic = Traffic(container, redis_client, seed)
    for _ in range(60):
        await traffic.step()
    stop = asyncio.Event()

    async def go_on() -> None:
        while not stop.is_set():
            await traffic.step()

    async with asyncio.TaskGroup() as group:
        group.create_task(go_on())
        for _ in range(4):
            await rebuild(container)
        stop.set()
    traffic.check()
    await traffic.finish()
    traffic.check()
    await rebuild(container)
    traffic.check()


async def test_what_happens_between_the_pages_counts_once(container: Container, traffic: Traffic) -> None:
    await traffic.publish(40)
    await traffic.read(40)
    await traffic.write(30)  # ten are pending without, ten with a category in their logs
    await traffic.commit(20)

    async def between(done: Rebuilt) -> None:
        await traffic.commit(1)
        await traffic.publish(2)
        await traffic.read(2)
        await traffic.write(2)
        await traffic.move()

    done = await Interrupted(container, between).run()

    assert done.logs > 7 * 2, "several pages"
    traffic.check()


async def test_what_was_lost_and_what_is_too_much_is_mended(
    container: Container, traffic: Traffic, redis_client: Any
) -> None:
    await traffic.publish(60)
    await traffic.read(60)
    await traffic.write(60)
    await traffic.commit(60)
    redis_client.delete(MONTH.format("Development"))
    redis_client.zincrby(MONTH.format("SNS"), 1000, "user-1")
    redis_client.zadd(MONTH.format("Entertainment"), {"nobody": 1})

    done = await rebuild(container, Period.MONTH)

    traffic.check()
    assert done.boards == sum(key.endswith(":2025-M9") for key in traffic.boards())
    assert all(redis_client.ttl(board) == -1 for board in traffic.boards())
    assert redis_client.keys("*rebuild*") == []


async def test_other_periods_are_left_alone(container: Container, traffic: Traffic, redis_client: Any) -> None:
    await traffic.publish(30)
    await traffic.read(30)
    await traffic.write(30)
    await traffic.commit(30)
    redis_client.zadd("leaderboard:SNS:2025-W36", {"nobody": 1})
    redis_client.zadd("leaderboard:SNS:2025-M8", {"nobody": 1})

    await rebuild(container, Period.DAY, Period.MONTH)

    assert traffic.boards()["leaderboard:SNS:2025-W36"]["nobody"] == 1
    assert traffic.boards()["leaderboard:SNS:2025-M8"]["nobody"] == 1


async def test_a_board_of_the_wrong_type_is_replaced_and_nothing_of_it_is_kept_for_replay(
    container: Container, traffic: Traffic, redis_client: Any
) -> None:
    redis_client.set(MONTH.format("SNS"), "of the wrong type")
    redis_client.set("leaderboard:SNS:2025-M8", "of the wrong type")
    await traffic.publish(60)
    await traffic.read(60)
    await traffic.write(60)
    await traffic.commit(40)

    async def between(done: Rebuilt) -> None:
        await traffic.commit(2)  # kept for replay, and noted for the rebuild
        for score in await container.failed_scores().all():
            await container.failed_scores().replay(score)

    await Interrupted(container, between).run()

    traffic.check(without="2025-M8")
    assert {score.board for score in await container.failed_scores().all()} == {"leaderboard:SNS:2025-M8"}


async def test_a_parked_message_does_not_count_until_it_is_replayed(container: Container, traffic: Traffic) -> None:
    await traffic.publish(12)
    await traffic.read(12)
    await traffic.write(12)
    for _ in range(6):
        await traffic.park()
    await traffic.commit(12)

    async def between(done: Rebuilt) -> None:
        await traffic.replay()
        await traffic.read(6)
        await traffic.write(3)
        await traffic.commit(2)

    await Interrupted(container, between).run()
    traffic.check()
    await traffic.finish()
    traffic.check()


async def test_a_deferred_message_counts_where_its_record_says(container: Container, traffic: Traffic) -> None:
    """Also where its documents have their new category already, and only the commit of the move is still to come."""
    fields = {"app": UNKNOWN, "timestamp": unix_seconds("2025-09-02T12:00:00")}
    (entry_id,) = await container.publisher().publish([message(**fields)])
    await traffic.read()
    await traffic.write()
    await traffic.commit()
    (record,) = await container.partition().deferred().after("0", 1)
    assert document_ids(Span(next(iter([await _message(container, entry_id)]))), container.keys().stream)[1] == (
        record.pomodoro_usage_log_id
    )
    await container.usage_logs().update_category_all(
        [CategoryUpdate([record.pomodoro_usage_log_id], DEVELOPMENT, True)]
    )

    await rebuild(container)

    traffic.check()
    await traffic.move()
    traffic.check()
    assert "Development" in "".join(traffic.boards())


async def _message(container: Container, entry_id: str) -> Any:
    ((_, fields),) = await container.redis().xrange(container.keys().stream, entry_id, entry_id)
    return container.parser().parse(entry_id, fields)


async def test_a_move_waits_for_the_end_of_a_rebuild(container: Container, traffic: Traffic) -> None:
    await container.publisher().publish([message(app=UNKNOWN)])
    await traffic.read()
    await traffic.write()
    await traffic.commit()
    waiting = []

    async def between(done: Rebuilt) -> None:
        await traffic.move()
        waiting.extend(await container.partition().deferred().after("0", 1))

    await Interrupted(container, between).run()

    assert len(waiting) == 1
    await traffic.move()
    traffic.check()


async def test_the_stream_is_not_trimmed_of_what_a_rebuild_has_to_look_at(
    container: Container, traffic: Traffic, redis_client: Any
) -> None:
    await traffic.publish(20)
    await traffic.read(20)
    await traffic.write(20)
    await traffic.commit(10)
    begun = container.board_rebuild()
    await begun.begin()
    uncounted = set(await begun.uncounted())
    await traffic.commit(10)
    await traffic.publish(5)
    await traffic.read(5)
    await traffic.write(5)
    await traffic.commit(5)

    await container.partition().source().tidy()
    fresh = len(set(await begun.uncounted()) - uncounted)
    await begun.abandon()
    await container.partition().source().tidy()

    assert (len(uncounted), fresh) == (10, 5)
    assert redis_client.xlen(container.keys().stream) <= 1


# Rebuilds that do not come to their end


async def _committed(traffic: Traffic) -> None:
    await traffic.publish(40)
    await traffic.read(40)
    await traffic.write(40)
    await traffic.commit(25)


async def test_one_that_fails_leaves_boards_exact_and_nothing_behind(
    container: Container, traffic: Traffic, redis_client: Any
) -> None:
    await _committed(traffic)

    async def between(done: Rebuilt) -> None:
        await traffic.commit(2)
        raise StoreOutage("away")

    with pytest.raises(StoreOutage):
        await Interrupted(container, between).run()

    traffic.check()
    assert redis_client.keys("*rebuild*") == []
    await rebuild(container)
    traffic.check()


async def test_one_that_dies_leaves_boards_exact_and_the_next_one_takes_its_place(
    container: Container, traffic: Traffic, redis_client: Any
) -> None:
    await _committed(traffic)
    dead = container.board_rebuild()
    await dead.begin()
    await dead.put(MONTH.format("SNS"), {"nobody": 1.0})
    await traffic.commit(5)
    traffic.check()

    await rebuild(container)

    traffic.check()
    with pytest.raises(TaskRefused, match="another rebuild"):
        await dead.swap([MONTH.format("SNS")])
    traffic.check()
    assert 0 < redis_client.ttl(next(iter(redis_client.keys("*rebuild*")))) <= 3600


@pytest.mark.parametrize("lost", ["what was noted", "a new board"])
async def test_one_that_lost_something_is_refused(
    container: Container, traffic: Traffic, redis_client: Any, lost: str
) -> None:
    await _committed(traffic)
    begun = container.board_rebuild()
    await begun.begin()
    await begun.put(MONTH.format("SNS"), {"nobody": 1.0})
    note, shadow = container.keys().rebuild, f"{container.keys().rebuild}:*"
    redis_client.delete(*([note] if lost == "what was noted" else redis_client.keys(shadow)))

    with pytest.raises(TaskRefused):
        await begun.swap([MONTH.format("SNS")])

    traffic.check()


async def test_a_commit_that_cannot_be_noted_ends_the_rebuild(
    container: Container, traffic: Traffic, redis_client: Any
) -> None:
    await _committed(traffic)
    begun = container.board_rebuild()
    await begun.begin()
    await traffic.publish(5)
    await traffic.read(5)
    await traffic.write(40)
    for board in (MONTH.format(name) for name in ("SNS", "Development", "Documentation", "Uncategorized")):
        for user in ("user-1", "사용자 둘", "two\nlines"):
            redis_client.hset(container.keys().rebuild, f"{board}\n{user}", "no number")
    await traffic.commit(40)

    traffic.check()
    with pytest.raises(TaskRefused):
        await begun.renew()


async def test_what_a_rebuild_notes_expires_where_nobody_renews_it(container: Container, redis_client: Any) -> None:
    begun: RedisBoardRebuild = container.board_rebuild()
    await begun.begin()
    redis_client.pexpire(container.keys().rebuild, 1000)

    await begun.renew()

    assert 1000 < redis_client.pttl(container.keys().rebuild) <= 30_000


async def test_away_is_away(container: Container, traffic: Traffic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of the last step is lost: the boards are new, and the caller does not know."""
    await _committed(traffic)
    begun = container.board_rebuild()
    swap = begun.swap

    async def swap_unheard(boards: Any, days: Any) -> int:
        await swap(boards)
        raise RedisOutage("the answer is lost")

    monkeypatch.setattr(begun, "swap", swap_unheard)
    rebuilding = LeaderboardRebuild(
        lambda: begun, container.usage_logs(), container.category_patterns(), container.calendar()
    )

    with pytest.raises(RedisOutage):
        await rebuilding.rebuild(list(Period), DAY, silent)

    traffic.check()


async def test_partitions_are_rebuilt_together(settings: Settings, redis_client: Any) -> None:
    """Each has a cut of its own."""
    async with running_container(settings.model_copy(update={"stream_partitions": 3})) as container:
        await container.category_patterns().save_all(patterns())
        calendar, keys = container.calendar(), container.partition_keys()
        logs = [
            usage_log(n, user_id=f"user-{n}", category_id=DEVELOPMENT, duration=10.0 * n)
            for n in range(1, len(keys) + 1)
        ]
        await container.usage_logs().save_all(logs)
        begun = container.board_rebuild()
        await begun.begin()
        for number, each in enumerate(keys, 1):
            redis_client.hincrbyfloat(each.rebuild, f"{MONTH.format('SNS')}\nuser-{number}", 5.0)
        await begun.put(MONTH.format("Development"), {log.user_id: log.duration for log in logs})
        await begun.swap([MONTH.format("Development"), MONTH.format("SNS")])
        assert calendar.boards_of_period(["SNS"], Period.MONTH, DAY).count(MONTH.format("SNS")) == 1

    assert dict(redis_client.zrange(MONTH.format("SNS"), 0, -1, withscores=True)) == {
        "user-1": 5.0,
        "user-2": 5.0,
        "user-3": 5.0,
    }
    assert redis_client.zscore(MONTH.format("Development"), "user-3") == 30.0


async def test_logs_of_a_category_that_is_gone_are_told_of(container: Container, traffic: Traffic) -> None:
    await container.usage_logs().save_all(
        [usage_log(1, category_id=data_id(99)), usage_log(2, category_id=DEVELOPMENT)]
    )

    done = await rebuild(container)

    assert (done.logs, done.unknown) == (2, 1)
    assert traffic.boards()[MONTH.format("Development")] == {"user-1": 120.0}
