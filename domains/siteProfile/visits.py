"""The fetcher's work: visits a site once in `days`, whatever dies meanwhile, and hands its page to the analyser.

| found in the store                  | what it means                    | what is done                              |
|-------------------------------------|----------------------------------|-------------------------------------------|
| nothing, or a visit long ago        | the site is due                  | the visit is noted, and then made         |
| a visit that began and has no end   | another worker is at it, or died | after a while: interrupted, and not made  |
|                                     |                                  | again before it is due                    |
| a page that waits                   | a worker died behind its visit   | handed on once more                       |
| anything else                       | the job came twice               | nothing                                   |

The note comes before the first request, so a site never gets a second visit, at the price that a worker's death may
cost a site its visit until the next one is due.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import monotonic, time

from domains.siteProfile.choice import SiteChoice
from domains.siteProfile.model import SiteProfile, SiteState, VisitOutcome
from domains.siteProfile.ports import SiteFetcherPort, SiteObserver, SiteProfileRepositoryPort
from domains.workQueue.model import Job, JobFailed, NewJob
from domains.workQueue.ports import WorkQueuePort

DAY = 86_400.0
_LONGEST_VISIT = 90.0
"""Seconds. A visit that has no end by then was interrupted."""


class SiteVisits:
    def __init__(
        self,
        fetcher: SiteFetcherPort,
        profiles: SiteProfileRepositoryPort,
        fetched: WorkQueuePort,
        choice: SiteChoice,
        observer: SiteObserver,
        days: float,
        longest_visit: float = _LONGEST_VISIT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._fetcher = fetcher
        self._profiles = profiles
        self._fetched = fetched
        self._choice = choice
        self._observer = observer
        self._days = days
        self._longest_visit = longest_visit
        self._sleep = sleep

    async def do(self, job: Job) -> None:
        """Does the job of a site, whose name is the job's key. Raises Outage; the job is then safe to repeat."""
        site = job.key
        if not site or self._choice.site_of_host(site) != site:
            raise JobFailed(f"{site!r} is no public site")
        now = time()
        if await self._profiles.begin_visit(site, now, now - self._days * DAY):
            profile = await self._visit(site, now)
        else:
            profile = (await self._profiles.find([site]))[site]
            if profile.state is SiteState.VISITING:
                profile = await self._without_end(profile)
        if profile.state is SiteState.FETCHED:
            await self._fetched.add([NewJob(site)])

    async def _visit(self, site: str, now: float) -> SiteProfile:
        started = monotonic()
        outcome, facts, detail = await self._fetcher.visit(site)
        self._observer.site_visited(site, outcome, monotonic() - started)
        state = SiteState.FETCHED if outcome is VisitOutcome.PAGE else SiteState.FAILED
        profile = SiteProfile(site, now, state, outcome, detail, facts)
        await self._profiles.save(profile)
        return profile

    async def _without_end(self, profile: SiteProfile) -> SiteProfile:
        """Waits for as long as somebody may still be at this visit; what has no end then was interrupted."""
        await self._sleep(max(0.0, profile.visited_at + self._longest_visit - time()))
        profile = (await self._profiles.find([profile.site])).get(profile.site, profile)
        if profile.state is SiteState.VISITING:
            profile = replace(profile, state=SiteState.FAILED, outcome=VisitOutcome.INTERRUPTED)
            await self._profiles.save(profile)
            self._observer.site_visited(profile.site, VisitOutcome.INTERRUPTED, 0.0)
        return profile
