"""SiteProfileRepositoryPort on PostgreSQL."""

import json
from collections.abc import AsyncIterator, Collection

from domains.siteProfile.model import SiteProfile, SiteState
from infrastructure.postgres.client import PostgresDatabase
from infrastructure.sqlite.site_profiles import COLUMNS, profile_of

_PAGE = 500


class PostgresSiteProfileRepository:
    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def begin_visit(self, site: str, now: float, visited_before: float) -> bool:
        return bool(
            await self._database.write(
                f"INSERT INTO site_profile ({COLUMNS}) VALUES ($1, $2, $4, NULL, '', '{{}}', '', 0, '[]')"  # noqa: S608
                " ON CONFLICT (site) DO UPDATE SET visited_at = $2, state = $4 WHERE site_profile.visited_at <= $3",
                site,
                now,
                visited_before,
                SiteState.VISITING,
            )
        )

    async def find(self, sites: Collection[str]) -> dict[str, SiteProfile]:
        rows = await self._database.read(
            f"SELECT {COLUMNS} FROM site_profile WHERE site = ANY($1)",  # noqa: S608
            list(sites),
        )
        return {profile.site: profile for profile in map(profile_of, rows)}

    async def find_all(self, states: Collection[SiteState]) -> AsyncIterator[SiteProfile]:
        last = ""
        while rows := await self._database.read(
            f"SELECT {COLUMNS} FROM site_profile WHERE site > $1"  # noqa: S608 - columns only
            " AND state = ANY($2) ORDER BY site LIMIT $3",
            last,
            list(states),
            _PAGE,
        ):
            for row in rows:
                yield profile_of(row)
            last = rows[-1][0]

    async def save(self, profile: SiteProfile) -> bool:
        return bool(
            await self._database.write(
                "UPDATE site_profile SET state = $3, outcome = $4, detail = $5, facts = $6, category = $7,"
                " confidence = $8, evidence = $9 WHERE site = $1 AND visited_at = $2",
                profile.site,
                profile.visited_at,
                profile.state,
                profile.outcome,
                profile.detail,
                json.dumps(profile.facts.as_document(), ensure_ascii=False),
                profile.category,
                profile.confidence,
                json.dumps(profile.evidence, ensure_ascii=False),
            )
        )
