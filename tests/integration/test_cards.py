"""Focus cards from boards and logs: equal to an independent calculation, and written only where something changed."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import date, timedelta
from itertools import takewhile
from pathlib import Path

import pytest
from dependency_injector import providers

from domains.focusCard import runs as runs_module
from domains.focusCard.model import CardKey
from domains.kernel.errors import TaskRefused
from domains.leaderboard.model import Period
from infrastructure.composition.container import Container, card_worker, drain_cards, running_container
from infrastructure.redis.focus_cards import SCORES_AT_ONCE
from infrastructure.redis.keys import CardRunKeys
from infrastructure.settings import Settings
from tests.cards import Expected, Past, add, differences, make_past, remember
from tests.servers import RedisServer, redis_cluster

USERS = [f"사용자-{number:03}" for number in range(60)] + ["with\nnewline", "\udcffodd"]


async def run(container: Container, day: date | None = None) -> dict[str, object]:
    started = await container.card_runs().start(day)
    await drain_cards(container)
    ended, told = await container.card_runs().progress(started)
    assert ended
    return told


async def wrong(container: Container, past: Past, day: date) -> dict[object, object]:
    """What differs from the independent calculation, by user and period."""
    cards, wanted, found = container.cards(), Expected(past, day, container.cards().today()), {}
    for user in past.users:
        for period in Period:
            card = await cards.card(user, period, day)
            if bad := differences(dict(card.document), wanted.card(user, period.value)):
                found[user, period] = bad
    return found


@pytest.fixture
async def container(settings: Settings) -> AsyncIterator[Container]:
    """With a time after which no job is thought abandoned here: a job that is done twice has other figures."""
    async with running_container(settings.model_copy(update={"claim_idle_ms": 60_000})) as container:
        yield container


@pytest.fixture
async def past(container: Container) -> Past:
    today = container.cards().today()
    past = make_past(USERS[:-1], today - timedelta(days=40), today, container.settings().zone, a_day=2)
    await remember(container, past)
    return past


async def test_claims_of_an_earlier_version_do_not_stop_a_run(container: Container) -> None:
    """They were a HASH, and may lie in Redis for a week."""
    claims = CardRunKeys(container.settings().key_prefix).claimed("run:2025-09-02").replace(":claimed:", ":claims:")
    await container.redis().hset(claims, "ann", "0 board")
    notes = container.card_run_notes()

    assert await notes.claim("run:2025-09-02", "board", ["ann"]) == 1
    assert await notes.claimed("run:2025-09-02", "board", 0, 10) == ["ann"]


async def test_every_figure_of_every_card_is_that_of_the_logs_and_the_boards(
    container: Container, past: Past
) -> None:
    today = container.cards().today()

    told = await run(container)

    assert told["users"] == len(past.users)
    assert await wrong(container, past, today) == {}
    board = f"leaderboard:work:{Period.MONTH.label(today)}"
    on_board = dict(await container.redis().zrange(board, 0, -1, withscores=True))
    keys = [CardKey(user, Period.MONTH, Period.MONTH.days(today)[0]) for user in past.users]
    stored = await container.focus_cards().get(keys)
    cards = {key.user: card.document["focus_seconds"] for key, card in stored.items()}
    assert {user: total for user, total in cards.items() if total} == pytest.approx(on_board)


async def test_where_spring_has_archived_the_boards_the_logs_say_what_was_before(
    container: Container, past: Past, redis_server: RedisServer
) -> None:
    today = container.cards().today()
    now = {Period.DAY.label(today), Period.WEEK.label(today), Period.MONTH.label(today)}
    with redis_server.client() as client:
        client.delete(*(key for key in client.keys("leaderboard:*") if key.rpartition(":")[2] not in now))

    await run(container)

    assert await wrong(container, past, today) == {}


@pytest.mark.parametrize("late", [False, True])
async def test_archived_boards_that_late_messages_bring_back_are_not_believed_and_stored_ranks_stay(
    container: Container, past: Past, redis_server: RedisServer, late: bool
) -> None:
    ended = Period.WEEK.days(container.cards().today())[0] - timedelta(days=8)
    keys = [
        CardKey(user, period, period.days(ended)[0]) for user in past.users for period in (Period.DAY, Period.WEEK)
    ]

    async def documents() -> dict[CardKey, dict[str, object]]:
        stored = await container.focus_cards().get(keys)
        return {key: {**card.document, "as_of": ""} for key, card in stored.items()}

    await container.cards().refresh(past.users, ended)
    before = await documents()
    with redis_server.client() as client:
        client.delete(*client.keys("leaderboard:*"))
    if late:
        await add(container, make_past(["late"], ended - timedelta(days=9), ended, past.zone, seed=3).spans)
    with container.archives_boards.override(providers.Object(True)), container.cards.reset():
        written = await container.cards().refresh(past.users, ended)

    assert written.written > len(past.users)
    assert all(not differences(document, before[key]) for key, document in (await documents()).items())


@pytest.mark.parametrize("archived", [False, True])
async def test_a_card_of_a_period_that_has_ended_says_what_came_later(
    container: Container, past: Past, redis_server: RedisServer, archived: bool
) -> None:
    container.archives_boards.override(providers.Object(archived))
    container.cards.reset()
    cards, ended, user = container.cards(), container.cards().today() - timedelta(days=9), past.users[0]
    await cards.refresh(past.users, ended)
    right = await cards.card(user, Period.DAY, ended)
    assert await cards.card(user, Period.DAY, ended) == right, "made once"

    new = make_past([user], ended, ended, past.zone, seed=9).spans
    assert new
    if archived:
        with redis_server.client() as client:
            client.delete(*client.keys("leaderboard:*"))
    await add(container, new)
    past.spans += new
    later = await cards.card(user, Period.DAY, ended)

    wanted = Expected(past, ended, cards.today()).card(user, "day")
    if archived:  # the ranks that were stored stay
        wanted |= {name: right.document[name] for name in ("rank", "users")}
    assert differences(dict(later.document), wanted) == {}
    assert await cards.card(user, Period.DAY, ended) == later, "stored"


async def test_no_call_reads_more_scores_than_redis_may_be_held_for(
    container: Container, past: Past, redis_server: RedisServer
) -> None:
    today, many = container.cards().today(), [*past.users, *(f"nobody-{number}" for number in range(2000))]
    read = [0]
    with redis_server.client() as client, client.monitor() as monitor:
        await container.cards().refresh(many, today)
        client.echo("end")
        for command in takewhile("ECHO end".__ne__, (each["command"] for each in monitor.listen())):
            if command.startswith("EVALSHA"):
                read.append(0)
            elif command.startswith("ZMSCORE"):  # with the key and the users
                read[-1] += len(command.split()) - 2

    assert sum(read) > 4 * len(many) > SCORES_AT_ONCE >= max(read)
    assert await wrong(container, past, today) == {}


async def test_only_what_has_changed_is_written_again(container: Container, past: Past) -> None:
    today = container.cards().today()
    first = await run(container)
    again = await run(container)
    assert (again["written"], again["unchanged"]) == (0, first["written"])

    new = make_past([USERS[0]], today, today, container.settings().zone, seed=9)
    assert new.spans
    await add(container, new.spans)
    past.spans += new.spans
    third = await run(container)

    assert 0 < third["written"] < first["written"] / 2  # the user's, and those whose rank it has changed

    assert await wrong(container, past, today) == {}


@pytest.mark.parametrize(
    "changed", [{"focus_goal_minutes": 500}, {"work_categories": "Design"}, {"timezone": "Asia/Shanghai"}]
)
async def test_other_settings_make_other_cards(
    settings: Settings, container: Container, past: Past, changed: dict[str, object]
) -> None:
    today = container.cards().today()
    await run(container)

    async with running_container(settings.model_validate(settings.model_dump() | changed)) as other:
        await run(other, today)

        for user in past.users[:9]:
            cards = (
                await other.cards().card(user, Period.DAY, today),
                await other.cards().made_now(user, Period.DAY, today),
            )
            stored, now = ({**card.document, "as_of": ""} for card in cards)
            assert stored == now


async def test_one_run_is_under_way_at_a_time_and_can_be_taken_up_again(container: Container, past: Past) -> None:
    runs = container.card_runs()
    started = await runs.start()
    with pytest.raises(TaskRefused):
        await runs.start()

    with pytest.raises(TaskRefused):
        await runs.start(container.cards().today() - timedelta(days=100), resume=True)

    resumed = await runs.start(resume=True)
    await drain_cards(container)

    assert resumed.id == started.id
    assert (await runs.progress(started))[0]
    assert await wrong(container, past, container.cards().today()) == {}


async def test_a_board_that_is_done_again_counts_nobody_twice(
    container: Container, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "CHUNK", 10)
    monkeypatch.setattr(runs_module, "_CLAIMED_AT_ONCE", 7)
    runs, queue = container.card_runs(), container.card_boards_queue()
    started = await runs.start()
    jobs = await queue.take(1000)
    for job in jobs:
        await runs.do_board(job)
    added = await container.redis().xrange("pomocore:cards:users")
    chunks = [json.loads(json.loads(fields["data"])["users"]) for _, fields in added]
    assert chunks == [sorted(chunk) for chunk in chunks], "neighbours in the store are together"
    await card_worker(container, "users").run(asyncio.Event(), until_drained=True)
    written = (await runs.progress(started))[1]["written"]

    for job in jobs:
        await container.redis().zrem(str(job.data["board"]), USERS[3])
        await runs.do_board(job)
        await queue.done(job)
    await drain_cards(container)

    _, told = await runs.progress(started)
    assert (told["users"], told["written"]) == (len(past.users), written)


async def test_a_board_of_many_users_is_cut_in_bounded_memory(
    container: Container, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are sorted some at a time; whoever is on several boards is in one chunk."""
    many = [f"{number:032x}" for number in range(40_000)]
    for category in ("Design", "work"):
        board = f"leaderboard:{category}:{Period.MONTH.label(container.cards().today())}"
        await container.redis().zadd(board, dict.fromkeys(many, 1.0))
    monkeypatch.setattr(runs_module, "_SORTED_AT_ONCE", 2_000)
    runs = container.card_runs()
    await runs.start()
    jobs = await container.card_boards_queue().take(1000)
    tracemalloc.start()
    try:
        for job in jobs:
            await runs.do_board(job)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    added = await container.redis().xrange("pomocore:cards:users")
    users = [user for _, fields in added for user in json.loads(json.loads(fields["data"])["users"])]
    on_board = set(many) | set(past.users)
    assert set(many) <= set(users) <= on_board
    assert len(users) == len(set(users))
    assert held < 2_500_000


async def test_a_run_on_a_cluster_whose_boards_lie_in_many_slots(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    with redis_cluster(tmp_path / "cluster") as (server, *_):
        settings = Settings(redis_addr=server.address, redis_cluster=True, data_dir=tmp_path, claim_idle_ms=60_000)
        async with running_container(settings) as container:
            today = container.cards().today()
            past = make_past(USERS[:5], today - timedelta(days=10), today, settings.zone, a_day=2)
            await remember(container, past)

            await run(container)

            assert await wrong(container, past, today) == {}
