"""The measurements. Each one returns figures for the JSON and rows for the table.

The two sides of a comparison are measured by turns (A B, B A, …) on the same servers. A ratio is that of a pair; the
table has the median of the pairs with the lowest and the highest.
"""

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis

from bench.cluster import LAYOUTS, ONE, Cluster
from bench.collect import collect
from bench.documents import fill_sqlite
from bench.figures import Outcome, Row, Spread, ratios_of, turns
from bench.measure import DATABASE, Eaten, Testbed, Watch, eat, eat_on
from bench.processes import (
    PipelineProcess,
    build_go_peer,
    cpu_seconds,
    module,
    output_of,
    peak_mb,
    read_number,
    wait_for,
)
from bench.workload import GROUP, STREAM, Kind, Order, Workload, fill_stream
from infrastructure.process.embedded_redis import EmbeddedRedis
from infrastructure.redis.keys import StreamKeys

BATCH_MAX = 1000
_UNKNOWN_SHARE = 0.2
_GO_MESSAGES = 200_000  # so that what is loaded while reading has begun does not weigh


@dataclass(frozen=True)
class Options:
    messages: int = 50_000
    many: int | None = 1_000_000
    repeats: int = 3
    kind: Kind = "linked"
    order: Order = "sessions"
    n_plus_one_messages: int = 300
    latency_seconds: float = 10.0


Say = Callable[[str], None]
Scenario = Callable[[Testbed, Options, Say], Outcome]


def end_to_end(bed: Testbed, options: Options, say: Say) -> Outcome:
    """(a) and (b): the pipeline on a backlog, by turns with the ceiling on the same one."""
    workload = Workload(options.kind, options.order)
    eaten: list[Eaten] = []
    ceilings: list[dict[str, float]] = []
    for turn in turns(options.repeats, ("pipeline", "ceiling")):
        say(f"{options.messages:,} messages, {turn}")
        bed.fill(workload, options.messages)
        if turn == "pipeline":
            eaten.append(eat_on(bed, options.messages))
        else:
            ceilings.append(_ceiling(bed, options.messages))
    outcome = Outcome({"backlog": [run.as_json() for run in eaten], "ceiling": ceilings})
    outcome.rows += _cost_rows("a", f"{options.messages:,}", eaten)
    outcome.rows += _ceiling_rows(eaten, ceilings, outcome)
    if options.many:
        say(f"{options.many:,} messages")
        bed.fill(workload, options.many)
        many = eat_on(bed, options.many)
        outcome.figures["many"] = many.as_json()
        outcome.rows += _cost_rows("a", f"{options.many:,}", [many], memory_target=150)
        share = many.rate / Spread([run.rate for run in eaten]).median
        outcome.rows.append(Row("a", f"throughput, backlog {options.many:,} / {options.messages:,}", f"{share:.2f}"))
    return outcome


def go_peer(bed: Testbed, options: Options, say: Say) -> Outcome:
    """(i): the same backlog, consumed by a Go program written as the first version was, without guarantees."""
    if not (build := build_go_peer(bed.directory)):
        return Outcome(
            rows=[Row("i", "the Go program", "not measured: there is no go on PATH, or it does not build")]
        )
    outcome = Outcome()
    count = _GO_MESSAGES if options.many else options.messages
    for order in ("sessions", "random"):
        workload = Workload("linked", order)
        runs: dict[str, list[Eaten]] = {"pipeline": [], "go": []}
        for turn in turns(options.repeats, tuple(runs)):
            say(f"{turn}, {order}, {count:,} messages")
            bed.fill(workload, count)
            if turn == "go":
                variables = {"STREAM_KEY": STREAM, "STREAM_GROUP": GROUP}
                runs[turn].append(eat_on(bed, count, command=[str(build)], **variables))
            else:
                runs[turn].append(eat_on(bed, count))
        outcome.figures[order] = {name: [run.as_json() for run in eaten] for name, eaten in runs.items()}
        for what, figure in (
            ("throughput", "rate"),
            ("CPU a message", "cpu_us"),
            ("Redis CPU a message", "redis_us"),
        ):
            own, peer = ([getattr(run, figure) for run in runs[name]] for name in ("pipeline", "go"))
            ratio, target = ratios_of(own, peer), _GO_TARGETS[order, figure]
            outcome.figures[order][f"{figure}_ratio"] = ratio.as_json()
            holds = ratio.median >= target if figure == "rate" else ratio.median <= target
            sign = "≥" if figure == "rate" else "≤"
            outcome.rows.append(
                Row("i", f"{order}: {what}, pipeline / Go", ratio.show(), f"{sign} {target:g}", holds)
            )
        peaks = [max(run.peak_mb for run in runs[name]) for name in runs]
        outcome.rows.append(Row("i", f"{order}: peak memory MB, pipeline and Go", f"{peaks[0]:.0f}, {peaks[1]:.0f}"))
    return outcome


