"""All that is kept of a user is found, and nothing of it is left once it was erased, wherever one looks."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from time import time
from typing import Any

import pytest

from domains.collector.erasures import erasures_of
from domains.collector.model import Form, Position, Post, Record, archive_key, raw_key
from domains.focusCard.model import CardKey, StoredCard
from domains.kernel.errors import RedisOutage
from domains.kernel.window import Window
from domains.leaderboard.model import Period
from domains.pomodoro.model import Commit, DeadLetter, DeferredMessage, Session
from domains.replay.service import Wanted
from domains.userData.model import Held, PersonalItem
from domains.userData.service import UserData
from domains.workQueue.model import NewJob
from infrastructure.collector.archive import FileArchive
from infrastructure.collector.record_format import encode
from infrastructure.collector.sealing import seal_records
from infrastructure.composition.container import Container, running_container
from infrastructure.composition.replay import span_reader
from infrastructure.composition.user_data import elsewhere, forget_files, user_data_of
from infrastructure.replay.local_engine import LocalEngine
from infrastructure.settings import Settings
from tests.messages import categorized, data_id, linked_message, log_id, message, patterns, usage_log

ANN, BEN = "ann-of-this-test*[?]", "ben-of-this-test"
DAY = date(2025, 9, 2)
SEGMENT = 1_756_800_000_000


def everything_in(redis: Any, settings: Settings) -> str:
    """Every store that a test can read, as one text: keys and values of Redis, and the files of SQLite."""
    redis.connection_pool.disconnect()
    redis.connection_pool.connection_kwargs["encoding_errors"] = "surrogateescape"
    texts = []
    for key in redis.scan_iter():
        kind = redis.type(key)
        read = {
            "string": redis.get, "list": lambda key: redis.lrange(key, 0, -1), "set": redis.smembers,
            "zset": lambda key: redis.zrange(key, 0, -1, withscores=True), "hash": redis.hgetall,
            "stream": redis.xrange,
        }  # fmt: skip
        texts += [key, str(read[kind](key))]
    files = [path for path in settings.data_dir.rglob("*") if path.is_file() and "archive" not in path.parts]
    texts += [path.read_bytes().decode("utf-8", "replace") for path in files]
    return "\n".join(texts)


@asynccontextmanager
async def filled(settings: Settings) -> AsyncIterator[Container]:
    """Of both users, everything that there can be of one."""
    async with running_container(settings) as container:
        await container.category_patterns().save_all(patterns())
        await container.classifier().load()
        part = container.partition()
        await part.source().ensure_group()
        for number, user in enumerate((ANN, BEN), 1):
            await container.categorized_data().save_all([categorized(number, "App", "", f"diary of {user}")])
            await container.usage_logs().save_all([usage_log(number, user_id=user)])
            sent = [
                message(userId=user, isEnd="true"),
                linked_message(number, userId=user),
                message(userId=user, app="A"),
                message(userId=user, app="B"),
            ]
            await container.publisher().publish(sent)
            batch = (await part.source().read_new(4, 100)).messages
            decided, _ = part.batches().decide(batch, {})
            assert len(decided) == 4
            commit = part.batches().commit_of(decided[:3])
            deferred = DeferredMessage(
                batch[2].entry_id, user, batch[2].window, 1.0, 1.756771234e9, "SNS", data_id(9), log_id(9),
                Session(user, DAY, 3),
            )  # fmt: skip
            letter = DeadLetter(batch[3].entry_id, "no", batch[3].fields)
            await part.commits().commit(
                Commit(commit.entries, commit.ends, [letter], [deferred], (), commit.postings)
            )
            await part.commits().deferring({"9-9": Session(user, DAY, 4)})
            ends = [end async for page in part.session_ends().due(0.0) for end in page]
            if user == ANN:
                await part.session_ends().announce(ends)
            document = {"rank": 1, "users": 1, "as_of": "2025-09-02T00:00:00Z", "user": user}
            await container.focus_cards().put([StoredCard(CardKey(user, Period.DAY, DAY), 1, "s", document)])
            await container.card_run_notes().claim("run:2025-09-02", "board", [user])
            await container.audit().note("admin", "corrected", f"a window of {user}", "done")
            await container.redis().hset(container.keys().failed_scores, f"leaderboard:SNS:2025-W36\n{user}", "12.5")
        await container.publisher().publish([message(userId=ANN), message(userId=BEN)])
        yield container


@pytest.fixture
def with_events(any_settings: Settings) -> Settings:
    return any_settings.model_copy(update={"events": True, "deferred_max": 100})


async def test_nothing_of_an_erased_user_is_left_anywhere(with_events: Settings, redis_client: Any) -> None:
    async with filled(with_events) as container:
        data = user_data_of(container)
        held = await data.held(ANN)
        assert ANN in everything_in(redis_client, with_events)
        assert held.keys() >= {
            "messages on the stream", "dead letters", "deferred messages", "session events", "audit", "boards",
            "kept scores", "ended sessions", "sessions under way", "card claims", "events that wait", "usage logs",
            "windows", "focus cards",
        }  # fmt: skip
        before_of_ben = await data.held(BEN)

        erased = await data.erase(ANN)
        await forget_files(container, with_events)

        assert {place: Held(count) for place, count in erased.items()} == held
        assert await data.held(ANN) == {}
        assert ANN not in everything_in(redis_client, with_events)
        assert await _documents_naming(container, ANN) == []
        assert not await data.erase(ANN)
        after = await data.held(BEN)
        assert {**before_of_ben, "events that wait": Held(2)} == {**after, "events that wait": Held(2)}
        assert {str(DAY)} == redis_client.smembers(container.keys().events_stale), "Ben's events come again"


async def test_nothing_is_left_in_the_files_of_the_embedded_stores(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    files = [tmp_path / name for name in ("appendonly.aof", "appendonlydir", "pomocore.db", "pomocore.db-wal")]

    def written() -> bytes:
        inside = [path for file in files if file.exists() for path in (file, *file.glob("*")) if path.is_file()]
        return b"".join(path.read_bytes() for path in inside)

    async with filled(settings) as container:
        await container.corrections().correct(ANN, Window("App", "", f"diary of {ANN}"), "SNS", "min")
        assert ANN.encode() in written()
        await container.redis().config_set("rdbcompression", "no")  # it may hide what is there

        await user_data_of(container).erase(ANN)
        await forget_files(container, settings)

        assert ANN.encode() not in written()
        assert BEN.encode() in written()


async def _documents_naming(container: Container, user: str) -> list[object]:
    if container.settings().mongo_uri is None:
        return []
    database = container.mongo_database()
    names = ["usage_log", "categorized_data", "focus_card", "pomodoro_usage_log"]
    documents = [document for name in names async for document in database[name].find()]
    return [document for document in documents if user in str(document)]


async def test_what_is_handed_out_is_only_the_users(settings: Settings) -> None:
    async with filled(settings) as container:
        items = [item async for item in user_data_of(container).export(ANN)]

    text = json.dumps([item.data for item in items], ensure_ascii=False)
    assert BEN not in text
    assert f"diary of {ANN}" in text


async def test_a_message_that_is_being_processed_counts_nothing_once_it_was_erased(
    settings: Settings, redis_client: Any
) -> None:
    async with running_container(settings) as container:
        await container.category_patterns().save_all(patterns())
        await container.classifier().load()
        part = container.partition()
        await part.source().ensure_group()
        await container.publisher().publish([message(userId=ANN)])
        batch = (await part.source().read_new(1, 100)).messages
        decided, _ = part.batches().decide(batch, {})

        await user_data_of(container).erase(ANN)
        result = await part.commits().commit(part.batches().commit_of(decided))

        assert result.messages == 0
        assert redis_client.keys("leaderboard:*") == []


async def test_a_rebuild_that_is_under_way_does_not_bring_anybody_back(settings: Settings, redis_client: Any) -> None:
    async with filled(settings) as container:
        rebuild = container.board_rebuild()
        await rebuild.begin()
        await rebuild.put("leaderboard:SNS:2025-09-02", {ANN: 10.0, BEN: 10.0})

        await user_data_of(container).erase(ANN)

        with pytest.raises(Exception, match="another rebuild has begun"):
            await rebuild.swap(["leaderboard:SNS:2025-09-02"])
        await container.sqlite().forget()
        assert ANN not in everything_in(redis_client, settings)


async def test_a_job_that_names_the_user_is_left_until_its_run_has_ended(settings: Settings) -> None:
    async with running_container(settings) as container:
        users = json.dumps([BEN, ANN])
        await container.card_users_queue().add([NewJob("key", {"users": users, "anchor": "2025-09-02"}, "")])
        data = user_data_of(container)

        assert not await data.erase(ANN)
        assert await data.held(ANN) == {"jobs under way": Held(1)}


async def test_boards_that_are_springs_are_listed_and_stay(settings: Settings, redis_client: Any) -> None:
    redis_client.zadd("leaderboard:sessionScore:2025-09-02", {ANN: 9.0})
    async with running_container(settings) as container:
        data = user_data_of(container)

        assert not await data.erase(ANN)
        assert await data.held(ANN) == {"boards": Held(0, 1)}


async def test_where_spring_is_its_own_places_are_named(mongo_settings: Settings) -> None:
    async with running_container(mongo_settings) as container:
        assert "Spring" in elsewhere(container)[0]


async def test_erasing_that_broke_off_anywhere_goes_on_when_it_is_repeated(settings: Settings) -> None:
    settings = settings.model_copy(update={"events": True})
    async with filled(settings) as container:
        stores = user_data_of(container).stores
        for number in range(len(stores)):
            data = UserData([*stores[:number], Broken(), *stores[number:]])
            with pytest.raises(RedisOutage):
                await data.erase(ANN)

        await user_data_of(container).erase(ANN)

        assert await user_data_of(container).held(ANN) == {}


class Broken:
    async def of_user(self, user_id: str) -> AsyncIterator[PersonalItem]:
        return
        yield

    async def erase(self, user_id: str) -> Counter[str]:
        raise RedisOutage("away")


async def test_exported_events_are_found_by_the_pseudonym(settings: Settings, redis_client: Any) -> None:
    settings = settings.model_copy(update={"events": True})
    async with filled(settings) as container:
        assert await container.event_exporter().drain() == 6
        data = user_data_of(container)
        assert (await data.held(ANN))["exported events"] == Held(3)

        await data.erase(ANN)

        assert await data.held(ANN) == {}
        assert (await data.held(BEN))["exported events"] == Held(3)


# The archive and the log of the collector


def _records(*users: str, received: float = 1e9) -> list[Record]:
    bodies = [json.dumps(dict(message(userId=user))).encode() for user in users]
    return [
        Record(Position(1, n), Position(1, n + 1), Post(received, "", "", Form.JSON, body))
        for n, body in enumerate(bodies)
    ]


async def test_what_was_collected_is_hidden_by_a_tombstone(settings: Settings, tmp_path: Path) -> None:
    archive = FileArchive(settings.data_dir / "archive")
    await archive.put(archive_key("one", SEGMENT), seal_records("one", SEGMENT, _records(ANN, BEN), 0).data)
    log = settings.data_dir / "collector"
    log.mkdir(parents=True)
    (log / "0000000000002.log").write_bytes(b"".join(encode(record.post) for record in _records(ANN, BEN, ANN)))
    async with running_container(settings) as container:
        await container.category_patterns().save_all(patterns())
        data = user_data_of(container)
        assert await data.held(ANN) == {
            "archive of collected spans": Held(1), "log of collected spans": Held(2)
        }  # fmt: skip

        await data.erase(ANN)

        assert await data.held(ANN) == {}
        assert len(await data.held(BEN)) == 2
        engine = LocalEngine(archive, span_reader(settings, patterns()))
        spans = [span async for page in engine.spans(Wanted(DAY, DAY, None)) for span in page]
        assert [span.user_id for span in spans] == [BEN]
        assert ANN not in " ".join(map(str, (settings.data_dir / "archive").rglob("*"))), "a tombstone names nobody"
        later = _records(ANN, received=time() + 60)
        await archive.put(archive_key("one", SEGMENT + 1), seal_records("one", SEGMENT + 1, later, 0).data)
        assert await data.held(ANN) == {"archive of collected spans": Held(1)}, "somebody has come back"


async def test_what_the_collector_cannot_read_is_searched_for_the_bytes_of_the_id(settings: Settings) -> None:
    archive, log = FileArchive(settings.data_dir / "archive"), settings.data_dir / "collector"
    bodies = [f'{{"userId": "{user}", "title": "diary of {user}"'.encode() for user in (ANN, BEN)]
    posts = [Post(1e9, "", "", Form.JSON, body) for body in bodies] + [Post(1e9, ANN, "", Form.JSON, b"not json")]
    records = [Record(Position(1, 0), Position(1, 1), post) for post in posts]
    await archive.put(raw_key("one", SEGMENT), seal_records("one", SEGMENT, records, 0).raw)
    await archive.put(raw_key("one", SEGMENT + 1), bodies[0] + b"\n" + bodies[1])  # as earlier versions wrote it
    (log / "corrupt").mkdir(parents=True)
    (log / "corrupt" / "1.log").write_bytes(encode(posts[1]) + b"?" + encode(posts[0])[8:])
    (log / "2.log").write_bytes(encode(posts[0]))
    files = [path for path in settings.data_dir.rglob("*") if path.is_file()]
    async with running_container(settings) as container:
        data = user_data_of(container)
        exported = [item.data async for item in data.export(ANN)]
        assert [item.get("key", item.get("segment")) for item in exported] == [
            "2.log", raw_key("one", SEGMENT), raw_key("one", SEGMENT + 1), "corrupt/1.log"
        ]  # fmt: skip
        assert "diary" not in str(exported), "nobody knows whose it is"

        assert await data.erase(ANN) == {"unreadable spans": 3}

        assert [path.name for path in files if ANN.encode() in path.read_bytes()] == ["2.log"]
        assert await data.held(ANN) == {"unreadable spans": Held(1)}, "the collector has still to archive it"
        assert await archive.get(raw_key("one", SEGMENT)) == encode(posts[1])
        assert (log / "corrupt" / "1.log").read_bytes() == encode(posts[1])
        later = seal_records("one", SEGMENT, records[1:], 0, await erasures_of(archive))
        assert later.raw == encode(posts[1]), "it is known whose the other one is"


async def test_without_an_archive_the_collectors_directory_is_searched_all_the_same(settings: Settings) -> None:
    log = settings.data_dir / "collector"
    (log / "corrupt").mkdir(parents=True)
    (log / "2.log").write_bytes(b"".join(encode(record.post) for record in _records(ANN, BEN)))
    (log / "corrupt" / "1.log").hardlink_to(log / "2.log")  # as the collector sets it aside
    async with running_container(settings.model_copy(update={"app_env": "prod"})) as container:
        data = user_data_of(container)
        assert await data.held(ANN) == {"log of collected spans": Held(1), "unreadable spans": Held(1)}

        assert await data.erase(ANN) == {"unreadable spans": 1}

        assert ANN.encode() not in (log / "corrupt" / "1.log").read_bytes()
        assert await data.held(ANN) == {"log of collected spans": Held(1)}, "until the stream has it"
