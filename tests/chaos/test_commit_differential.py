"""The commit script against a plain one, on the same random commits: what they leave is the same to the bit.

Each has a database of one server for itself. Which Redis that is decides PATH, as everywhere in the tests.
"""

import asyncio
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from domains.leaderboard.model import LeaderboardEntry
from domains.pomodoro.model import Commit, Session, SessionEnd
from infrastructure.redis import scripts
from infrastructure.redis.client import make_client
from infrastructure.redis.commit import CommitLimits, RedisCommit
from infrastructure.redis.keys import StreamKeys
from infrastructure.settings import Settings
from tests.depth import examples
from tests.servers import RedisServer

STREAM, GROUP = "commit_stream", "commit_group"
BOARDS = [f"leaderboard:{category}:{day}" for category in ("work", "Game") for day in ("2025-09-02", "2025-W36")]
BROKEN = "leaderboard:broken:2025-09-02"
SETS = [tuple(BOARDS), tuple(BOARDS[:2]), tuple(BOARDS[2:]), (BOARDS[0], BROKEN), ()]
LOGS = [f"68b6a3f0{number:016x}" for number in range(60)] + ["000000010000000000000001", None, None]
COMMITS = 6


def seconds_of(rng: random.Random) -> float:
    """Of all sizes, also such as no board takes, and with all bits, so that another order of sums would show."""
    return rng.choice([rng.random() * 1e3, rng.expovariate(1 / 120), rng.randrange(3000) / 8, 0.0, 1e291, 5e-324])


def commits_of(rng: random.Random, ids: list[str]) -> Iterator[Commit]:
    """Commits of some of the messages, of which most come more than once, as after a claim or a lost reply."""
    users = [f"user {number}" for number in range(rng.choice([2, 40, 5000]))]
    of_message = {id_: (rng.choice(users), rng.choice(SETS), seconds_of(rng), rng.choice(LOGS)) for id_ in ids}
    for _ in range(COMMITS):
        entries: dict[tuple[str, tuple[str, ...]], LeaderboardEntry] = {}
        chosen = rng.sample(ids, rng.randrange(1, len(ids)))
        for id_ in chosen:
            user, boards, seconds, log = of_message[id_]
            entry = entries.setdefault((user, boards), LeaderboardEntry(user, boards))
            entry.message_ids.append(id_)
            entry.durations.append(seconds)
            entry.log_ids.append(log)
        ends = [SessionEnd(id_, Session(of_message[id_][0], date(2025, 9, 2), 1)) for id_ in chosen[::7]]
        yield Commit(list(entries.values()), ends)


def plain_script() -> str:
    text, needed = (Path(__file__).parent / "plain_commit.lua").read_text(encoding="utf-8"), dict[str, str]()
    scripts._add_needs(text, needed)
    return "".join(needed.values()) + text


def contents(client: Any) -> dict[str, Any]:
    """All that is in a database, scores as Redis spells them, and what is still pending."""
    read = {
        "zset": lambda key: client.execute_command("ZRANGE", key, 0, -1, "WITHSCORES", NEVER_DECODE=True),
        "set": lambda key: sorted(client.execute_command("SMEMBERS", key, NEVER_DECODE=True)),
        "hash": client.hgetall,
        "string": client.get,
        "stream": lambda key: [each["message_id"] for each in client.xpending_range(key, GROUP, "-", "+", 10_000)],
    }
    return {key: read[client.type(key)](key) for key in sorted(client.keys())}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, "--appendonly", "no").start()
    yield server
    server.stop()


@pytest.mark.timeout(900)
def test_it_leaves_what_the_plain_script_leaves(server: RedisServer) -> None:
    clients = [make_client(Settings(redis_addr=server.address, redis_db=number)) for number in (0, 1)]
    limits = CommitLimits(10_000, 10_000, 3)
    commits = [RedisCommit(client, StreamKeys(STREAM), GROUP, "c1", limits) for client in clients]
    commits[1]._script = clients[1].register_script(plain_script())
    raised = kept = 0
    with asyncio.Runner() as runner, server.client(db=0) as one, server.client(db=1) as plain:
        for seed in range(examples(60)):
            rng = random.Random(seed)
            ids = [f"{1000 + number}-{number % 3}" for number in range(rng.choice([8, 400, 3000]))]
            for redis in (one, plain):
                fill(redis, ids)
            for commit in commits_of(rng, ids):
                results = [runner.run(each.commit(commit)) for each in commits]
                raised, kept = raised + results[0].scores, kept + results[0].failed_scores

                new, old = [(each.messages, each.duplicates) for each in results]
                assert new == old, f"seed {seed}"
            assert contents(one) == contents(plain), f"seed {seed}"
        for client in clients:
            runner.run(client.aclose())
    assert min(raised, kept) > 0, "both what is raised and what is kept was compared"


def fill(redis: Any, ids: list[str]) -> None:
    """All messages are delivered, apart from some at the end of the stream, which are not."""
    redis.flushdb()
    redis.set(BROKEN, "of the wrong type")
    redis.zadd(BOARDS[0], {"user 0": 0.1, "user 1": 1e15 + 0.5})
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    with redis.pipeline(transaction=False) as pipeline:
        for id_ in ids:
            pipeline.xadd(STREAM, {"n": "1"}, id=id_)
        pipeline.execute()
    redis.xreadgroup(GROUP, "c1", {STREAM: ">"}, count=len(ids) * 9 // 10)