_GO_TARGETS = {
    ("sessions", "rate"): 3.0,
    ("sessions", "cpu_us"): 0.30,
    ("sessions", "redis_us"): 0.42,
    ("random", "rate"): 2.0,
    ("random", "cpu_us"): 0.33,
    ("random", "redis_us"): 0.58,
}


def n_plus_one(bed: Testbed, options: Options, say: Say) -> Outcome:
    """(c): the pipeline against one message at a time, both behind the same network."""
    workload = Workload(options.kind, options.order)
    outcome = Outcome()
    for round_trip in (0.0, 0.5, 1.0):
        with ExitStack() as stack:
            network = _Network(bed, round_trip, stack)
            measured = network.ping_ms()
            runs: dict[str, list[_Counted]] = {"pipeline": [], "separate": [], "pipelined": []}
            for turn in turns(options.repeats, tuple(runs)):
                say(f"round trip {round_trip} ms, {turn}")
                runs[turn].append(network.run(turn, workload, options))
        ratios = ratios_of([r.rate for r in runs["pipeline"]], [r.rate for r in runs["separate"]])
        frugal = ratios_of([r.rate for r in runs["pipeline"]], [r.rate for r in runs["pipelined"]])
        trips = {name: Spread([r.trips for r in counted]) for name, counted in runs.items()}
        outcome.figures[str(round_trip)] = {
            "measured_round_trip_ms": measured,
            "ratio": ratios.as_json(),
            "ratio_to_pipelined_boards": frugal.as_json(),
            "round_trips_per_1000": {name: spread.as_json() for name, spread in trips.items()},
            "rates": {name: [r.rate for r in counted] for name, counted in runs.items()},
        }
        at = f"round trip {round_trip:g} ms (measured {measured:.2f})"
        target = ("≥ 50", frugal.median >= 50) if round_trip == 1.0 else ("", None)
        outcome.rows += [
            Row("c", f"pipeline / one at a time, {at}", ratios.show(0, " x"), *target),
            Row("c", "… one at a time with its boards and XACK in one pipeline", frugal.show(0, " x"), *target),
            Row(
                "c",
                "round trips per 1,000 messages: pipeline, one at a time, frugal one",
                ", ".join(f"{trips[name].median:,.1f}" for name in runs),
                "≤ 8 (pipeline)",
                trips["pipeline"].median <= 8,
            ),
        ]
    return outcome


