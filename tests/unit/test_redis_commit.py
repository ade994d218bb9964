"""How commits are sent. What the script does is in tests/contract/test_commit.py."""

import asyncio
from dataclasses import asdict
from typing import Any

from domains.pomodoro.model import Commit, CommitResult
from infrastructure.redis.commit import CommitLimits, RedisCommit
from infrastructure.redis.keys import StreamKeys


class SlowClient:
    """Answers a script after some turns of the loop, and counts how many it has at once."""

    def __init__(self) -> None:
        self.under_way = self.most = self.calls = 0

    def register_script(self, _: str) -> "SlowClient":
        return self

    async def __call__(self, keys: list[Any], args: list[Any]) -> list[Any]:
        self.calls += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            for _ in range(5):
                await asyncio.sleep(0)
            if self.calls == 2:
                raise asyncio.CancelledError
        finally:
            self.under_way -= 1
        return [text for field in asdict(CommitResult()).items() for text in field]


async def test_one_script_is_under_way_at_a_time_and_one_that_is_given_up_holds_up_no_other() -> None:
    client: Any = SlowClient()
    commits = RedisCommit(client, StreamKeys("stream"), "group", "one", CommitLimits(1, 1, 3))

    results = await asyncio.gather(*[commits.commit(Commit()) for _ in range(5)], return_exceptions=True)

    assert (client.calls, client.most) == (5, 1)
    assert [type(result) for result in results].count(CommitResult) == 4
