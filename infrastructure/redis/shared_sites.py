"""What all instances share about unknown sites, in Redis."""

from collections.abc import Collection, Mapping
from typing import cast

from redis.asyncio import Redis

from domains.pomodoro.model import digest_of
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import SiteKeys

_MOST_SITES = 100_000
"""Sites that are counted. Beyond it, those with the fewest users are left out."""
_REMEMBERED_SECONDS = 30 * 86_400


class RedisSharedSites:
    """SharedSitesPort. Users go into HyperLogLogs as digests.

    All instances together take at most `requests_per_second` turns.
    """

    def __init__(
        self, client: Redis, keys: SiteKeys, requests_per_second: float = 1.0, most_sites: int = _MOST_SITES
    ) -> None:
        self._client = client
        self._keys = keys
        self._seconds = 1 / requests_per_second
        self._most_sites = most_sites
        self._note = client.register_script(scripts.NOTE_SITES)
        self._take_turn = client.register_script(scripts.TAKE_SITE_TURN)

    async def note_seen(self, seen: Collection[tuple[str, str]]) -> None:
        flat = [text for site, user in seen for text in (site, digest_of(site, user))]
        arguments: list[str | int] = [self._keys.users, _REMEMBERED_SECONDS, self._most_sites, *flat]
        await guarded(self._client, self._note(keys=[self._keys.seen], args=arguments))

    async def seen_by(self, users: int, limit: int) -> list[str]:
        found = self._client.zrevrangebyscore(self._keys.seen, "+inf", users, 0, limit)
        return cast("list[str]", await guarded(self._client, found))

    async def forget_seen(self, sites: Collection[str]) -> None:
        if sites:
            await guarded(self._client, self._client.zrem(self._keys.seen, *sites))
            await guarded(self._client, self._client.delete(*(self._keys.users + site for site in sites)))

    async def share(self, categories: Mapping[str, str]) -> None:
        there: dict[str, str] = {site: category for site, category in categories.items() if category}
        if there:
            await guarded(self._client, self._client.hset(self._keys.categories, mapping=there))  # type: ignore[arg-type]
        if gone := categories.keys() - there.keys():
            await guarded(self._client, self._client.hdel(self._keys.categories, *gone))

    async def categories_of(self, sites: Collection[str]) -> dict[str, str]:
        asked = list(sites)
        if not asked:
            return {}
        found = await guarded(self._client, self._client.hmget(self._keys.categories, asked))
        return {site: category for site, category in zip(asked, found, strict=True) if category}

    async def seconds_to_wait(self) -> float:
        return float(await guarded(self._client, self._take_turn(keys=[self._keys.turn], args=[self._seconds])))