def latency(bed: Testbed, options: Options, say: Say) -> Outcome:
    """(d): from XADD to visible on the board."""
    outcome = Outcome()
    targets = {10: ("p50 ≤ 20", "p50", 20.0), 5000: ("p99 ≤ 60", "p99", 60.0)}
    for rate in (10, 1000, 5000):
        runs = []
        for _ in range(options.repeats):
            say(f"{rate:,} messages/s")
            runs.append(_latency(bed, rate, options.latency_seconds))
        runs.sort(key=lambda run: run["p99"])
        middle = runs[len(runs) // 2]
        outcome.figures[str(rate)] = runs
        shown = ", ".join(f"{middle[name]:.1f}" for name in ("p50", "p99", "p99.9"))
        spread = f"p99 {runs[0]['p99']:.1f} … {runs[-1]['p99']:.1f}; prober late p99 {middle['late_p99']:.1f}"
        text, name, limit = targets.get(rate, ("", "p50", 0.0))
        outcome.rows.append(
            Row(
                "d",
                f"{rate:,}/s: p50, p99, p99.9 in ms ({middle['probes']:,} probes)",
                f"{shown}  ({spread})",
                text,
                middle[name] <= limit if text else None,
            )
        )
    return outcome


def instances(bed: Testbed, options: Options, say: Say) -> Outcome:
    """(e): two processes on one group against one."""
    workload = Workload(options.kind, options.order)
    count = options.messages * 2
    runs: dict[str, list[Eaten]] = {"1": [], "2": []}
    for turn in turns(options.repeats, ("1", "2")):
        say(f"{turn} instance(s), {count:,} messages")
        bed.fill(workload, count)
        runs[turn].append(eat_on(bed, count, instances=int(turn)))
    ratios = ratios_of([run.rate for run in runs["2"]], [run.rate for run in runs["1"]])
    outcome = Outcome({name: [run.as_json() for run in eaten] for name, eaten in runs.items()})
    outcome.figures["ratio"] = ratios.as_json()
    shares = {name: Spread([run.redis_share for run in eaten]) for name, eaten in runs.items()}
    possible = Spread([_two_at_most(run) for run in runs["1"]])
    outcome.figures["possible_on_these_cores"] = possible.as_json()
    outcome.rows += [
        Row("e", "2 instances / 1", ratios.show(2, " x"), "≥ 1.6", ratios.median >= 1.6),
        Row("e", f"… at most, by CPU a message on {os.cpu_count()} cores", possible.show(2, " x")),
        Row("e", "Redis's share of its core: 1, 2", ", ".join(f"{shares[n].median:.0%}" for n in runs)),
        Row(
            "e",
            "CPU a message of the pipeline, 2 / 1",
            ratios_of([run.cpu_us for run in runs["2"]], [run.cpu_us for run in runs["1"]]).show(),
        ),
    ]
    return outcome


def embedded(bed: Testbed, options: Options, say: Say) -> Outcome:
    """(f): the same backlog on the embedded stores, by turns with (a)."""
    workload = Workload(options.kind, options.order)
    runs: dict[str, list[Eaten]] = {"embedded": [], "deployed": []}
    for turn in turns(options.repeats, tuple(runs)):
        say(f"{turn}, {options.messages:,} messages")
        if turn == "embedded":
            runs[turn].append(_embedded(bed, workload, options.messages))
        else:
            bed.fill(workload, options.messages)
            runs[turn].append(eat_on(bed, options.messages))
    ratios = ratios_of([run.rate for run in runs["embedded"]], [run.rate for run in runs["deployed"]])
    outcome = Outcome({name: [run.as_json() for run in eaten] for name, eaten in runs.items()})
    outcome.figures["ratio"] = ratios.as_json()
    rate = Spread([run.rate for run in runs["embedded"]])
    cost = ratios_of([run.cpu_us for run in runs["embedded"]], [run.cpu_us for run in runs["deployed"]])
    outcome.rows += [
        Row("f", "embedded stores (SQLite, Redis with AOF): messages/s", rate.show(0)),
        Row("f", "embedded / deployed, throughput", ratios.show()),
        Row("f", "embedded / deployed, CPU a message (SQLite's included)", cost.show()),
    ]
    return outcome


def events(bed: Testbed, options: Options, say: Say) -> Outcome:
    """(events): the same backlog without events, and with them: they wait in Redis, or go into DuckDB meanwhile."""
    workload, lease = Workload(options.kind, options.order), StreamKeys(STREAM).events_lease
    runs: dict[str, list[Eaten]] = {"without": [], "posted": [], "exported": []}
    for turn in turns(options.repeats, tuple(runs)):
        say(f"{turn}, {options.messages:,} messages")
        bed.fill(workload, options.messages)
        if turn == "posted":
            bed.redis.set(lease, "nobody")  # so the exporter waits
        events = "false" if turn == "without" else "true"
        runs[turn].append(
            eat_on(
                bed,
                options.messages,
                EVENTS=events,
                EVENTS_USER_KEY="the key of the benchmark",
                EVENTS_MAX=str(2 * options.messages),
            )
        )
    outcome = Outcome({name: [run.as_json() for run in eaten] for name, eaten in runs.items()})
    for turn, what in (("posted", "posted"), ("exported", "posted and exported meanwhile")):
        for name, figure, target in (("Redis CPU", "redis_us", 1.1), ("CPU", "cpu_us", None)):
            ratio = ratios_of(*([getattr(run, figure) for run in runs[it]] for it in (turn, "without")))
            goal = (f"≤ {target}", ratio.median <= target) if target and turn == "posted" else ()
            outcome.rows.append(Row("events", f"{name} a message, events {what} / none", ratio.show(), *goal))
    return outcome


def llm_lane(bed: Testbed, options: Options, say: Say) -> Outcome:
    """(g): the latency of messages that rules decide, while 20 % of all need an LLM that behaves in several ways."""
    outcome = Outcome()
    for mode in ("answers", "hangs", "500", "prose", "lies"):
        alone, beside = [], []
        for turn in turns(options.repeats, ("alone", "beside")):
            say(f"LLM {mode}, {turn}")
            if turn == "alone":
                alone.append(_latency(bed, _LLM_RATE, options.latency_seconds))
            else:
                beside.append(_latency(bed, _LLM_RATE, options.latency_seconds, mode))
        ratios = ratios_of([run["p99"] for run in beside], [run["p99"] for run in alone])
        asked = Spread([run["llm_requests_per_1000"] for run in beside])
        outcome.figures[mode] = {"alone": alone, "beside": beside, "p99_ratio": ratios.as_json()}
        outcome.rows += [
            Row(
                "g",
                f"p99, 20 % unknown / none; LLM: {_LLM_MODES[mode]}",
                ratios.show(),
                "≤ 1.2",
                ratios.median <= 1.2,
            ),
            Row("g", "… requests per 1,000 messages that no rule knows", asked.show(0)),
        ]
    return outcome


def beyond_one_node(bed: Testbed, options: Options, say: Say) -> Outcome:
    """(h): the same backlog on a cluster of three masters and on three partitions, compared with (a)."""
    workload, count = Workload(options.kind, options.order), options.messages
    runs: dict[str, list[Eaten]] = {name: [] for name in LAYOUTS}
    with ExitStack() as stack:
        cluster = Cluster(bed, stack)
        for turn in turns(options.repeats, tuple(runs)):
            say(f"{LAYOUTS[turn].what}, {count:,} messages")
            runs[turn].append(cluster.eat(LAYOUTS[turn], workload, count))
    outcome = Outcome({name: [run.as_json() for run in eaten] for name, eaten in runs.items()})
    one = runs.pop(ONE)
    for name, eaten in runs.items():
        rate = ratios_of([run.rate for run in eaten], [run.rate for run in one])
        cpu = ratios_of([run.cpu_us for run in eaten], [run.cpu_us for run in one])
        redis_cpu = ratios_of([run.redis_us for run in eaten], [run.redis_us for run in one])
        outcome.figures[f"{name}, ratio"] = rate.as_json()
        outcome.rows += [
            Row("h", f"{LAYOUTS[name].what} / {LAYOUTS[ONE].what}: throughput", rate.show()),
            Row("h", "… CPU a message: pipeline; Redis, all nodes", f"{cpu.show()}; {redis_cpu.show()}"),
        ]
    return outcome


def start_up(bed: Testbed, options: Options, say: Say) -> Outcome:
    """(start): what a process costs until its first read, with bytecode, as the image has it."""
    seconds, megabytes = [], []
    for repeat in range(options.repeats):
        say(f"start {repeat + 1}")
        bed.redis.flushall()
        pipeline = PipelineProcess(bed.variables(), bed.log())
        try:
            wait_for(pipeline.has_begun, 60, "the pipeline does not begin")
            seconds.append(cpu_seconds(pipeline.pid))
            megabytes.append(peak_mb(pipeline.pid))
            pipeline.stop()
        finally:
            pipeline.kill()
    cpu, memory = Spread(seconds), Spread(megabytes)
    rows = [
        Row("start", "CPU seconds until the first read", cpu.show(), "≤ 0.45", cpu.median <= 0.45),
        Row("start", "memory MB at the first read", memory.show(0)),
    ]
    return Outcome({"cpu_seconds": cpu.as_json(), "memory_mb": memory.as_json()}, rows)


_LLM_RATE = 1000.0
_LLM_MODES = {
    "answers": "answers in 2 s",
    "hangs": "hangs",
    "500": "says 500",
    "prose": "talks prose",
    "lies": "lies about the format",
}

SCENARIOS: dict[str, tuple[str, Scenario]] = {
    "a": ("end to end, and its ceiling", end_to_end),
    "c": ("one message at a time", n_plus_one),
    "d": ("latency", latency),
    "e": ("instances", instances),
    "f": ("embedded stores", embedded),
    "g": ("the LLM's lane", llm_lane),
    "h": ("beyond one node and one stream", beyond_one_node),
    "i": ("the Go program", go_peer),
    "events": ("with events and without", events),
    "collect": ("posts to the collector", collect),
    "start": ("start-up", start_up),
}


def _cost_rows(part: str, backlog: str, eaten: list[Eaten], memory_target: int | None = None) -> list[Row]:
    peak = max(run.peak_mb for run in eaten)
    memory = (f"< {memory_target}", peak < memory_target) if memory_target else ("", None)
    return [
        Row(part, f"messages/s, backlog {backlog}", Spread([run.rate for run in eaten]).show(0)),
        Row(part, "CPU µs a message: pipeline", Spread([run.cpu_us for run in eaten]).show(1)),
        Row(part, "CPU µs a message: Redis", Spread([run.redis_us for run in eaten]).show(1)),
        Row(part, "peak memory MB", f"{peak:.0f}", *memory),
    ]


def _ceiling_rows(eaten: list[Eaten], ceilings: list[dict[str, float]], outcome: Outcome) -> list[Row]:
    rates = Spread([run["messages"] / run["seconds"] for run in ceilings])
    redis_us = Spread([run["redis_cpu"] / run["messages"] * 1e6 for run in ceilings])
    share = ratios_of([run.rate for run in eaten], rates.values)
    slower = [max(run.cpu_us, run.redis_us) for run in eaten]
    by_cpu = ratios_of(redis_us.values, slower)
    outcome.figures |= {"share_of_ceiling": share.as_json(), "share_of_ceiling_by_cpu": by_cpu.as_json()}
    return [
        Row("b", "messages/s of the ceiling", rates.show(0)),
        Row("b", "CPU µs a message of Redis at the ceiling", redis_us.show(1)),
        Row("b", "share of the ceiling, by the clock", share.show(), "≥ 0.60", share.median >= 0.6),
        Row("b", "share of the ceiling, by CPU (a core each)", by_cpu.show(), "≥ 0.60", by_cpu.median >= 0.6),
    ]


def _two_at_most(one: Eaten) -> float:
    """The greatest possible speed-up of two instances, which share Redis's core and the cores of the machine."""
    alone = 1 / max(one.cpu_us, one.redis_us)
    all_together = one.cpu_us + one.redis_us + one.store_cpu / one.messages * 1e6
    return min(2 / one.cpu_us, 1 / one.redis_us, (os.cpu_count() or 1) / all_together) / alone


def _ceiling(bed: Testbed, count: int) -> dict[str, float]:
    result: dict[str, float] = json.loads(output_of("bench.ceiling", str(bed.redis_port), str(count), str(BATCH_MAX)))
    return result


@dataclass(frozen=True)
class _Counted:
    rate: float
    trips: float
    """Round trips per 1,000 messages."""


class _Network:
    """The proxy of a round trip, in front of both servers."""

    def __init__(self, bed: Testbed, round_trip_ms: float, stack: ExitStack) -> None:
        self._bed = bed
        uri = urlsplit(bed.mongo_uri)
        host = uri.netloc.rpartition("@")[2]
        targets = [bed.redis_address, host if ":" in host else f"{host}:27017"]
        self.redis_port, mongo_port, self._control, _ = stack.enter_context(
            module("bench.delaying_proxy", str(round_trip_ms), *targets)
        )
        netloc = uri.netloc.replace(host, f"127.0.0.1:{mongo_port}")
        query = uri.query if "directConnection" in uri.query else f"{uri.query}&directConnection=true".lstrip("&")
        self.mongo_uri = urlunsplit(uri._replace(netloc=netloc, path=uri.path or "/", query=query))

    def ping_ms(self) -> float:
        with redis.Redis(port=self.redis_port) as client:
            return Spread([_timed(client.ping) for _ in range(200)]).median * 1000

    def run(self, version: str, workload: Workload, options: Options) -> _Counted:
        if version == "pipeline":
            return self._pipeline(workload, options)
        return self._one_at_a_time(workload, options.n_plus_one_messages, version == "separate")

    def _pipeline(self, workload: Workload, options: Options) -> _Counted:
        count = options.messages
        self._bed.fill(workload, count)
        variables = self._bed.variables(REDIS_ADDR=f"127.0.0.1:{self.redis_port}", MONGO_URI=self.mongo_uri)
        eaten = eat(
            Watch.on(self._bed.redis), count, variables, self._bed.log, counter=lambda: read_number(self._control)
        )
        assert eaten.requests is not None
        return _Counted(eaten.rate, eaten.requests / eaten.messages * 1000)

    def _one_at_a_time(self, workload: Workload, count: int, separate: bool) -> _Counted:
        warm_up = count // 10
        self._bed.fill(workload, count + warm_up)
        before = read_number(self._control)
        printed = output_of(
            "bench.one_at_a_time", str(self.redis_port), self.mongo_uri, DATABASE, str(count), str(int(separate))
        )
        trips = read_number(self._control) - before
        result = json.loads(printed)
        return _Counted(result["messages"] / result["seconds"], trips / (count + warm_up) * 1000)


def _latency(bed: Testbed, rate: float, seconds: float, llm: str = "") -> dict[str, float]:
    """If `llm` is given, no rule knows the window of one message in five, and the LLM behaves as `llm` says."""
    bed.redis.flushall()
    with ExitStack() as stack:
        variables, control = {}, 0
        if llm:
            port, control, _ = stack.enter_context(module("bench.llm_stand_in", llm))
            variables = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"}
        pipeline = PipelineProcess(bed.variables(**variables), bed.log())
        stack.callback(pipeline.kill)
        wait_for(pipeline.has_begun, 60, "the pipeline does not begin")
        cpu, redis_cpu = cpu_seconds(pipeline.pid), Watch.on(bed.redis).redis_cpu()
        share = _UNKNOWN_SHARE if llm else 0.0
        result: dict[str, float] = json.loads(
            output_of("bench.latency", str(bed.redis_port), str(rate), str(seconds), str(share))
        )
        result["pipeline_cpu_us"] = (cpu_seconds(pipeline.pid) - cpu) / (rate * seconds) * 1e6
        result["redis_cpu_us"] = (Watch.on(bed.redis).redis_cpu() - redis_cpu) / (rate * seconds) * 1e6
        if llm:
            result["llm_requests_per_1000"] = read_number(control) / result["unknown"] * 1000
        assert not bed.redis.xlen(f"{STREAM}:dlq")
        pipeline.stop()
    return result


def _embedded(bed: Testbed, workload: Workload, count: int) -> Eaten:
    """Uses a new data directory: one pipeline creates it, then it is filled, then another pipeline consumes it."""
    directory = Path(bed.log().with_suffix(""))
    variables = {"DATA_DIR": str(directory)}
    server = EmbeddedRedis(directory)
    server.start()
    try:
        with redis.Redis(unix_socket_path=str(directory / "redis.sock"), decode_responses=True) as client:
            first = PipelineProcess(variables, bed.log())
            wait_for(first.has_begun, 60, "the pipeline does not begin")
            first.stop()
            client.flushall()
            fill_sqlite(directory / "pomocore.db", workload, count)
            fill_stream(str(directory / "redis.sock"), workload, count)
            return eat(Watch.on(client), count, variables, bed.log)
    finally:
        server.close()


def _timed(call: Callable[[], Any]) -> float:
    started = perf_counter()
    call()
    return perf_counter() - started
