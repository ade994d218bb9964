"""The invariants, which compare the results with the model when all faults are over and all instances have ended."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from math import fsum, isclose
from typing import Any
from zoneinfo import ZoneInfo

from domains.leaderboard.service import BoardCalendar
from infrastructure.redis.event_outbox import RedisEventOutbox
from tests.chaos import stream
from tests.chaos.model import (
    UNCATEGORIZED,
    Log,
    Model,
    Session,
    by_llm,
    midnight,
    number_of_letter,
)
from tests.chaos.postgres_store import Store
from tests.chaos.world import World
from tests.chaos.write_faults import REFUSED

_ROUNDING = 1e-5
"""Seconds. Scores of up to 1e8 are raised and lowered in any order, so they may differ by this much."""


async def judge_session(store: Store, logs: Sequence[Log], patient: bool) -> str | None:
    """What is wrong with a session's logs at the moment of its event; None if Spring would score it right.

    Not `patient`: where ANNOUNCE_PATIENCE may be over, a log about which the LLM could not say anything yet has the
    category that is right without the LLM.

    Logs that the store was told to refuse are left out, since their messages may be dead letters by now.
    """
    found: defaultdict[float, list[dict[str, Any]]] = defaultdict(list)
    for document in await store.logs_of(logs[0].session) if logs else ():
        found[document["timestamp"]].append(document)
    for log in logs:
        if log.session.user.startswith(REFUSED):
            continue
        documents = found[log.timestamp]
        if len(documents) != 1:
            return f"message {log.message.number} has {len(documents)} usage logs when the end is announced"
        name = await store.category_name(documents[0].get("categoryId"))
        if name != log.category and (patient or name != log.fallback):
            return f"message {log.message.number} is {name}, not {log.category}, when the end is announced"
    return None


async def check_all(world: World, expected: Model, seen: list[Session]) -> None:
    for check in (
        _boards(world, expected),
        _postings(world, expected),
        _logs(world, expected),
        _windows(world, expected),
        _events(world, expected, seen),
        _dead_letters(world, expected),
        _stream(world),
    ):
        count = 0
        async for divergence in check:
            if (count := count + 1) <= 3:
                world.report.diverged(divergence)


async def _boards(world: World, expected: Model) -> AsyncIterator[str]:
    boards = expected.boards
    found = {key async for key in world.client.scan_iter("leaderboard:*", count=1000)}
    for key in sorted(found - boards.keys()):
        yield f"board {key!r} exists, and no message counts in it"
    for key, scores in sorted(boards.items()):
        if (kind := await world.client.type(key)) != "zset":
            yield f"board {key!r} is a {kind}"
            continue
        actual = dict(await world.client.zrange(key, 0, -1, withscores=True))
        for user in sorted(actual.keys() | scores.keys()):
            have, want = actual.get(user), scores.get(user)
            if have is None and want == 0:
                continue  # no seconds may be no score: a board that could not take them does not get them later
            if have is None or want is None or not isclose(have, want, rel_tol=1e-9, abs_tol=_ROUNDING):
                yield f"board {key!r}, user {user!r}: the score is {have}, the sum of the durations {want}"
        if await world.client.ttl(key) != -1:
            yield f"board {key!r} expires"
    for keys in world.streams:
        if kept := await world.client.hgetall(keys.failed_scores):
            yield f"scores are still kept for replay: {kept}"


async def _postings(world: World, expected: Model) -> AsyncIterator[str]:
    """The sums of what commits have posted are the boards, and nothing has to be left out for that."""
    sums: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    calendar = BoardCalendar(ZoneInfo("Asia/Seoul"))
    for keys in world.streams:
        for entry in await RedisEventOutbox(world.client, keys, "chaos").after("0-0", 1_000_000):
            if entry.unreadable:
                yield f"the postings of {entry.id} cannot be read: {entry.unreadable}"
            for posting in entry.postings:
                for board in calendar.boards(posting.category, posting.timestamp).keys:
                    sums[board, posting.user_id].append(posting.seconds)
    wanted = {(board, user): score for board, scores in expected.boards.items() for user, score in scores.items()}
    for board, user in sorted(sums.keys() | wanted.keys()):
        have, want = fsum(sums[board, user]), wanted.get((board, user), 0.0)
        if not isclose(have, want, rel_tol=1e-9, abs_tol=_ROUNDING):
            yield f"board {board!r}, user {user!r}: the sum of the postings is {have}, of the durations {want}"


async def _logs(world: World, expected: Model) -> AsyncIterator[str]:
    found: defaultdict[float, list[dict[str, Any]]] = defaultdict(list)
    async for document in world.store.logs.find():
        found[document["timestamp"]].append(document)
    for log in expected.all_logs:
        documents = found.pop(log.timestamp, [])
        if len(documents) != 1:
            yield f"message {log.message.number} has {len(documents)} usage logs: {log.message.fields}"
            continue
        for divergence in await _log(world.store, log, documents[0]):
            yield divergence
    for documents in found.values():
        yield f"a usage log of no message: {documents[0]}"


async def _log(store: Store, log: Log, document: dict[str, Any]) -> list[str]:
    fields = log.message.fields
    want = {
        "userId": log.session.user,
        "session": int(log.session.number),
        "sessionMinutes": int(fields.get("sessionMinutes", 0)),
        "duration": float(fields["duration"]),
        "categoryId": log.category,
        "sessionDate": midnight(log.session.date),
    }
    have = {
        **{name: document.get(name) for name in want},
        "categoryId": await store.category_name(document.get("categoryId")),
        "sessionDate": document["sessionDate"].timestamp(),
    }
    wrong = [f"{name} {have[name]!r} instead of {want[name]!r}" for name in want if have[name] != want[name]]
    if "pomodoroUsageLogId" in fields and str(document["_id"]) != fields["pomodoroUsageLogId"]:
        wrong.append(f"_id {document['_id']} instead of the one in the message")
    return [f"usage log of message {log.message.number}: {', '.join(wrong)}"] if wrong else []


async def _windows(world: World, expected: Model) -> AsyncIterator[str]:
    store = world.store
    documents = {found["_id"]: found async for found in store.windows.find()}
    logs = {found["timestamp"]: found async for found in store.logs.find()}
    given = {log.message.fields.get("categorizedDataId") for log in expected.all_logs}
    made = Counter(_window(found) for _id, found in documents.items() if str(_id) not in given)
    for window, count in made.items():
        if count > 1:
            yield f"the pipeline made {count} documents of the window {window}"
    for log in expected.all_logs:
        fields = log.message.fields
        window_id = logs.get(log.timestamp, {}).get("CategorizedDataId")
        found = documents.get(window_id)
        if found is None:
            yield f"message {log.message.number}: its categorized_data {window_id} does not exist"
            continue
        name, is_llm_based = await store.category_name(found.get("categoryId")), _is_llm_based(world, log)
        if _window(found) != _window(fields) or name != log.category:
            yield f"message {log.message.number}: its window is {found}, category {name}, not {log.category}"
        elif is_llm_based is not None and found.get("IsLLMBased") is not is_llm_based:
            yield f"message {log.message.number}: its window is {found}, IsLLMBased not {is_llm_based}"
    names = Counter([found["category"] async for found in store.patterns.find()])
    if twice := [name for name, count in names.items() if count > 1]:
        yield f"categories that exist more than once: {twice}"


def _window(fields: Any) -> tuple[str, ...]:
    return tuple(fields.get(name) or "" for name in ("app", "url", "title"))


def _is_llm_based(world: World, log: Log) -> bool | None:
    """None if both values are right: it is not specified who decided that a window is Uncategorized."""
    if log.category == UNCATEGORIZED:
        return None
    return world.llm is not None and by_llm(log.message.fields)


async def _events(world: World, expected: Model, seen: list[Session]) -> AsyncIterator[str]:
    entries = await world.client.xrange(stream.EVENTS)
    events = Counter(Session(e["userId"], e["sessionDate"], e["session"]) for _, e in entries)
    for session, count in events.items():
        if session not in expected.ended:
            yield f"{session} was announced, and has not ended"
        elif count > 1:
            yield f"{session} was announced {count} times"
    for session in sorted(expected.ended - events.keys()):
        yield f"{session} has ended, and was not announced"
    if Counter(seen) != events:
        yield f"the reader saw {len(seen)} events, the stream holds {len(entries)}: some were lost or rewritten"


async def _dead_letters(world: World, expected: Model) -> AsyncIterator[str]:
    wanted = {message.number: message for message in expected.dead}
    count: Counter[int | None] = Counter()
    ids = await stream.published_ids(world.client, world.streams)
    letters = [letter for keys in world.streams for letter in await world.client.xrange(keys.dead_letters)]
    for entry_id, letter in letters:
        number = number_of_letter(letter.get("fields", ""))
        count[number] += 1
        if number not in wanted:
            yield f"dead letter {entry_id} is of a good message: {letter}"
        elif not letter.get("reason"):
            yield f"dead letter {entry_id} has no reason: {letter}"
        elif not world.replays and letter.get("originalId") != ids[str(number)]:
            yield f"dead letter {entry_id} came as {letter.get('originalId')}, was published as {ids[str(number)]}"
    for number, message in wanted.items():
        if count[number] != 1:
            yield f"bad message {number} is in the dead letters {count[number]} times: {message.fields}"


async def _stream(world: World) -> AsyncIterator[str]:
    if left := await stream.backlog(world.client, world.streams):
        yield left
