"""What site profiles want from the outside: public suffixes, a fetcher, a store, and what all instances share."""

from collections.abc import AsyncIterator, Collection, Mapping
from typing import NamedTuple, Protocol

from domains.kernel.errors import RedisOutage
from domains.siteProfile.model import PageFacts, SiteProfile, SiteState, VisitOutcome


class RegistrableDomainsPort(Protocol):
    def of(self, host: str) -> str:
        """The registrable domain of a canonical host; empty where it has none. Needs no network."""


class Visit(NamedTuple):
    """How a visit ended. There are `facts` where the outcome is a page; else `detail` says why in a few words."""

    outcome: VisitOutcome
    facts: PageFacts = PageFacts()
    detail: str = ""


class SiteFetcherPort(Protocol):
    async def visit(self, site: str) -> Visit:
        """Looks at the front page of a site, with no more than a few requests. Whatever the site does is an outcome.

        Connects to public addresses only. Raises RedisOutage where it cannot wait for its turn.
        """


class SiteProfileRepositoryPort(Protocol):
    """The profiles, one a site. Methods raise StoreOutage, or StoreRefused if the data are at fault."""

    async def begin_visit(self, site: str, now: float, visited_before: float) -> bool:
        """Notes that a visit begins now, unless one began after `visited_before`. Returns whether it was noted.

        Of several callers one gets True. The facts and the category of the visit before stay until `save`. When this
        returns, the note outlives the process.
        """

    async def find(self, sites: Collection[str]) -> dict[str, SiteProfile]:
        """The profiles of these sites, where there are any."""

    def find_all(self, states: Collection[SiteState]) -> AsyncIterator[SiteProfile]:
        """All profiles in these states, ordered by site, without loading all into memory."""

    async def save(self, profile: SiteProfile) -> bool:
        """Replaces the stored profile of the same visit. Returns whether there was one: a later visit is kept."""


class SharedSitesPort(Protocol):
    """What all instances share about sites. Every method raises RedisOutage."""

    async def note_seen(self, seen: Collection[tuple[str, str]]) -> None:
        """Counts users (second) on sites (first), without keeping who they are. Repeats do not count."""

    async def seen_by(self, users: int, limit: int) -> list[str]:
        """Up to `limit` noted sites that at least so many different users had in front, those with the most first."""

    async def forget_seen(self, sites: Collection[str]) -> None:
        """Removes sites from those that were noted, with their counts."""

    async def share(self, categories: Mapping[str, str]) -> None:
        """Makes categories of sites known to all instances; an empty one withdraws it."""

    async def categories_of(self, sites: Collection[str]) -> dict[str, str]:
        """The shared categories of these sites, in one round trip."""

    async def seconds_to_wait(self) -> float:
        """Takes the next turn of a request, and returns in how many seconds it comes."""


class SiteObserver:
    """Gets what happens to sites, for logs and metrics. A base class like ConsumerObserver; must not raise."""

    def site_visited(self, site: str, outcome: VisitOutcome, seconds: float) -> None: ...

    def site_concluded(self, profile: SiteProfile) -> None:
        """A site was analysed; without a category, the evidence allows no conclusion."""

    def sites_queued(self, sites: int) -> None:
        """So many sites were found that will be visited."""

    def sites_not_noted(self, cause: RedisOutage) -> None:
        """What users had in front could not be counted. It is tried again."""
