"""The fetcher on a farm of made-up sites: no site leads it out of the farm, and none holds it up."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from ssl import SSLContext
from time import thread_time

import pytest

from domains.kernel.errors import RedisOutage
from domains.patternClassifier.privacy import Privacy
from domains.siteProfile.choice import SiteChoice
from domains.siteProfile.conclusion import conclude
from domains.siteProfile.lexicon import evidence_of_words
from domains.siteProfile.markup import evidence_of_markup
from domains.siteProfile.model import VisitOutcome
from domains.siteProfile.ports import Visit
from infrastructure.settings import Settings
from infrastructure.sites.fetcher import SiteFetcher, user_agent
from infrastructure.sites.public_suffixes import PublicSuffixes
from tests.site_farm.farm import Farm, FarmResolver, certificate, client_tls, server_tls
from tests.site_farm.sites import good_sites, hostile_sites, silent_sites

AGENT = user_agent("1.0", "https://pomocore.example/sites")
MIN_CONFIDENCE = Settings.model_fields["site_min_confidence"].default


@pytest.fixture(scope="module")
def made_certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("farm"))


@pytest.fixture
async def farm(made_certificate: tuple[Path, Path]) -> AsyncIterator[Farm]:
    async with Farm().open(server_tls(made_certificate)) as farm:
        yield farm


@pytest.fixture
def tls(made_certificate: tuple[Path, Path]) -> SSLContext:
    return client_tls(made_certificate)


@pytest.fixture
def fetcher(farm: Farm, tls: SSLContext) -> SiteFetcher:
    return make_fetcher(farm, tls)


async def at_once() -> None:
    """A turn that need not be waited for."""


def make_fetcher(
    farm: Farm, tls: SSLContext, turn: Callable[[], Awaitable[None]] = at_once, seconds: float = 8.0
) -> SiteFetcher:
    choice = SiteChoice(PublicSuffixes(), Privacy())
    return SiteFetcher(choice, turn, AGENT, farm.may_connect, FarmResolver(farm), tls, seconds)


class LongestTurn:
    """The most CPU time that the event loop has spent without serving this task.

    CPU time and not time: on a busy machine, other processes take theirs.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    async def watch(self) -> None:
        while True:
            before = thread_time()
            await asyncio.sleep(0)
            self.seconds = max(self.seconds, thread_time() - before)
            await asyncio.sleep(0.001)


async def visits(fetcher: SiteFetcher, hosts: Iterable[str], at_once: int = 16) -> dict[str, Visit]:
    few = asyncio.Semaphore(at_once)

    async def visit(host: str) -> tuple[str, Visit]:
        async with few:
            return host, await fetcher.visit(host)

    return dict(await asyncio.gather(*map(visit, hosts)))


async def test_no_hostile_site_leads_anywhere_or_holds_up_the_event_loop(farm: Farm, fetcher: SiteFetcher) -> None:
    due = hostile_sites(farm)
    turn = LongestTurn()
    gc.collect()
    gc.freeze()  # a full collection of all that pytest has loaded takes longer than the bound
    watching = asyncio.create_task(turn.watch())

    found = await visits(fetcher, due)

    watching.cancel()
    gc.unfreeze()
    assert {host: (visit.outcome, visit.detail) for host, visit in found.items() if visit.outcome != due[host]} == {}
    assert farm.trapped == []
    assert farm.allowed == {farm.place}
    assert turn.seconds < 0.05


async def test_good_sites_are_told_by_their_own_words(farm: Farm, fetcher: SiteFetcher) -> None:
    sites = good_sites(farm)

    found = await visits(fetcher, (site.host for site in sites))

    assert {host: visit for host, visit in found.items() if visit.outcome is not VisitOutcome.PAGE} == {}
    concluded = {host: concluded_of(visit) for host, visit in found.items()}
    right = sum(concluded[site.host] == site.category for site in sites)
    wrong = {site.host: concluded[site.host] for site in sites if concluded[site.host] not in ("", site.category)}
    assert right / len(sites) >= 0.8
    assert len(wrong) / len(sites) < 0.03


def concluded_of(visit: Visit) -> str:
    found = conclude([*evidence_of_markup(visit.facts), *evidence_of_words(visit.facts)])
    return found.category if found.confidence >= MIN_CONFIDENCE else ""


async def test_of_a_site_that_says_nothing_nothing_is_concluded(farm: Farm, fetcher: SiteFetcher) -> None:
    hosts = silent_sites(farm)

    found = await visits(fetcher, hosts)

    assert {host: concluded for host in hosts if (concluded := concluded_of(found[host]))} == {}


async def test_a_site_learns_nothing_but_who_asks(farm: Farm, fetcher: SiteFetcher) -> None:
    hostile_sites(farm)

    await fetcher.visit("sets-cookies.com")

    assert [(host, path) for host, path, _ in farm.requests] == [
        ("sets-cookies.com", "/robots.txt"),
        ("sets-cookies.com", "/"),
        ("sets-cookies.com", "/in"),
    ]
    for _, _, headers in farm.requests:
        assert headers.keys() == {"host", "user-agent", "accept", "accept-encoding", "accept-language", "connection"}
        assert headers["user-agent"] == AGENT


async def test_each_request_waits_for_its_turn_and_waiting_takes_none_of_its_time(
    farm: Farm, tls: SSLContext
) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1
        await asyncio.sleep(1)

    good_sites(farm)

    visit = await make_fetcher(farm, tls, turn, seconds=3).visit("tidebank.com")

    assert visit.outcome is VisitOutcome.PAGE
    assert turns == len(farm.requests) == 4


async def test_proxies_of_the_environment_are_not_used(
    farm: Farm, fetcher: SiteFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{farm.trap[1]}")
    good_sites(farm)

    visit = await fetcher.visit("tidebank.com")

    assert visit.outcome is VisitOutcome.PAGE
    assert farm.trapped == []


async def test_an_outage_while_waiting_for_a_turn_is_no_fault_of_the_site(farm: Farm, tls: SSLContext) -> None:
    async def turn() -> None:
        raise RedisOutage("away")

    with pytest.raises(RedisOutage):
        await make_fetcher(farm, tls, turn).visit("tidebank.com")

    assert farm.requests == []
