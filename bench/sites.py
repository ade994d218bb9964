"""What site profiles spare the LLM: requests and titles for the same kind of windows, before and after.

python -m bench.sites [--messages 5000] [--hosts 300]

A fifth of the messages are windows of unknown sites, each with a title of its own, from ten users. The real pipeline
reads them, first while it knows none of the sites, then after a crawl of the farm (tests/site_farm). Four fifths of
the hosts say what they are, some say nothing, and the others cannot be visited. Prints JSON.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from domains.siteProfile.model import VisitOutcome
from tests.e2e.processes import ROOT, Pipeline, until
from tests.llm_server import LLMServer, llm_server
from tests.messages import message
from tests.servers import RedisServer
from tests.site_farm.farm import Farm, certificate
from tests.site_farm.sites import good_sites, hostile_sites, silent_sites

_STREAM = "pomodoro_pattern_match_stream"
_UNKNOWN_SHARE = 5
_USERS = 10
_WAIT = 240.0


def hosts_of_farm(count: int) -> list[str]:
    farm = Farm()
    good = [site.host for site in good_sites(farm, times=2)]
    silent = silent_sites(farm)
    broken = [host for host, outcome in hostile_sites(farm).items() if outcome is not VisitOutcome.PAGE]
    parts = [(good, count * 8 // 10), (silent, count // 10), (broken, count)]
    chosen = list[str]()
    for hosts, most in parts:
        chosen += hosts[: min(most, count - len(chosen))]
    return chosen


def windows(hosts: list[str], messages: int, phase: str) -> Iterator[dict[str, str]]:
    choice = random.Random(phase)
    for number in range(messages):
        user = f"user-{number % _USERS}"
        if number % _UNKNOWN_SHARE:
            yield message(userId=user, url="https://github.com/a/b", app="Google Chrome", title=f"{phase} {number}")
        else:
            turn, at = divmod(number // _UNKNOWN_SHARE, len(hosts))
            host, user = hosts[at], f"user-{(at + turn) % _USERS}"
            words = " ".join(choice.choices(_WORDS, k=5))
            yield message(userId=user, url=f"https://www.{host}/{words.split()[0]}", app="Google Chrome", title=words)


_WORDS = [
    f"{first}{last}" for first in ("al", "be", "cor", "du", "en", "fa") for last in ("ra", "ton", "mi", "lo", "sk")
]


def measured(redis: RedisServer, llm: LLMServer, sent: list[dict[str, str]]) -> dict[str, int]:
    before = len(llm.requests)
    with redis.client() as client:
        for first in range(0, len(sent), 500):
            with client.pipeline(transaction=False) as pipeline:
                for fields in sent[first : first + 500]:
                    pipeline.xadd(_STREAM, fields)
                pipeline.execute()
        deadline = time.monotonic() + _WAIT
        while time.monotonic() < deadline:
            (state,) = client.xinfo_groups(_STREAM)
            last = client.xinfo_stream(_STREAM)["last-generated-id"]
            deferred = client.xlen(f"{_STREAM}:deferred")  # those that the LLM did not answer in time
            if state["pending"] == deferred == 0 and state["last-delivered-id"] == last:
                break
            time.sleep(0.2)
        else:
            raise TimeoutError("the messages were not all committed")
    asked = [window for request in llm.requests[before:] for window in request.windows if window["app"]]
    return {"requests": len(asked), "titles": sum(bool(window["title"]) for window in asked)}


def run(messages: int, hosts: int, directory: Path) -> dict[str, object]:
    redis, files = RedisServer(directory).start(), certificate(directory)
    command = [sys.executable, "-m", "tests.site_farm", *map(str, files), str(directory / "requests")]
    farm = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert farm.stdout is not None
    ports = farm.stdout.readline().split()
    chosen = hosts_of_farm(hosts)
    with llm_server() as llm:
        pipeline = Pipeline(
            directory,
            REDIS_ADDR=redis.address,
            SITE_PROFILES="true",
            SITE_REQUESTS_PER_SECOND="100",
            OPENAI_API_KEY="sk-bench",
            OPENAI_BASE_URL=llm.url,
            LLM_MAX_CALLS_PER_MINUTE="0",
            LLM_USER_SHARE="1",
            LLM_DAILY_TOKEN_BUDGET="0",
            WORKER_POOL_SIZE="50",
        )
        try:
            running = pipeline.start_module("tests.site_farm.pipeline", "pipeline", str(files[0]), *ports)
            running.until_log("Loaded category patterns")
            before = measured(redis, llm, list(windows(chosen, messages, "before")))
            time.sleep(6)  # the sightings are shared every five seconds
            asked = len(llm.requests)
            pipeline.run("sites", "crawl")
            crawled = time.monotonic()
            until(lambda: drained(redis), "all sites are visited")
            seconds = time.monotonic() - crawled
            of_sites = sum(not w["app"] for request in llm.requests[asked:] for w in request.windows)
            after = measured(redis, llm, list(windows(chosen, messages, "after")))
            states = [profile["state"] for profile in json.loads(pipeline.run(*_LIST).out)]
        finally:
            running.end()
            farm.terminate()
            farm.wait()
            redis.stop()
    unknown = messages // _UNKNOWN_SHARE
    per_thousand = {
        name: {kind: round(1000 * count / unknown) for kind, count in counts.items()}
        for name, counts in (("before", before), ("after", after))
    }
    return {
        "messages": messages,
        "unknown_windows": unknown,
        "hosts": len(chosen),
        "llm_per_1000_unknown_windows": per_thousand,
        "llm_requests_about_sites": of_sites,
        "crawl_seconds": round(seconds, 1),
        "sites": {state: states.count(state) for state in sorted(set(states))},
    }


_LIST = ("sites", "list", "--limit", "10000", "--json")


def drained(redis: RedisServer) -> bool:
    """Whether nothing waits in the two queues, and nothing is in hand."""
    with redis.client() as client:
        return all(
            client.exists(queue)
            and client.xinfo_groups(queue)[0]["pending"] == 0
            and client.xinfo_groups(queue)[0]["last-delivered-id"] == client.xinfo_stream(queue)["last-generated-id"]
            for queue in ("pomocore:sites:new", "pomocore:sites:fetched")
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--hosts", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(run(arguments.messages, arguments.hosts, Path(directory)), indent=2))


if __name__ == "__main__":
    main()
