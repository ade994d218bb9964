"""python -m tests.chaos: rounds of faults that check the guarantees of docs/guarantees.md, with an exit code."""

import argparse
import asyncio
import os
import secrets
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.chaos.faults import FAULTS
from tests.chaos.outage import OutageRound
from tests.chaos.suite import Round, run_round
from tests.chaos.world import Options, dead_letters_exist
from tests.servers import mongo_server, postgres_server


def main() -> int:
    arguments = _arguments()
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    with (
        tempfile.TemporaryDirectory(prefix="chaos-store-") as directory,
        _documents(Path(directory), arguments.postgres) as (uri, kind),
    ):
        with_replay = dead_letters_exist()
        print(
            f"seed {seed}; documents in {kind}; dead letters are {'' if with_replay else 'not '}replayed", flush=True
        )
        try:
            return asyncio.run(_rounds(arguments, seed, uri, with_replay))
        except (KeyboardInterrupt, asyncio.CancelledError):
            print("interrupted", file=sys.stderr)
            return 130


@contextmanager
def _documents(directory: Path, postgres: bool) -> Iterator[tuple[str, str]]:
    """The address and the name of a server of documents."""
    if postgres:
        with postgres_server(directory) as url:
            yield url, "PostgreSQL"
    else:
        with mongo_server(directory) as found:
            yield found


async def _rounds(arguments: argparse.Namespace, seed: int, uri: str, with_replay: bool) -> int:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    started, failed = time.monotonic(), []
    rounds = arguments.rounds + (arguments.short and not arguments.cluster)
    for number in range(rounds):
        # the first round's seed is the given one, so that any round can be repeated as the first
        round_seed = Random(f"{seed}:{number}").getrandbits(32) if number else seed
        options = Options(
            seed=round_seed,
            seconds=arguments.seconds,
            every=arguments.every,
            consumers=arguments.consumers,
            messages=arguments.messages,
            drain_seconds=arguments.drain,
            trimmed=arguments.trimmed,
            only=tuple(arguments.only),
            cluster=arguments.cluster or number >= arguments.rounds,
            partitions=arguments.partitions,
        )
        print(f"round {number + 1}/{rounds}, ", end="", flush=True)
        kind = OutageRound if arguments.outage else Round
        if not await run_round(options, uri, with_replay, arguments.verbose, kind):
            failed.append(round_seed)
            print(f"Repeat it with: {_repeat(options, arguments)}", flush=True)
            if not arguments.keep_going:
                break
    print(
        f"{number + 1} rounds in {time.monotonic() - started:.0f} s, {len(failed)} diverged {failed or ''}",
        flush=True,
    )
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Runs the pipeline under faults and compares what comes out with an independent model. "
        "Exit codes: 0 no divergence, 1 a divergence (its seed is printed), 130 interrupted.",
    )
    parser.add_argument("--rounds", type=int, default=20, help="how many (default %(default)s)")
    parser.add_argument("--seed", type=int, help="decides everything but the timing; not given: a fresh one")
    parser.add_argument("--seconds", type=float, default=10, help="of faults in a round (default %(default)s)")
    parser.add_argument("--every", type=float, default=0.7, help="seconds from fault to fault (default %(default)s)")
    parser.add_argument("--consumers", type=int, default=3, help="instances on the group (default %(default)s)")
    parser.add_argument("--messages", type=int, default=1500, help="published in a round (default %(default)s)")
    parser.add_argument(
        "--drain", type=float, default=300, help="seconds to drain in, afterwards (default %(default)s)"
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help="about a minute in all, for CI: 3 rounds of 6 seconds, and one on a cluster",
    )
    parser.add_argument(
        "--outage", action="store_true", help="one fault alone: the store is away for --seconds (60, say), under load"
    )
    parser.add_argument(
        "--postgres", action="store_true", help="documents in PostgreSQL, of this machine or at POSTGRES_TEST_URL"
    )
    parser.add_argument("--cluster", action="store_true", help="on a Redis Cluster of three masters")
    parser.add_argument(
        "--partitions",
        type=int,
        default=0,
        help="of the stream (default: 1; with --cluster 1 or 3, as the seed decides)",
    )
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first round that diverges")
    parser.add_argument("--verbose", action="store_true", help="print the faults of rounds without divergence, too")
    parser.add_argument(
        "--trimmed", action=argparse.BooleanOptionalAction, default=True, help="check that the stream gets trimmed"
    )
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=(), metavar="FAULT", help=", ".join(FAULTS))
    arguments = parser.parse_args()
    if arguments.short:
        arguments.rounds, arguments.seconds, arguments.messages = 3, 6.0, 600
    return arguments


def _repeat(options: Options, arguments: argparse.Namespace) -> str:
    """The command that repeats only this round."""
    numbers = {
        "seed": options.seed,
        "seconds": options.seconds,
        "every": options.every,
        "consumers": options.consumers,
        "messages": options.messages,
        "drain": options.drain_seconds,
        "partitions": options.partitions,
    }
    switches = {
        "--cluster": options.cluster,
        "--outage": arguments.outage,
        "--postgres": arguments.postgres,
        "--no-trimmed": not options.trimmed,
    }
    only = ["--only", *options.only] if options.only else []
    command = [os.path.relpath(sys.executable), "-m", "tests.chaos", "--rounds", "1"]
    command += [text for name, number in numbers.items() for text in (f"--{name}", str(number))]
    return shlex.join([*command, *(switch for switch, is_on in switches.items() if is_on), *only])


if __name__ == "__main__":
    raise SystemExit(main())
