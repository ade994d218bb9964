"""What a message costs in each store: bytes, and how fast it is written and read.

python -m bench.stores [--messages 50000] [--kafka HOST:PORT --kafka-data DIRECTORY]    prints a Markdown table
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from bench.parts import Parts
from bench.workload import STREAM, Workload, fill_stream
from domains.activityEvent.model import ActivityEvent, EventMaker, OutboxEntry
from domains.activityEvent.ports import EventSinkPort
from domains.patternClassifier.privacy import Privacy
from domains.pomodoro.model import CategorizedData, PomodoroUsageLog
from domains.pomodoro.ports import CategorizedDataRepositoryPort, PomodoroUsageLogRepositoryPort
from domains.pomodoro.posting import Postings
from infrastructure.duckdb.event_sink import DuckDbEventSink
from infrastructure.duckdb.questions import QUESTIONS, answer
from infrastructure.postgres.client import PostgresDatabase
from infrastructure.postgres.repositories import PostgresCategorizedDataRepository, PostgresPomodoroUsageLogRepository
from infrastructure.sqlite.database import SqliteDatabase
from infrastructure.sqlite.repositories import SqliteCategorizedDataRepository, SqlitePomodoroUsageLogRepository
from tests.messages import SEOUL, hex_id
from tests.servers import RedisServer, find_postgres, postgres_server

T = TypeVar("T")
_BATCH = 1000


class Row:
    def __init__(self, store: str, size: float, write: float, read: float) -> None:
        self.text = f"| {store} | {size:,.0f} | {write:,.0f} | {read:,.0f} |"


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def _bytes_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _stream(directory: Path, count: int, parts: Parts) -> tuple[Row, list[Any]]:
    server = RedisServer(directory, "--appendonly", "no").start()
    try:
        started = time.perf_counter()
        fill_stream(server.port, Workload("linked"), count)
        write = time.perf_counter() - started
        with server.client() as client:
            size = client.memory_usage(STREAM, samples=0) / count
            started, entries, after = time.perf_counter(), [], "-"
            while page := client.xrange(STREAM, after, count=_BATCH):
                entries += page
                after = f"({page[-1][0]}"
            read = time.perf_counter() - started
        return Row("Redis stream (a message)", size, count / write, count / read), parts.messages(entries)
    finally:
        server.stop()


async def _sqlite(directory: Path, messages: list[Any]) -> Row:
    database = SqliteDatabase(directory / "pomocore.db")
    logs, windows = SqlitePomodoroUsageLogRepository(database), SqliteCategorizedDataRepository(database)
    write, read = await _documents(logs, windows, messages)
    await database.close()
    return Row("SQLite (a log and its window)", _bytes_of(directory) / len(messages), write, read)


async def _postgres(directory: Path, messages: list[Any]) -> Row:
    with postgres_server(directory) as url:
        database = PostgresDatabase(url)
        logs, windows = PostgresPomodoroUsageLogRepository(database), PostgresCategorizedDataRepository(database)
        write, read = await _documents(logs, windows, messages)
        tables = "pg_total_relation_size('pomodoro_usage_log') + pg_total_relation_size('categorized_data')"
        ((size,),) = await database.read(f"SELECT {tables}")
        await database.close()
    return Row("PostgreSQL (the same, without fsync)", size / len(messages), write, read)


async def _documents(
    logs: PomodoroUsageLogRepositoryPort, windows: CategorizedDataRepositoryPort, messages: list[Any]
) -> tuple[float, float]:
    """Messages written and logs read a second."""
    started = time.perf_counter()
    for first in range(0, len(messages), _BATCH):
        page = list(enumerate(messages[first : first + _BATCH], first))
        data = [CategorizedData(hex_id(n), message.window, hex_id(1)) for n, message in page]
        await windows.save_all(data)
        await logs.save_all(
            [
                PomodoroUsageLog(
                    hex_id(n), m.user_id, hex_id(n), hex_id(1), m.session, 25, m.session_date, m.timestamp, m.duration
                )
                for n, m in page
            ]
        )
    write, count = time.perf_counter() - started, 0
    started = time.perf_counter()
    async for found in logs.find_in_period(0, 4e9):
        count += len(found)
    return len(messages) / write, count / (time.perf_counter() - started)


async def _sink(name: str, sink: EventSinkPort, events: list[ActivityEvent], size: Callable[[], int]) -> Row:
    before = size()
    await sink.position("bench")

    async def write() -> None:
        for first in range(0, len(events), 5 * _BATCH):
            await sink.write("bench", events[first : first + 5 * _BATCH], [], f"{first + 1}-0")

    days = {event.day for event in events}
    count = 0

    async def read() -> None:
        nonlocal count
        async for _ in sink.of_days(days):
            count += 1

    wrote, took = await _seconds(write), await _seconds(read)
    await sink.close()
    return Row(name, (size() - before) / len(events), len(events) / wrote, count / took)


async def _run(options: argparse.Namespace, directory: Path, parts: Parts) -> None:
    rows: list[Row] = []
    for name in ("redis", "sqlite", "duckdb"):
        (directory / name).mkdir()
    row, messages = _stream(directory / "redis", options.messages, parts)
    rows.append(row)
    rows.append(await _sqlite(directory / "sqlite", messages))
    if find_postgres() or "POSTGRES_TEST_URL" in os.environ:
        rows.append(await _postgres(directory, messages))
    else:
        print("There is no PostgreSQL on this machine, and no POSTGRES_TEST_URL", file=sys.stderr)
    made, maker = Postings(parts.calendar, Privacy()), EventMaker(b"a key of the benchmark", SEOUL)
    classified = parts.decided(messages)
    postings = [made.counted(m, hex_id(n), classified[n].classification) for n, m in enumerate(messages)]
    events = [event for n, it in enumerate(postings) for event in maker.events(OutboxEntry(f"{n + 1}-0", [it]))[0]]
    duckdb = directory / "duckdb"
    rows.append(await _sink("DuckDB (an event)", DuckDbEventSink(duckdb / "a"), events, lambda: _bytes_of(duckdb)))
    if options.kafka:
        from infrastructure.kafka.event_sink import KafkaEventSink

        data = options.kafka_data
        size = (lambda: sum(_bytes_of(it) for it in data.glob("*/pomocore.spans*"))) if data else (lambda: 0)
        rows.append(
            await _sink(
                "Kafka (an event, transactional)", KafkaEventSink(bootstrap_servers=options.kafka), events, size
            )
        )
    print(
        "| store | bytes | written a second | read a second |\n|---|---|---|---|",
        *(row.text for row in rows),
        sep="\n",
    )
    started = time.perf_counter()
    for question in QUESTIONS.values():
        answer(duckdb / "a", question.sql)
    took = (time.perf_counter() - started) / len(QUESTIONS) * 1000
    print(f"\nA ready question over {len(events):,} events in DuckDB: {took:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--kafka", help="host:port of a broker")
    parser.add_argument("--kafka-data", type=Path, help="its data directory, to see what an event takes there")
    with tempfile.TemporaryDirectory(prefix="pomocore-stores-") as directory:
        asyncio.run(_run(parser.parse_args(), Path(directory), Parts()))


if __name__ == "__main__":
    main()
