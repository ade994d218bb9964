"""Kills workers of the focus cards at random instants, and compares every figure of every card with the logs.

python -m tests.chaos.cards --users 10000 --kills 30
"""

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import ExitStack, suppress
from datetime import date, timedelta
from math import fsum
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import monotonic

from pydantic import SecretStr

from domains.kernel.errors import TaskRefused
from domains.leaderboard.model import Period
from infrastructure.composition.container import Container, running_container
from infrastructure.settings import Settings
from tests.cards import Expected, Past, add, differences, make_past, remember
from tests.servers import RedisServer, postgres_server

_CLAIM_IDLE_MS = 2000
_CHUNK = 20_000
_LONGEST_HOLD_MS = 5.0


def workers(environment: dict[str, str], count: int) -> list[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "cmd.cards", "worker"]
    return [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(count)]


def drain(environment: dict[str, str]) -> tuple[float, str]:
    """Seconds and output of `cards run --drain`."""
    started = monotonic()
    command = [sys.executable, "-m", "cmd.cards", "run", "--drain"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return monotonic() - started, done.stdout.strip()


async def start_run(container: Container, past: Past, today: date, rng: random.Random) -> None:
    """Starts a run if none is under way, and after a tenth of the users has focused: they need new cards."""
    with suppress(TaskRefused):
        await container.card_runs().start()
        some = rng.sample(past.users, max(1, len(past.users) // 10))
        news = make_past(some, today, today, past.zone, rng.getrandbits(32), a_day=1)
        await add(container, news.spans)
        past.spans += news.spans


async def kill_at_random(
    environment: dict[str, str], container: Container, past: Past, today: date, kills: int, rng: random.Random
) -> int:
    """Two workers at a time; each is killed at a random instant after it has begun. Returns how many had a job."""
    queue, held = container.card_users_queue(), 0
    await start_run(container, past, today, rng)
    running = workers(environment, 2)
    for _ in range(kills):
        before = (await queue.figures()).pending
        for _ in range(200):  # at most twenty seconds: until somebody has a job that nobody had
            if (await queue.figures()).pending > before:
                break
            await start_run(container, past, today, rng)  # there is always one to be killed in
            await asyncio.sleep(0.1)
        await asyncio.sleep(rng.uniform(0.0, 0.3))
        victim = running.pop(rng.randrange(len(running)))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        held += (await queue.figures()).pending > 0
        running += workers(environment, 1)
    for process in running:
        process.terminate()
        process.wait()
    return held


async def watch_redis(container: Container) -> None:
    for name, value in (("slowlog-log-slower-than", 0), ("slowlog-max-len", 50_000)):
        await container.redis().config_set(name, value)
    await container.redis().slowlog_reset()


async def slow_calls(container: Container) -> int:
    """How many kinds of calls usually hold Redis for more than five milliseconds.

    Usually: the clock goes on while a busy machine gives Redis' processor to others, which no call can help.
    """
    client, held = container.redis(), defaultdict[str, list[float]](list)
    await client.config_set("slowlog-log-slower-than", -1)
    for entry in await client.slowlog_get(50_000):
        words = entry["command"].split()
        held[b" ".join(words[: 2 if words[0].startswith(b"EVAL") else 1]).decode()[:16]].append(
            entry["duration"] / 1000
        )
    shares = {name: quantiles([0.0, *each], n=100) for name, each in held.items()}
    for name in sorted(shares, key=lambda name: -shares[name][89])[:4]:
        of_calls = "of {} calls {}: median {:.1f}, 90 % {:.1f}, 99 % {:.1f}, longest {:.1f} ms"
        figures = (shares[name][n] for n in (49, 89, 98))
        print("  Redis held, " + of_calls.format(len(held[name]), name, *figures, max(held[name])), flush=True)
    return sum(each[49] > _LONGEST_HOLD_MS for each in shares.values())


async def check(container: Container, past: Past, today: date) -> Counter[str]:
    """How many cards there are, how many of them differ, and whether their sums equal the boards."""
    wanted, found = Expected(past, today, today), Counter[str]()
    focus: dict[Period, list[float]] = {period: [] for period in Period}
    users = past.users
    for number, user in enumerate(users):
        cards = await container.focus_cards().of_user(user)
        newest = {card.key.period: card for card in cards if card.key.starts == card.key.period.days(today)[0]}
        found["doubled"] += len(cards) - len({card.key for card in cards})
        for period in Period:
            figures = wanted.card(user, period.value)
            card = newest.get(period)
            if card is None:
                found["missing"] += bool(figures["categories"])
                continue
            found["cards"] += 1
            focus[period].append(card.document["focus_seconds"])
            if bad := differences(dict(card.document), figures):
                found["different"] += 1
                if found["different"] <= 3:
                    print(user, period, bad, flush=True)
        if number % 2000 == 1999:
            print(f"  {number + 1} users compared", flush=True)
    for period in Period:
        board = f"leaderboard:work:{period.label(today)}"
        rows = await container.leaderboard().top(board, len(users))
        found["sums that differ"] += abs(fsum(row.score for row in rows) - fsum(focus[period])) > 0.01 * len(users)
    return found


async def play(users: int, kills: int, seed: int, days: int, database: str | None) -> int:
    rng = random.Random(seed)
    with TemporaryDirectory() as directory:
        server = RedisServer(Path(directory)).start()
        try:
            settings = Settings(
                redis_addr=server.address,
                data_dir=Path(directory),
                claim_idle_ms=_CLAIM_IDLE_MS,
                database_url=SecretStr(database) if database else None,
            )
            environment = {**os.environ, "REDIS_ADDR": server.address, "DATA_DIR": directory} | {
                "CLAIM_IDLE_MS": str(_CLAIM_IDLE_MS),
                **({"DATABASE_URL": database} if database else {}),
            }
            async with running_container(settings) as container:
                today = container.cards().today()
                names = [f"user-{number:05}" for number in range(users)]
                past = make_past(names, today - timedelta(days=days), today, settings.zone, seed, a_day=2)
                logs, past.spans[:] = past.spans[:], past.spans[:0]
                await remember(container, past)
                for first in range(0, len(logs), _CHUNK):
                    await add(container, logs[first : first + _CHUNK])
                past.spans[:] = logs
                print(f"{users} users, {len(logs)} logs", flush=True)
                await watch_redis(container)
                if kills:
                    held = await kill_at_random(environment, container, past, today, kills, rng)
                    print(f"{kills} workers killed, jobs were in hand at {held} of these instants", flush=True)
                print("all: {:.1f} s  {}".format(*drain(environment)), flush=True)
                changed = make_past(names[: max(1, users // 100)], today, today, settings.zone, seed + 1)
                await add(container, changed.spans)
                past.spans += changed.spans
                print("1 % changed: {:.1f} s  {}".format(*drain(environment)), flush=True)
                slow = await slow_calls(container)
                found = await check(container, past, today)
                found["kinds of calls that hold Redis for too long"] = slow
                for name, queue in (
                    ("boards", container.card_boards_queue()),
                    ("users", container.card_users_queue()),
                ):
                    found[f"dead letters of {name}"] = int((await queue.figures()).dead_letters)
        finally:
            server.stop()
    print(dict(found))
    return 1 if any(count for name, count in found.items() if name != "cards") else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--postgres", action="store_true", help="documents in PostgreSQL, of this machine or at POSTGRES_TEST_URL"
    )
    options = parser.parse_args()
    with TemporaryDirectory() as directory, ExitStack() as stack:
        database = stack.enter_context(postgres_server(Path(directory))) if options.postgres else None
        return asyncio.run(play(options.users, options.kills, options.seed, options.days, database))


if __name__ == "__main__":
    sys.exit(main())
