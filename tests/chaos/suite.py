"""Rounds: publish, cause faults, repair, wait until everything is processed, compare with the model."""

import asyncio
import contextlib
import json
import os
import tempfile
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from time import monotonic

from infrastructure.redis.keys import StreamKeys
from tests.chaos import stream
from tests.chaos.checks import check_all, judge_session
from tests.chaos.faults import cause, schedule
from tests.chaos.model import Model, Published, Session, number_of_letter
from tests.chaos.postgres_store import Store, make_store
from tests.chaos.workload import Workload
from tests.chaos.world import TERM_SECONDS, Options, World
from tests.chaos.write_faults import REFUSED

_LEFT_BY_TRIMMING = 250
"""Entries. Trimming may stop at the borders of the stream's nodes, which have 100 entries each."""

_POISONED = ("leaderboard:SNS:2025-M9", "leaderboard:Uncategorized:2025-M3")
"""A board to which messages move, and one from which they move."""

_BESIDE = "what goes on beside the stream has not ended"

_PATIENT_SECONDS = 110
"""Less than ANNOUNCE_PATIENCE: so long, no session is announced before the LLM has answered about all of it."""

_TAIL = 60
"""Lines of a log that are shown: enough for a group of exceptions, the first of which is the cause."""


class Round:
    """Runs one round in `directory`, on a server of documents that outlives the round."""

    broken = 0.04

    def __init__(self, options: Options, store: Store, directory: Path, with_replay: bool) -> None:
        self.world = World(options, store, directory)
        self._options = options
        self._with_replay = with_replay
        self._started = monotonic()
        self._published: list[Published] = []
        self._expected = Model(llm=self.world.llm is not None)
        self._deferred = 0
        self._reader = stream.SpringReader(self.world.make_client(), self._judge, self.world.report)

    async def run(self) -> None:
        """Leaves its findings in `world.report`, and ends everything that it started."""
        try:
            await self.world.start()
            await self._with_reader()
        finally:
            await self._reader.client.aclose()
            await self.world.close()

    @property
    def summary(self) -> str:
        world, expected = self.world, self._expected
        return (
            f"{len(self._published)} messages, {len(expected.boards)} boards, {len(expected.ended)} sessions ended, "
            f"{len(expected.dead)} dead letters, {len(world.report.events)} events, {world.replays} replays, "
            f"{world.rebuilds} rebuilds, "
            f"{sum(node.proxy.dropped for node in world.nodes)}+{world.store_proxy.dropped} replies dropped, "
            f"{world.store.refused} writes refused, LLM asked {world.llm.asked if world.llm else 0} times, "
            f"failed {world.llm.failed if world.llm else 0} times, {self._deferred} messages deferred"
        )

    async def _with_reader(self) -> None:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reader.run(stop), name="Spring's reader")
            group.create_task(self._watch(stop), name="watch")
            try:
                await self._faulty()
                await self.world.heal()
                await self._drained()
                await self._finish()
            finally:
                stop.set()
        self._deferred = await stream.deferred_ever(self.world.client, self.world.streams)
        if not self.world.report.divergences:
            await check_all(self.world, self._expected, self._reader.seen)

    async def _faulty(self) -> None:
        options = self._options
        with_llm = self.world.llm is not None
        planned = schedule(self.world.rng, options.seconds, options.every, self._with_replay, with_llm, options.only)
        async with asyncio.TaskGroup() as group:
            group.create_task(cause(self.world, planned), name="faults")
            group.create_task(self._publish(), name="publisher")

    async def _publish(self) -> None:
        """Publishes the messages during the faults.

        Documents come first, as with Spring; the model is told before that.
        """
        rng = Random(self._options.seed)
        workload = Workload(rng, self._options.messages, with_refused=self._with_replay, broken=self.broken)
        await self._poison_boards()
        pause = 0.9 * self._options.seconds / self._options.messages
        for batch in workload.batches():
            self._published += batch.messages
            for message in batch.messages:
                self._expected.add(message)
            await self.world.store.insert_as_spring(batch)
            await stream.publish(self.world.client, self.world.streams, batch.messages)
            await asyncio.sleep(rng.uniform(0, 2 * pause * len(batch.messages)))

    async def _poison_boards(self) -> None:
        """Puts keys of the wrong type in place of boards, if their scores can be replayed in the end."""
        for board in _POISONED if self._with_replay else ():
            await stream.insist(lambda: self.world.client.set(board, "of the wrong type"))  # noqa: B023

    async def _judge(self, session: Session) -> str | None:
        if session not in self._expected.ended:
            return "no such session has ended"
        patient = monotonic() - self._started < _PATIENT_SECONDS
        return await judge_session(self.world.store, self._expected.logs.get(session, []), patient)

    async def _watch(self, stop: asyncio.Event) -> None:
        last: dict[str, str] = {}
        while not stop.is_set():  # no cancellation: redis-py may lose it
            for instance in [*self.world.instances, *self.world.extras]:
                instance.check()
            with contextlib.suppress(*stream.ERRORS):
                for keys in self.world.streams:
                    last[keys.stream] = await self._look_at_dead_letters(keys, last.get(keys.stream, "0"))
            await asyncio.sleep(0.2)

    async def _look_at_dead_letters(self, keys: StreamKeys, last: str) -> str:
        """Checks that no outage has parked a good message, which a later replay would hide.

        Returns the last id seen.
        """
        letters = await self.world.client.xrange(keys.dead_letters, min=f"({last}", count=1000)
        bad = {message.number for message in self._expected.dead}  # what is published meanwhile included
        for letter_id, letter in letters:
            last = letter_id
            number = number_of_letter(letter.get("fields", ""))
            if number not in bad and not self._may_be_refused(number):
                self.world.report.diverged(f"good message {number} is a dead letter: {letter}")
        return last

    def _may_be_refused(self, number: int | None) -> bool:
        return number is not None and self._published[number].fields["userId"].startswith(REFUSED)

    async def _drained(self) -> None:
        async def done() -> str | None:
            return await stream.backlog(self.world.client, self.world.streams)

        await self._wait_for(done, "the stream is not drained")

    async def _finish(self) -> None:
        """Does what an operator does after an incident: replays the dead letters, and stops the instances."""
        await self._wait_for(self._unfinished, _BESIDE)  # a rebuild that still runs may mend the poisoned board
        if self._with_replay and not self.world.report.divergences:
            await self._replay_all()
        await self._wait_for(self._unfinished, _BESIDE)
        await self._wait_for(self._announced, "session events are missing")
        if self.world.audited and not self.world.report.divergences:
            await self._audit()
        if self._options.trimmed:
            await self._wait_for(self._short, "the stream is not trimmed")
        for instance in self.world.instances:
            await instance.terminate(TERM_SECONDS)

    async def _replay_all(self) -> None:
        for board in _POISONED:
            if await stream.insist(lambda: self.world.client.type(board)) != "zset":  # noqa: B023 - a rebuild mends it
                await stream.insist(lambda: self.world.client.delete(board))  # noqa: B023
        for arguments in (("replay", "--all"), ("scores", "--replay")):
            if not await self.world.dead_letters(*arguments):
                self.world.report.diverged(f"dead_letters {' '.join(arguments)} failed")
            self.world.replays += 1
            await self._drained()

    async def _unfinished(self) -> str | None:
        return await stream.unfinished(self.world.client, self.world.streams, self.world.clustered)

    async def _announced(self) -> str | None:
        missing = self._expected.ended - set(self._reader.seen)
        return f"{len(missing)}, the first of {min(missing)}" if missing else None

    async def _audit(self) -> None:
        """Checks that a group that has read nothing yet finds every entry: trimming waits for all groups."""
        numbers: set[int] = set()
        for keys in self.world.streams:
            streams = {keys.stream: ">"}
            while reply := await stream.insist(
                lambda: self.world.client.xreadgroup(stream.AUDIT_GROUP, "audit", streams, count=500, noack=True)  # noqa: B023
            ):
                numbers |= {int(fields["chaosNumber"]) for _, entries in reply for _, fields in entries}
        if missing := {message.number for message in self._published} - numbers:
            self.world.report.diverged(
                f"{len(missing)} entries are gone that a group had not read: {min(missing)}, …"
            )

    async def _short(self) -> str | None:
        length = max([await self.world.client.xlen(keys.stream) for keys in self.world.streams])
        return f"{length} entries are left" if length > _LEFT_BY_TRIMMING else None

    async def _wait_for(self, fault: Callable[[], Awaitable[str | None]], what: str) -> None:
        """Waits until `fault` returns None, for as long as draining may take. Reports what is left."""
        if self.world.report.divergences:
            return
        deadline = asyncio.get_running_loop().time() + self._options.drain_seconds
        while left := await stream.insist(fault):
            if asyncio.get_running_loop().time() > deadline:
                self.world.report.diverged(f"{what} after {self._options.drain_seconds:.0f} s: {left}")
                self.world.report.happened(
                    json.dumps(
                        [await self._state(keys) for keys in self.world.streams], ensure_ascii=False, default=str
                    )
                )
                return
            await asyncio.sleep(0.1)

    async def _state(self, keys: StreamKeys) -> dict[str, object]:
        client = self.world.client
        if not await client.exists(keys.stream):
            return {"stream": "does not exist"}
        return {
            "groups": (groups := await client.xinfo_groups(keys.stream)),
            "pending": any(g["name"] == stream.GROUP for g in groups)
            and await client.xpending_range(keys.stream, stream.GROUP, "-", "+", 10),
            "ends": await client.zrange(keys.ends, 0, 5),
            "length": await client.xlen(keys.stream),
            "outbox": await client.xrange(keys.outbox, count=3),
            "deferred": await client.xrange(keys.deferred, count=3),
            "lease": (await client.get(keys.deferred_lease), await client.pttl(keys.deferred_lease)),
        }


