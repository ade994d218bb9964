"""Kills the workers of site profiles at random instants, and looks for a site that was visited twice or forgotten.

python -m tests.chaos.sites [--seconds 20] [--seed 1]

Workers on a common Redis and store visit the farm; each is killed (-9) again and again and started anew, and Redis
once. Then they are left in peace until nothing waits. What must hold:

- no site got a second request for its front page, nor a second one for its robots.txt;
- every site has a profile with an end, and one of those that were not interrupted is as it would be without kills;
- what is shared in Redis are the categories of the profiles.
"""

import argparse
import asyncio
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from domains.kernel.errors import RedisOutage
from domains.siteProfile.model import UNFINISHED, SiteProfile, SiteState, VisitOutcome
from infrastructure.composition.container import Container, running_container
from infrastructure.settings import Settings
from tests.e2e.processes import ROOT, environment
from tests.servers import RedisServer
from tests.site_farm.farm import Farm, certificate
from tests.site_farm.sites import good_sites

_WORKERS = 3
_LONGEST_LIFE = 1.5
_PATIENCE = 90.0


class Workers:
    def __init__(self, command: list[str], settings: dict[str, str]) -> None:
        self._command = command
        self._settings = settings
        self._running: list[subprocess.Popen[bytes]] = []
        self.killed = 0

    def start(self) -> None:
        environ = environment(**self._settings)
        out = subprocess.DEVNULL
        self._running.append(subprocess.Popen(self._command, env=environ, cwd=ROOT, stdout=out, stderr=out))

    def kill_one(self, choice: random.Random) -> None:
        victim = self._running.pop(choice.randrange(len(self._running)))
        victim.kill()
        victim.wait()
        self.killed += 1

    def stop(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            process.wait(40)


async def run(seconds: float, seed: int, directory: Path) -> int:
    choice, redis = random.Random(seed), RedisServer(directory).start()
    files, requests = certificate(directory), directory / "requests"
    farm_command = [sys.executable, "-m", "tests.site_farm", *map(str, files), str(requests)]
    farm = subprocess.Popen(farm_command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert farm.stdout is not None
    ports = farm.stdout.readline().split()
    settings = {
        "REDIS_ADDR": redis.address,
        "DATA_DIR": str(directory),
        "SITE_PROFILES": "true",
        "SITE_REQUESTS_PER_SECOND": "12",
        "CLAIM_IDLE_MS": "1000",
    }
    command = [sys.executable, "-m", "tests.site_farm.pipeline", "work", str(files[0]), *ports]
    workers = Workers(command, settings)
    sites = good_sites(Farm())
    try:
        async with running_container(Settings(**{name.lower(): value for name, value in settings.items()})) as it:
            await it.classifier().load()
            for site in sites:
                await it.site_crawl().request(site.host)
            for _ in range(_WORKERS):
                workers.start()
            end, restart_redis = time.monotonic() + seconds, True
            while time.monotonic() < end:
                await asyncio.sleep(choice.uniform(0.1, _LONGEST_LIFE))
                workers.kill_one(choice)
                workers.start()
                if restart_redis and time.monotonic() > end - seconds / 2:
                    redis.kill()
                    redis.start()
                    restart_redis = False
            await _until_nothing_waits(it)
            profiles = await it.site_profiles().find([site.host for site in sites])
            shared = await it.shared_sites().categories_of(list(profiles))
    finally:
        workers.stop()
        farm.terminate()
        farm.wait()
        redis.stop()
    return _judged({site.host: site.category for site in sites}, profiles, shared, requests, workers.killed)


async def _until_nothing_waits(container: Container) -> None:
    queues = container.sites_new_queue(), container.sites_fetched_queue()
    async with asyncio.timeout(_PATIENCE):
        while True:
            with suppress(RedisOutage):  # its server was killed
                if all([(await queue.figures()).drained for queue in queues]):
                    return
            await asyncio.sleep(0.5)


def _judged(
    due: dict[str, str], profiles: dict[str, SiteProfile], shared: dict[str, str], requests: Path, killed: int
) -> int:
    asked = Counter(requests.read_text().splitlines())
    states = Counter(profile.state for profile in profiles.values())
    interrupted = {s for s, profile in profiles.items() if profile.outcome is VisitOutcome.INTERRUPTED}
    faults = {
        "visited twice": [line for line, times in asked.items() if times > 1],
        "forgotten": [site for site in due if site not in profiles or profiles[site].state in UNFINISHED],
        "lost its page": [s for s in due.keys() - interrupted if profiles[s].outcome is not VisitOutcome.PAGE],
        "wrong": [s for s, profile in profiles.items() if profile.category not in ("", due[s])],
        "shared otherwise": [
            s
            for s, p in profiles.items()
            if shared.get(s, "") != (p.category if p.state is SiteState.CONCLUDED else "")
        ],
    }
    print(
        f"{len(due)} sites, {killed} kills and a restart of Redis: {sum(asked.values())} requests, "
        f"{len(interrupted)} interrupted, " + ", ".join(f"{count} {state}" for state, count in states.items())
    )
    for fault, found in faults.items():
        if found:
            print(f"{fault}: {', '.join(sorted(found))}")
    return 1 if any(faults.values()) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(asyncio.run(run(arguments.seconds, arguments.seed, Path(directory))))


if __name__ == "__main__":
    main()
