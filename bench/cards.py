"""What focus cards cost: a run over all users, one after one user in a hundred has changed, and a card by HTTP.

python -m bench.cards [--users 10000] [--postgres]
"""

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from statistics import quantiles
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import aiohttp
from pydantic import SecretStr

from infrastructure.composition.container import Container, drain_cards, running_container
from infrastructure.observing.logs import configure_logging
from infrastructure.settings import Settings
from tests.cards import add, make_past, remember
from tests.servers import RedisServer, free_port, postgres_server

_LOGS_AT_ONCE = 20_000
_REQUESTS_A_SECOND = 200
_REQUEST_SECONDS = 20
_CONNECTIONS = 32
_TOKEN = "of the benchmark alone"


async def _run(container: Container) -> tuple[float, float, float, dict[str, object]]:
    """Seconds by the clock, of this process's CPU and of Redis', and what was done."""
    redis, clock, cpu = await _redis_cpu(container), perf_counter(), process_time()
    run = await container.card_runs().start()
    await drain_cards(container)
    took = perf_counter() - clock, process_time() - cpu, await _redis_cpu(container) - redis
    return *took, (await container.card_runs().progress(run))[1]


async def _redis_cpu(container: Container) -> float:
    found = await container.redis().info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


async def _answers(address: str, users: Sequence[str]) -> list[float]:
    """Milliseconds of each request from the moment at which it was due."""
    took = list[float]()

    async def ask(session: aiohttp.ClientSession, due: float, user: str) -> None:
        await asyncio.sleep(due - perf_counter())
        async with session.get(f"{address}/api/users/{user}/card?period=week&format=adaptive") as response:
            await response.read()
            response.raise_for_status()
        took.append((perf_counter() - due) * 1000)

    connector, headers = aiohttp.TCPConnector(limit=_CONNECTIONS), {"Authorization": f"Bearer {_TOKEN}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session, asyncio.TaskGroup() as group:
        begin = perf_counter() + 0.5
        for n in range(_REQUESTS_A_SECOND * _REQUEST_SECONDS):
            group.create_task(ask(session, begin + n / _REQUESTS_A_SECOND, users[n * 7919 % len(users)]))
    return took[_REQUESTS_A_SECOND:]  # after a second of warming up


async def _served(settings: Settings, users: Sequence[str]) -> list[float]:
    """The same by a pipeline in a process of its own, which consumes as well."""
    port = free_port()
    environment = {**os.environ, "REDIS_ADDR": str(settings.redis_addr), "DATA_DIR": str(settings.data_dir)}
    if settings.database_url:
        environment |= {"DATABASE_URL": settings.database_url.get_secret_value()}
    command = [sys.executable, "-m", "cmd.stream_consumer"]
    environment |= {"HTTP_PORT": str(port), "COLLECT_PORT": "0", "ADMIN_TOKEN": _TOKEN}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{address}/readyz") as response:
                        if response.status == 200:
                            break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)
        return await _answers(address, users)
    finally:
        process.terminate()
        await process.wait()


async def _measure(users: int, directory: Path, database: str | None) -> None:
    server = RedisServer(directory).start()
    try:
        settings = Settings(
            redis_addr=server.address, data_dir=directory, database_url=SecretStr(database) if database else None
        )
        configure_logging(settings, level="warning")
        async with running_container(settings) as container:
            today, names = container.cards().today(), [f"user-{number:05}" for number in range(users)]
            past = make_past(names, today - timedelta(days=31), today, settings.zone, a_day=2)
            logs, past.spans[:] = past.spans[:], past.spans[:0]
            await remember(container, past)
            for first in range(0, len(logs), _LOGS_AT_ONCE):
                await add(container, logs[first : first + _LOGS_AT_ONCE])
            gc.freeze()  # the logs are the benchmark's own, and no run shall pay for looking through them
            print(f"{users:,} users, {len(logs):,} logs of a month, {'PostgreSQL' if database else 'SQLite'}\n")
            print("| run | cards written | seconds | CPU of the process | CPU of Redis |\n|---|---|---|---|---|")
            found = {}
            for name in ("first", "nothing has changed", "1 % has changed"):
                if name.startswith("1"):
                    news = make_past(names[: max(1, users // 100)], today, today, settings.zone, seed=2)
                    await add(container, news.spans)
                *found[name], told = await _run(container)
                print(f"| {name} | {told['written']:,} | " + " | ".join(f"{each:.2f}" for each in found[name]) + " |")
        ratios = [last / first for last, first in zip(found["1 % has changed"], found["first"], strict=True)]
        print("\n1 % has changed / first, by the clock, CPU of the process, CPU of Redis:", end=" ")
        print(", ".join(f"{ratio:.2f}" for ratio in ratios))
        shares = quantiles(await _served(settings, names), n=100)
        middle, most = shares[49], shares[98]
        print(f"A card by HTTP at {_REQUESTS_A_SECOND} requests/s: median {middle:.1f} ms, 99 % {most:.1f} ms")
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--postgres", action="store_true", help="of this machine, or at POSTGRES_TEST_URL")
    options = parser.parse_args()
    with TemporaryDirectory() as directory, ExitStack() as stack:
        database = stack.enter_context(postgres_server(Path(directory))) if options.postgres else None
        asyncio.run(_measure(options.users, Path(directory), database))


if __name__ == "__main__":
    main()