async def run_round(
    options: Options, server: str, with_replay: bool, verbose: bool, kind: type[Round] = Round
) -> bool:
    """Runs one round and prints its line, and after a divergence all that helps to find its cause.

    True if there was none.
    """
    started = asyncio.get_running_loop().time()
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as directory:
        store = make_store(server, f"chaos_{options.seed}_{os.getpid()}")
        a_round = kind(options, store, Path(directory), with_replay)
        report = a_round.world.report
        try:
            await a_round.run()
        except Exception as error:
            traceback.print_exception(error)
            report.diverged(f"the round broke off: {error!r}")
        verdict = "DIVERGED" if report.divergences else "ok"
        seconds = asyncio.get_running_loop().time() - started
        print(f"seed {options.seed}: {verdict} in {seconds:.1f} s. {a_round.summary}", flush=True)
        if report.divergences:
            print(f"First divergence: {report.divergences[0]}", *report.divergences[1:6], sep="\n  ")
            _print_logs(Path(directory))
        if report.divergences or verbose:
            print(f"Settings: {_shown(a_round.world.environment)}", *report.events, sep="\n  ", flush=True)
    return not report.divergences


def _shown(environment: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in environment.items() if name.isupper() and name != "PATH")


def _print_logs(directory: Path) -> None:
    for log in sorted((directory / "logs").glob("*.log"), key=lambda path: path.stat().st_mtime)[-6:]:
        with log.open(encoding="utf-8", errors="replace") as lines:
            tail = deque(lines, _TAIL)
        print(f"--- {log.name}", *(line.rstrip()[:240] for line in tail), sep="\n")
