"""Streams as an operator sees them, in memory, on one Redis and on a cluster, behind the same harness."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from redis.cluster import RedisCluster

from domains.leaderboard.model import LeaderboardEntry
from domains.operations.ports import (
    CountersPort,
    DeadLettersPort,
    FailedScoresPort,
    InstanceSnapshotsPort,
    StreamFiguresPort,
    TaskQueuePort,
)
from domains.pomodoro.model import Commit, DeadLetter
from domains.pomodoro.ports import CommitPort, MessageSourcePort
from infrastructure.composition.container import Container, running_container
from infrastructure.memory.leaderboard import InMemoryLeaderboard
from infrastructure.memory.operations import (
    InMemoryCounters,
    InMemoryDeadLetters,
    InMemoryFailedScores,
    InMemoryInstanceSnapshots,
    InMemoryStreamFigures,
    InMemoryTaskQueue,
    InMemoryTasks,
)
from infrastructure.memory.stream import InMemoryCommit, InMemoryMessageSource, InMemoryStream
from infrastructure.redis.task_queue import RedisTaskQueue
from infrastructure.settings import Settings
from tests.messages import message, parser
from tests.servers import RedisServer

CHANNEL = "contract:status"


class Operations(Protocol):
    """Two partitions: what a test does to them, and the ports through which it looks at them."""

    letters: DeadLettersPort
    scores: FailedScoresPort
    figures: StreamFiguresPort
    counters: CountersPort
    snapshots: InstanceSnapshotsPort
    streams: Sequence[str]
    sources: Sequence[MessageSourcePort]
    commits: Sequence[CommitPort]

    async def add(self, partition: int, fields: Mapping[str, str]) -> str: ...

    async def entry(self, partition: int, entry_id: str) -> Mapping[str, str]:
        """The fields of an entry of the stream."""

    async def refuse(self, board: str, refuses: bool) -> None:
        """From now on the board takes no score, or does again."""

    async def board(self, board: str) -> dict[str, float]: ...

    async def queue(self) -> TaskQueuePort:
        """Of another instance."""

    async def end_lease(self) -> None:
        """As its time does."""


async def park(side: Operations, partition: int, *letters: DeadLetter | str) -> list[str]:
    """Parks messages, whose reasons may be all that is said of them. Returns the ids under which they were read."""
    ids = []
    for letter in letters:
        await side.add(partition, message())
        (read,) = (await side.sources[partition].read_new(1, 1000)).messages
        parked = DeadLetter(read.entry_id, letter, read.fields) if isinstance(letter, str) else letter
        fields = {name: getattr(parked, name) for name in DeadLetter.__dataclass_fields__} | {
            "entry_id": read.entry_id
        }
        await side.commits[partition].commit(Commit(dead_letters=[DeadLetter(**fields)]))
        ids.append(read.entry_id)
    return ids


async def fail_scores(side: Operations, partition: int, boards: Sequence[str], user: str, seconds: float) -> None:
    """Commits a message whose boards get `seconds`."""
    await side.add(partition, message())
    (read,) = (await side.sources[partition].read_new(1, 1000)).messages
    await side.commits[partition].commit(Commit([LeaderboardEntry(user, tuple(boards), [read.entry_id], [seconds])]))


class MemoryOperations:
    def __init__(self) -> None:
        self._streams = [InMemoryStream(f"stream:{number}") for number in range(2)]
        self._boards = InMemoryLeaderboard()
        self._tasks = InMemoryTasks()
        self.letters = InMemoryDeadLetters(*self._streams)
        self.scores = InMemoryFailedScores(self._boards, *self._streams)
        self.figures = InMemoryStreamFigures(*self._streams)
        self.counters = InMemoryCounters()
        self.snapshots = InMemoryInstanceSnapshots()
        self.streams = [stream.name for stream in self._streams]
        self.sources = [InMemoryMessageSource(stream, parser(), "one") for stream in self._streams]
        self.commits = [InMemoryCommit(stream, self._boards) for stream in self._streams]

    async def add(self, partition: int, fields: Mapping[str, str]) -> str:
        return self._streams[partition].add(fields)

    async def entry(self, partition: int, entry_id: str) -> Mapping[str, str]:
        return self._streams[partition].entries[entry_id]

    async def refuse(self, board: str, refuses: bool) -> None:
        (self._boards.refusing.add if refuses else self._boards.refusing.discard)(board)

    async def board(self, board: str) -> dict[str, float]:
        return dict(self._boards.boards.get(board, {}))

    async def queue(self) -> TaskQueuePort:
        return InMemoryTaskQueue(self._tasks)

    async def end_lease(self) -> None:
        self._tasks.held_until = 0.0


class RedisOperations:
    """As the container wires it, on one node or on a cluster."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.redis = container.redis()
        self._parts = container.partitions()
        self.letters = container.dead_letters()
        self.scores = container.failed_scores()
        self.figures = container.figures()
        self.counters = container.counters()
        self.snapshots = container.instance_snapshots()
        self.keys = container.partition_keys()
        self.streams = [keys.stream for keys in self.keys]
        self.sources = [part.source() for part in self._parts]
        self.commits = [part.commits() for part in self._parts]

    async def add(self, partition: int, fields: Mapping[str, str]) -> str:
        added: str = await self.redis.xadd(self.streams[partition], dict(fields))
        return added

    async def entry(self, partition: int, entry_id: str) -> Mapping[str, str]:
        ((_, fields),) = await self.redis.xrange(self.streams[partition], entry_id, entry_id)
        found: Mapping[str, str] = fields
        return found

    async def refuse(self, board: str, refuses: bool) -> None:
        await self.redis.delete(board)
        if refuses:
            await self.redis.set(board, "of the wrong type")

    async def board(self, board: str) -> dict[str, float]:
        for commits in self.commits:  # on a cluster what is replayed comes with the next commit
            await commits.commit(Commit())
        return dict(await self.redis.zrange(board, 0, -1, withscores=True))

    async def queue(self) -> TaskQueuePort:
        return RedisTaskQueue(self.redis, self.container.task_keys(), CHANNEL)

    async def end_lease(self) -> None:
        await self.redis.delete(self.container.task_keys().lease)


@asynccontextmanager
async def redis_operations(server: RedisServer, tmp_path: Path, **options: Any) -> AsyncIterator[RedisOperations]:
    """On an empty server, or on the empty cluster of which it is a node."""
    if options.get("redis_cluster"):
        with RedisCluster(host="127.0.0.1", port=server.port) as client:
            client.flushall(target_nodes="primaries")
    else:
        with server.client() as client:
            client.flushall()
    settings = Settings(
        redis_addr=server.address, data_dir=tmp_path, stream_partitions=2, instance_id="one", **options
    )
    async with running_container(settings) as container:
        side = RedisOperations(container)
        for source in side.sources:
            await source.ensure_group()
        try:
            yield side
        finally:  # other tests on this server use the same boards
            await container.redis().flushall()
