"""Site profiles, and what instances share about sites, in memory."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace

from domains.siteProfile.model import SiteProfile, SiteState


class InMemorySiteProfileRepository:
    def __init__(self) -> None:
        self.profiles: dict[str, SiteProfile] = {}

    async def begin_visit(self, site: str, now: float, visited_before: float) -> bool:
        before = self.profiles.get(site)
        if before is not None and before.visited_at > visited_before:
            return False
        self.profiles[site] = replace(before or SiteProfile(site, now), visited_at=now, state=SiteState.VISITING)
        return True

    async def find(self, sites: Collection[str]) -> dict[str, SiteProfile]:
        return {site: self.profiles[site] for site in sites if site in self.profiles}

    async def find_all(self, states: Collection[SiteState]) -> AsyncIterator[SiteProfile]:
        for site in sorted(self.profiles):
            if self.profiles[site].state in states:
                yield self.profiles[site]

    async def save(self, profile: SiteProfile) -> bool:
        before = self.profiles.get(profile.site)
        if before is None or before.visited_at != profile.visited_at:
            return False
        self.profiles[profile.site] = profile
        return True


class InMemorySharedSites:
    """SharedSitesPort. There is no turn to wait for."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str]] = {}
        self.categories: dict[str, str] = {}

    async def note_seen(self, seen: Collection[tuple[str, str]]) -> None:
        for site, user in seen:
            self.seen.setdefault(site, set()).add(user)

    async def seen_by(self, users: int, limit: int) -> list[str]:
        counts = sorted((-len(seen), site) for site, seen in self.seen.items() if len(seen) >= users)
        return [site for _, site in counts[:limit]]

    async def forget_seen(self, sites: Collection[str]) -> None:
        for site in sites:
            self.seen.pop(site, None)

    async def share(self, categories: Mapping[str, str]) -> None:
        self.categories |= categories
        self.categories = {site: category for site, category in self.categories.items() if category}

    async def categories_of(self, sites: Collection[str]) -> dict[str, str]:
        return {site: self.categories[site] for site in sites if site in self.categories}

    async def seconds_to_wait(self) -> float:
        return 0.0
