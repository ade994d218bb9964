"""Site profiles over HTTP: what is known of unknown sites, with the evidence; changes need the token."""

from collections.abc import Callable

from aiohttp import web

from domains.siteProfile.crawl import NoSite, SiteCrawl
from domains.siteProfile.model import SiteProfile, SiteState
from domains.siteProfile.ports import SiteProfileRepositoryPort
from infrastructure.http import schemas
from infrastructure.http.endpoint import Endpoint
from infrastructure.http.guard import Guard


class SiteApi:
    """The handlers. `crawl` is None where SITE_PROFILES is off: what is known of sites is shown all the same."""

    def __init__(
        self, profiles: SiteProfileRepositoryPort, crawl: Callable[[], SiteCrawl] | None, guard: Guard
    ) -> None:
        self._profiles = profiles
        self._crawl = crawl
        self._guard = guard

    async def sites(self, request: web.Request, query: schemas.SiteQuery) -> schemas.Sites:
        states = list(SiteState) if query.state is None else [SiteState(query.state)]
        found = list[schemas.Site]()
        async for profile in self._profiles.find_all(states):
            if profile.site <= query.after:
                continue
            if len(found) == query.limit:
                return schemas.Sites(content=found, has_more=True)
            found.append(_site(profile))
        return schemas.Sites(content=found, has_more=False)

    async def visit(self, request: web.Request, which: schemas.SiteName, _: schemas.Nothing) -> schemas.QueuedSite:
        try:
            site = await self._sites().request(which.site)
        except NoSite as reason:
            raise web.HTTPConflict(text=str(reason)) from None
        await self._guard.changed(request, "had a site visited", site)
        return schemas.QueuedSite(site=site)

    async def forget(self, request: web.Request, which: schemas.SiteName, _: schemas.Nothing) -> schemas.Nothing:
        if not await self._sites().forget(which.site):
            raise web.HTTPNotFound(text=f"nothing is known of {which.site}")
        await self._guard.changed(request, "forgot a site", which.site)
        return schemas.Nothing()

    def _sites(self) -> SiteCrawl:
        if self._crawl is None:
            raise web.HTTPConflict(text="site profiles are off (SITE_PROFILES)")
        return self._crawl()

    @property
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET", "/api/sites", self.sites, "What is known of sites that no rule knows, with the evidence",
                schemas.Sites, schemas.SiteQuery,
            ),
            Endpoint(
                "POST", "/api/sites/{site}/visit", self.visit,
                "Queues a visit to a site, or a new analysis of the page that is there",
                schemas.QueuedSite, schemas.SiteName, schemas.Nothing, access="token", problems=(409,),
            ),
            Endpoint(
                "POST", "/api/sites/{site}/forget", self.forget, "Removes what is known of a site",
                schemas.Nothing, schemas.SiteName, schemas.Nothing, access="token", problems=(404, 409),
            ),
        ]  # fmt: skip


def _site(profile: SiteProfile) -> schemas.Site:
    return schemas.Site(
        site=profile.site,
        state=profile.state.value,
        visited_at=profile.visited_at,
        outcome=profile.outcome.value if profile.outcome else None,
        detail=profile.detail,
        category=profile.category or None,
        confidence=profile.confidence,
        title=profile.facts.title,
        evidence=[
            schemas.SiteReason(kind=each.kind.value, found=each.found, category=each.category, weight=each.weight)
            for each in profile.evidence
        ],
    )
