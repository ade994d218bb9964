"""The pipeline on a Redis Cluster of three masters: boards lie in other slots than the stream, and are exact."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import Connection
from redis.exceptions import ConnectionError

from domains.kernel.errors import RedisOutage
from domains.kernel.window import Window
from domains.leaderboard.model import LeaderboardEntry
from domains.patternClassifier.ports import Reservation
from domains.patternClassifier.questions import Question
from domains.pomodoro.model import Commit, DeferredMessage, Move, Session, SessionEnd
from infrastructure.composition.container import Container, running_container
from infrastructure.composition.user_data import user_data_of
from infrastructure.redis.client import guarded
from infrastructure.redis.commit import CommitLimits, RedisCommit
from infrastructure.redis.event_outbox import RedisEventOutbox
from infrastructure.redis.outbox import OutboxCommit
from infrastructure.redis.publisher import StreamPublisher
from infrastructure.sample import sample_week
from infrastructure.settings import Settings
from infrastructure.spring.message_spelling import spring_fields
from tests.messages import message
from tests.servers import RedisServer, redis_cluster

BOARDS = ("leaderboard:Development:2025-09-02", "leaderboard:work:2025-M9", "leaderboard:work:2025-W36")


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@pytest.fixture
async def container(
    masters: list[RedisServer], tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Container]:
    for master in masters:
        with master.client() as client:
            client.flushall()
    settings = Settings(
        redis_addr=masters[0].address,
        redis_cluster=True,
        data_dir=tmp_path,
        block_ms=50,
        claim_idle_ms=300,
        **getattr(request, "param", {}),
    )
    async with running_container(settings) as container:
        yield container


async def boards_of(container: Container, masters: list[RedisServer]) -> dict[str, dict[str, float]]:
    boards = {}
    for master in masters:
        with master.client() as client:
            for key in client.scan_iter("*leaderboard:*", _type="zset"):
                boards[key] = dict(client.zrange(key, 0, -1, withscores=True))
    return boards


async def committed(container: Container, *ids: str) -> OutboxCommit:
    """A commit port, with entries of these ids pending in the stream."""
    keys, commits = container.keys(), container.partition().commits()
    await container.partition().source().ensure_group()
    for entry_id in ids:
        await container.redis().xadd(keys.stream, {"n": "1"}, id=entry_id)
    await container.partition().source().read_new(100, 10)
    return commits


@pytest.mark.parametrize(
    "container",
    [{}, {"stream_partitions": 3}, {"key_prefix": "{pomocore}:"}],
    ids=["boards in other slots", "partitioned", "one slot"],
    indirect=True,
)
async def test_the_sample_week_gives_exact_boards_and_one_event_a_session(
    container: Container, masters: list[RedisServer]
) -> None:
    spans = list(sample_week())[:2000]
    whole = [span for span in spans if any(s.is_end and _session(s) == _session(span) for s in spans)]
    await container.classifier().load()
    expected = _expected(container, whole)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for part in container.partitions():
            group.create_task(part.consumer().run(stop))
        for first in range(0, len(whole), 500):
            await container.publisher().publish([_fields(span) for span in whole[first : first + 500]])
        async with asyncio.timeout(60):
            while await boards_of(container, masters) != expected:
                await asyncio.sleep(0.1)
            announced = 0
            while announced < sum(span.is_end for span in whole):
                announced += sum([await part.announcer().announce_all() for part in container.partitions()])
        events = await container.redis().xrange(container.keys().session_scores)
        stop.set()
    ends = sorted((span.user_id, str(span.session_date), str(span.session)) for span in whole if span.is_end)
    assert sorted((e["userId"], e["sessionDate"], e["session"]) for _, e in events) == ends


async def test_a_delivery_that_broke_off_is_finished_by_the_next_commit_once(
    container: Container, masters: list[RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = await committed(container, "1-1", "2-1")
    settle = commits._settle

    async def broken(*_: object) -> int:
        raise RedisOutage("cut after the boards were served")

    monkeypatch.setattr(commits, "_settle", broken)
    await commits.commit(Commit([LeaderboardEntry("u", BOARDS, ["1-1"], [1.5])]))
    monkeypatch.setattr(commits, "_settle", settle)
    second = LeaderboardEntry("u", BOARDS, ["2-1"], [2.0])
    await commits.commit(Commit([second]))
    await commits.commit(Commit([second]))

    assert await boards_of(container, masters) == {board: {"u": 3.5} for board in BOARDS}
    assert await container.redis().xlen(container.keys().outbox) == 0


async def test_instances_that_deliver_the_same_entries_count_them_once(
    container: Container, masters: list[RedisServer]
) -> None:
    ids = [f"{n}-1" for n in range(1, 41)]
    commits = await committed(container, *ids)
    others = [
        OutboxCommit(
            container.redis(), container.keys(), container.settings().stream_group, "one", CommitLimits(100, 100, 3)
        )
        for _ in range(3)
    ]
    async with asyncio.TaskGroup() as group:
        for number, entry_id in enumerate(ids):
            entry = LeaderboardEntry("u", BOARDS, [entry_id], [1.0])
            group.create_task([commits, *others][number % 4].commit(Commit([entry])))
    await commits.commit(Commit())
    assert await boards_of(container, masters) == {board: {"u": 40.0} for board in BOARDS}


async def test_a_board_of_the_wrong_type_keeps_its_score_for_replay(
    container: Container, masters: list[RedisServer]
) -> None:
    commits = await committed(container, "1-1")
    await container.redis().set(BOARDS[0], "not a board")
    result = await commits.commit(Commit([LeaderboardEntry("u", BOARDS, ["1-1"], [1.5])]))
    assert (result.messages, result.scores, result.failed_scores) == (1, 2, 1)

    await container.redis().delete(BOARDS[0])
    scores = container.failed_scores()
    (kept,) = await scores.all()
    assert await scores.replay(kept)
    await commits.commit(Commit())
    assert await boards_of(container, masters) == {board: {"u": 1.5} for board in BOARDS}
    assert await scores.all() == []


async def test_an_end_is_announced_once_through_the_outbox(container: Container) -> None:
    from datetime import date

    commits = await committed(container, "1-1", "2-1")
    end = SessionEnd("2-1", Session("u", date(2025, 9, 2), 3))
    entry = LeaderboardEntry("u", BOARDS, ["2-1"], [1.0])
    announcer = container.partition().announcer()
    await commits.commit(Commit([entry], [end]))
    assert await announcer.announce_all() == 0
    assert await container.redis().xlen(container.keys().session_scores) == 0

    await commits.commit(Commit([LeaderboardEntry("u", BOARDS, ["1-1"], [1.0])]))
    assert [await announcer.announce_all() for _ in range(2)] == [1, 0]
    ((_, event),) = await container.redis().xrange(container.keys().session_scores)
    assert event == {"userId": "u", "sessionDate": "2025-09-02", "session": "3"}


@pytest.mark.parametrize("container", [{"stream_partitions": 3}], indirect=True)
async def test_each_stream_has_its_figures_wherever_its_slot_is(container: Container) -> None:
    await container.publisher().publish([message(userId=f"user-{number}") for number in range(9)])
    await container.state().refresh()
    checks = await container.state().checks()

    assert sum(figures.undelivered for figures in container.state().gauges.streams or ()) == 9
    assert checks["redis"].ok


def _session(span: object) -> tuple[object, ...]:
    return span.user_id, span.session_date, span.session  # type: ignore[attr-defined]


def _expected(container: Container, spans: list[object]) -> dict[str, dict[str, float]]:
    boards: dict[str, dict[str, float]] = {}
    classifier, calendar = container.classifier(), container.calendar()
    for span in spans:
        window = Window(span.app, span.url, span.title)  # type: ignore[attr-defined]
        category = (classifier.at_once(window) or classifier.snapshot.fallback(window)).category
        for board in calendar.boards(category, span.timestamp).keys:  # type: ignore[attr-defined]
            scores = boards.setdefault(board, {})
            scores[span.user_id] = scores.get(span.user_id, 0.0) + span.duration  # type: ignore[attr-defined]
    return boards


def _fields(span: object) -> dict[str, str]:
    names = ["user_id", "app", "title", "url", "duration", "timestamp", "session", "session_minutes", "is_end"]
    wire = ["userId", "app", "title", "url", "duration", "timestamp", "session", "sessionMinutes", "isEnd"]
    fields = {w: getattr(span, name) for name, w in zip(names, wire, strict=True)}
    return spring_fields(fields | {"sessionDate": str(span.session_date)})  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", [AttributeError, RuntimeError])
@pytest.mark.parametrize("pipelined", [False, True])
async def test_a_connection_closed_under_a_call_is_an_outage(
    container: Container, monkeypatch: pytest.MonkeyPatch, cls: type[Exception], pipelined: bool
) -> None:
    async def closed(*_: object, **__: object) -> None:
        raise cls("the transport is gone")

    client = container.redis()
    await client.get("any")  # connects
    monkeypatch.setattr(Connection, "send_packed_command", closed)
    score = ("leaderboard:SNS:2025-09-02", "u")

    with pytest.raises(RedisOutage, match="the transport is gone"):
        await (container.leaderboard().having({score}) if pipelined else guarded(client, client.get("any")))


async def test_masters_that_a_pipeline_does_not_find_are_an_outage(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none_answers(_: object) -> None:
        raise ConnectionError("none of the masters answers")

    outbox = RedisEventOutbox(container.redis(), container.keys(), "one")
    monkeypatch.setattr(RedisCluster, "initialize", none_answers)

    for call in (outbox.state(), outbox.quality(["h"]), outbox.sessions("2025-09-02")):
        with pytest.raises(RedisOutage, match="none of the masters answers"):
            await call


async def test_what_was_published_is_not_sent_again_where_the_reply_is_lost(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, publisher = container.redis(), StreamPublisher(container.redis(), [container.keys()])
    await publisher.publish([{"userId": "a"}])  # connects
    read, lost = Connection.read_response, []

    async def lose_the_first(self: Connection, *args: Any, **kwargs: Any) -> Any:
        reply = await read(self, *args, **kwargs)
        if not lost:
            lost.append(reply)
            raise ConnectionError("cut")
        return reply

    monkeypatch.setattr(Connection, "read_response", lose_the_first)

    with pytest.raises(RedisOutage):
        await publisher.publish([{"userId": "b"}])

    assert await client.xlen(container.keys().stream) == 2


# Deferred messages, and what instances share about the LLM

OLD = (
    "leaderboard:Uncategorized:2025-09-02",
    "leaderboard:Uncategorized:2025-W36",
    "leaderboard:Uncategorized:2025-M9",
)


async def deferring(container: Container, *ids: str) -> OutboxCommit:
    """A commit port, after it has committed messages of these ids as deferred ones, of 1.5 seconds each."""
    commits = await committed(container, *ids)
    key = Window("Frobnicator", "", "")
    messages = [DeferredMessage(id_, "u", key, 1.5, 1756771234.0, "Uncategorized", "d", "l") for id_ in ids]
    await commits.commit(Commit([LeaderboardEntry("u", OLD, list(ids), [1.5] * len(ids))], deferred=messages))
    return commits


async def moves(container: Container) -> list[Move]:
    return [
        Move(r.id, r.user_id, r.duration, OLD, BOARDS) for r in await container.partition().deferred().after("0", 100)
    ]


async def test_deferred_messages_move_once_through_the_outbox(
    container: Container, masters: list[RedisServer]
) -> None:
    commits = await deferring(container, "1-1", "2-1", "3-1")
    made = await moves(container)
    assert await container.leaderboard().having({(board, "u") for board in (*OLD, *BOARDS)}) == {
        (board, "u") for board in OLD
    }

    assert (await commits.commit(Commit(moves=made[:2]))).moved == 2
    assert await boards_of(container, masters) == {board: {"u": 1.5} for board in OLD} | {
        board: {"u": 3.0} for board in BOARDS
    }
    results = await asyncio.gather(*(commits.commit(Commit(moves=made)) for _ in range(3)))

    assert sum(result.moved for result in results) == 1
    assert await boards_of(container, masters) == {board: {"u": 4.5} for board in BOARDS}
    assert await container.partition().deferred().after("0", 100) == []


async def test_a_move_that_a_board_does_not_take_adds_up_after_its_replay(
    container: Container, masters: list[RedisServer]
) -> None:
    commits = await deferring(container, "1-1")
    await container.redis().rename(OLD[0], f"{{{OLD[0]}}}aside")
    for board in (OLD[0], BOARDS[0]):
        await container.redis().set(board, "no board")
    result = await commits.commit(Commit(moves=await moves(container)))
    assert (result.moved, result.failed_scores) == (1, 2)

    await container.redis().delete(OLD[0], BOARDS[0])
    await container.redis().rename(f"{{{OLD[0]}}}aside", OLD[0])
    for kept in await container.failed_scores().all():
        assert await container.failed_scores().replay(kept)
    await commits.commit(Commit())
    assert await boards_of(container, masters) == {board: {"u": 1.5} for board in BOARDS}


@pytest.mark.parametrize("container", [{}, {"key_prefix": "{pomocore}:"}], ids=["", "one slot"], indirect=True)
async def test_answers_budget_and_lease_are_shared_on_a_cluster(container: Container) -> None:
    question = Question("Frobnicator", "", "")
    await container.classification_cache().put_many({question: "SNS"})

    assert await container.classification_cache().get_many([question]) == {question: "SNS"}
    assert isinstance(await container.llm_budget().reserve("user-1", 7), Reservation)
    assert await container.partition().deferred().lease(30.0)


async def test_a_user_is_erased_whose_scores_are_on_their_way(
    container: Container, masters: list[RedisServer]
) -> None:
    commits = await committed(container, "1-1", "2-1")
    entries = [
        LeaderboardEntry(user, BOARDS, [entry_id], [60.0], [None])
        for user, entry_id in (("ann", "1-1"), ("ben", "2-1"))
    ]
    await RedisCommit.commit(commits, Commit(entries))  # as one that is killed before it delivers
    assert await boards_of(container, masters) == {}

    erased = await user_data_of(container).erase("ann")

    assert erased == {"boards": len(BOARDS)}
    assert await boards_of(container, masters) == {board: {"ben": 60.0} for board in BOARDS}
