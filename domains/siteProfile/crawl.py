"""The crawler: finds the sites that enough users have in front and nobody knows, and has them visited."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import time
from typing import NamedTuple, TypeVar

from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.urls import split_url
from domains.siteProfile.choice import SiteChoice, rules_know
from domains.siteProfile.model import PageFacts, SiteProfile, SiteState, VisitOutcome
from domains.siteProfile.ports import SharedSitesPort, SiteObserver, SiteProfileRepositoryPort
from domains.siteProfile.visits import DAY
from domains.workQueue.model import NewJob
from domains.workQueue.ports import WorkQueuePort

T = TypeVar("T")

_AT_ONCE = 500
_MOST = 5_000
"""Sites that one crawl queues: at one request a second, a day's work."""


class Crawled(NamedTuple):
    """What a crawl has done so far.

    `seen` sites had enough users. `queued` will be visited, `resumed` of them because a visit before was interrupted.
    `analysed_again` are pages that still waited for the analyser; `shared` categories are with all instances now.
    """

    seen: int = 0
    queued: int = 0
    resumed: int = 0
    analysed_again: int = 0
    shared: int = 0


class NoSite(ValueError):
    """A host that may not be looked at. The text says why, for a person."""


class SiteCrawl:
    def __init__(
        self,
        profiles: SiteProfileRepositoryPort,
        shared: SharedSitesPort,
        new: WorkQueuePort,
        fetched: WorkQueuePort,
        choice: SiteChoice,
        classifier: PatternClassifier,
        observer: SiteObserver,
        min_users: int,
        days: float,
    ) -> None:
        self._profiles = profiles
        self._shared = shared
        self._new = new
        self._fetched = fetched
        self._choice = choice
        self._classifier = classifier
        self._observer = observer
        self._min_users = min_users
        self._days = days

    async def run(self, progress: Callable[[Crawled], Awaitable[None]]) -> Crawled:
        """Queues all that is to be visited. It may die at any point, and is safe to repeat. Raises Outage."""
        done = Crawled()
        seen = await self._shared.seen_by(self._min_users, _MOST)
        for some in _in_parts(seen):
            queued = await self._new.add([NewJob(site) for site in await self._due(some)])
            await self._shared.forget_seen(some)  # last: after a crash before this line they are queued once more
            done = done._replace(seen=done.seen + len(some), queued=done.queued + queued)
            await progress(done)
        resumed, analysed_again = await self._unfinished()
        done = done._replace(queued=done.queued + resumed, resumed=resumed, analysed_again=analysed_again)
        done = done._replace(shared=await self._share_known())
        self._observer.sites_queued(done.queued)
        return done

    async def request(self, host: str) -> str:
        """Queues the site of a host: for a visit if that is due, else for an analysis of the page that is there.

        Returns the site. Raises NoSite, and Outage.
        """
        site = self._choice.site_of_host(split_url(f"https://{host}/")[0])
        if not site:
            raise NoSite(f"{host} is no public site")
        if rules_know(self._classifier.snapshot.rules, site):
            raise NoSite(f"{site} is known by a rule, which comes before its profile")
        profile = await self.find(site)
        if profile is None or profile.state is SiteState.VISITING or self._is_due(profile):
            await self._new.add([NewJob(site)])
        elif profile.facts != PageFacts():
            await self._profiles.save(replace(profile, state=SiteState.FETCHED))
            await self._fetched.add([NewJob(site)])
        else:
            again = datetime.fromtimestamp(profile.visited_at + self._days * DAY, UTC)
            raise NoSite(f"{site} was visited in vain ({profile.outcome or profile.state}); again from {again:%F}")
        return site

    async def find(self, site: str) -> SiteProfile | None:
        return (await self._profiles.find([site])).get(site)

    async def forget(self, site: str) -> bool:
        """Removes what is known of a site, but for the time of its visit. Returns whether there was a profile."""
        profile = await self.find(site)
        if profile is not None:
            await self._profiles.save(SiteProfile(site, profile.visited_at, SiteState.FORGOTTEN))
        await self._shared.share({site: ""})
        await self._shared.forget_seen([site])
        return profile is not None

    async def _due(self, sites: Sequence[str]) -> list[str]:
        """Those that may be visited now."""
        rules, known = self._classifier.snapshot.rules, await self._profiles.find(sites)
        return [
            site
            for site in sites
            if (site not in known or self._is_due(known[site]))
            and self._choice.site_of_host(site) == site
            and not rules_know(rules, site)
        ]

    def _is_due(self, profile: SiteProfile) -> bool:
        return profile.visited_at <= time() - self._days * DAY

    async def _unfinished(self) -> tuple[int, int]:
        """Queues what was interrupted and is due again, and hands on what waits: its job may be lost."""
        interrupted, waiting = list[NewJob](), list[NewJob]()
        async for profile in self._profiles.find_all([SiteState.VISITING, SiteState.FETCHED, SiteState.FAILED]):
            if profile.state is SiteState.FETCHED:
                waiting.append(NewJob(profile.site))
            elif profile.state is SiteState.VISITING or (
                profile.outcome is VisitOutcome.INTERRUPTED and self._is_due(profile)
            ):
                interrupted.append(NewJob(profile.site))
        return await self._new.add(interrupted), await self._fetched.add(waiting)

    async def _share_known(self) -> int:
        """Shares all conclusions: Redis may have lost them."""
        concluded = [profile async for profile in self._profiles.find_all([SiteState.CONCLUDED])]
        for some in _in_parts(concluded):
            await self._shared.share({profile.site: profile.category for profile in some})
        return len(concluded)


def _in_parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[first : first + _AT_ONCE] for first in range(0, len(items), _AT_ONCE))
