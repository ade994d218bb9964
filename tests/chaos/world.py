"""The servers, proxies and instances of one round, and the operations on them."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from infrastructure.settings import Settings
from tests.chaos import stream
from tests.chaos.llm import TROUBLES, FakeLLM
from tests.chaos.model import BROWSING
from tests.chaos.nodes import cluster_client, cluster_nodes, join, one_node
from tests.chaos.postgres_store import Store
from tests.chaos.processes import ROOT, Instance, base_environment
from tests.chaos.report import Report

T = TypeVar("T")

_COLOUR = re.compile(r"\x1b\[\d*m")

TERM_SECONDS = 60.0
"""Seconds: the SHUTDOWN_TIMEOUT below, a reply that never comes, and time for two busy cores."""


@dataclass(frozen=True)
class Options:
    """The parameters of a round.

    `seconds` is how long faults are caused, `every` the average time between two faults.

    `partitions` is the number of streams; 0 means one, or on a `cluster` one or three, as the seed decides.
    """

    seed: int
    seconds: float
    every: float
    consumers: int
    messages: int
    drain_seconds: float
    trimmed: bool
    only: tuple[str, ...] = ()
    cluster: bool = False
    partitions: int = 0


class World:
    def __init__(self, options: Options, store: Store, directory: Path) -> None:
        self.options = options
        self.rng = Random(options.seed)
        self.report = Report()
        self.directory = directory
        with_llm = self.rng.random() < 0.8 or any(name.startswith("llm") for name in options.only)
        self.llm = FakeLLM(Random(options.seed), slowest=1.5) if with_llm else None
        self.clustered = options.cluster
        redis = directory / "redis"
        self.nodes = cluster_nodes(redis, self.rng) if self.clustered else one_node(redis)
        partitions = options.partitions or (self.rng.choice((1, 3)) if self.clustered else 1)
        self.streams = stream.streams_of(partitions, self.clustered)
        self.store = store
        self.store_proxy = store.proxy
        self.client = self.make_client()
        self.instances: list[Instance] = []
        self.extras: list[Instance] = []
        self.environment: dict[str, str] = {}
        self.replays = 0
        self.audited = self.rng.random() < 0.4
        """Whether the stream has another group, which reads nothing during the faults."""

    async def start(self) -> None:
        for node in self.nodes:
            await node.start()
        if self.clustered:
            await join(self.nodes)
        await self.store_proxy.start()
        if self.llm is not None:
            await self.llm.start()
            if self.rng.random() < 0.3:
                self.llm.fall_ill(self.rng.choice(TROUBLES))  # until one of the faults ends, or all of them
        await self.store.prepare(with_uncategorized=self.rng.random() < 0.5)
        if self.audited:
            for keys in self.streams:
                await self.client.xgroup_create(keys.stream, stream.AUDIT_GROUP, id="0", mkstream=True)
        self.environment = self._environment()
        self.instances = [self.make_instance(f"c{i}") for i in range(self.options.consumers)]
        if self.rng.random() < 0.2:
            self.instances[0] = self.make_instance("c0", CONSUMER_PROCESSES="2")
        for instance in self.instances:
            instance.start()

    def make_instance(self, name: str, **settings: str) -> Instance:
        return Instance(name, {**self.environment, **settings}, _made(self.directory / "logs"), self.report)

    def make_client(self) -> Any:
        """A client that bypasses all faults but those of the servers themselves."""
        return cluster_client(self.nodes) if self.clustered else stream.make_client(self.nodes[0].server.port)

    def any_of(self, things: Sequence[T], rng: Random) -> T:
        """One of the given values. A single value takes no random number."""
        return things[0] if len(things) == 1 else rng.choice(things)

    def _environment(self) -> dict[str, str]:
        settings = {
            "EVENTS": "true",
            "EVENTS_USER_KEY": "the key of the fault suite",
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",  # away: all that was posted is still in Redis in the end
            "UNKNOWN_PAGES_COUNT_AS": BROWSING,
            "REDIS_ADDR": self.nodes[0].proxy.address,
            **self.store.settings(self.rng),
            "CLAIM_IDLE_MS": self.rng.choice(("300", "1500")),
            "ANNOUNCE_DELAY_MS": self.rng.choice(("0", "300", "1000")),
            "MAX_DAYS_AHEAD": "3650",  # the edges of the calendar do not depend on today
            "BLOCK_MS": self.rng.choice(("20", "200")),
            "BATCH_SIZE": self.rng.choice(("1", "10", "50")),
            "BATCH_MAX": self.rng.choice(("50", "500")),
            "MAX_INFLIGHT_MESSAGES": self.rng.choice(("60", "10000")),
            "MAX_DELIVERIES": "3",
            "SHUTDOWN_TIMEOUT": "3",
            "REDIS_PROTOCOL": self.rng.choice("23"),
            "RECLASSIFY_SECONDS": "0.5",
            "LOG_LEVEL": "debug",
            "HTTP_PORT": "0",
        }
        if self.clustered:
            settings["REDIS_CLUSTER"] = "true"
        if len(self.streams) > 1:
            settings["STREAM_PARTITIONS"] = str(len(self.streams))
        if self.llm is not None:
            settings |= {
                "OPENAI_API_KEY": "chaos",
                "OPENAI_BASE_URL": self.llm.url,
                "OPENAI_TIMEOUT": "2",
                "OPENAI_MAX_RETRIES": self.rng.choice("02"),
                "LLM_WAIT": self.rng.choice(("0.3", "1")),
                # a question without an answer is given up after twelve tries, each of them perhaps behind a pause
                "LLM_LONGEST_PAUSE": "0.5",
                "LLM_MAX_CALLS_PER_MINUTE": "0",
                "RECLASSIFY_SECONDS": self.rng.choice(("0.2", "0.5")),
                "CLASSIFICATION_TIERS": self.rng.choice(("memory,cache,documents,llm", "memory,llm", "llm")),
            }
        unknown = [name for name in settings if name.lower() not in Settings.model_fields]
        assert not unknown, f"settings that do nothing: {unknown}"
        return base_environment(**settings)

    async def end_leases(self) -> None:
        for keys in self.streams:
            await self.client.delete(keys.deferred_lease)

    @property
    def rebuilds(self) -> int:
        """The rebuilds that have completed, according to the logs."""
        logs = [log for instance in (*self.instances, *self.extras) for log in instance.logs]
        texts = [_COLOUR.sub("", log.read_text(encoding="utf-8", errors="replace")) for log in logs]
        return sum(text.count("status=completed task=rebuild_leaderboard") for text in texts)

    async def dead_letters(self, *arguments: str) -> dict[str, object]:
        """Runs `python -m cmd.dead_letters` past the proxies (in a cluster, at first); {} if it failed.

        It says what it did also where it ends with 1, since a message died again.
        """
        environment = {**self.environment, "REDIS_ADDR": self.nodes[0].server.address}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cmd.dead_letters", *arguments, "--json"),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), 30)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        return dict(json.loads(out)) if process.returncode in (0, 1) and out else {}

    async def heal(self) -> None:
        """Ends all faults: every proxy forwards, and exactly the instances of the round run."""
        for node in self.nodes:
            node.proxy.heal()
        await self.store.heal()
        if self.llm is not None:
            self.llm.heal()
        for extra in self.extras:
            extra.resume()
            await extra.terminate(TERM_SECONDS)
        for instance in self.instances:
            instance.resume()
            instance.check()
            if not instance.running:
                instance.start()
        await stream.insist(self.end_leases)  # else the one of an instance that was killed lasts half a minute

    async def close(self) -> None:
        for instance in [*self.instances, *self.extras]:
            instance.destroy()
        ends = [end for node in self.nodes for end in (node.proxy.close, node.client.aclose)]
        for closing in (*ends, self.store_proxy.close, self.client.aclose):
            with contextlib.suppress(*stream.ERRORS):
                await closing()
        if self.llm is not None:
            await self.llm.close()
        for node in self.nodes:
            node.server.kill()
        try:
            await self.store.drop()
        finally:
            await self.store.close()


def dead_letters_exist() -> bool:
    """Whether this tree has the command that replays dead letters."""
    return (ROOT / "cmd" / "dead_letters.py").exists()


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
