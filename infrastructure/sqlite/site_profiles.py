"""SiteProfileRepositoryPort on SQLite."""

import json
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

from domains.siteProfile.model import (
    EvidenceKind,
    SiteEvidence,
    SiteProfile,
    SiteState,
    VisitOutcome,
    facts_of,
)
from infrastructure.sqlite.database import SqliteDatabase

COLUMNS = "site, visited_at, state, outcome, detail, facts, category, confidence, evidence"
_PAGE = 500


class SqliteSiteProfileRepository:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def begin_visit(self, site: str, now: float, visited_before: float) -> bool:
        return bool(
            await self._database.write(
                f"INSERT INTO site_profile ({COLUMNS}) VALUES (?1, ?2, ?4, NULL, '', '{{}}', '', 0, '[]')"  # noqa: S608
                " ON CONFLICT (site) DO UPDATE SET visited_at = ?2, state = ?4 WHERE visited_at <= ?3",
                [(site, now, visited_before, SiteState.VISITING)],
            )
        )

    async def find(self, sites: Collection[str]) -> dict[str, SiteProfile]:
        rows = await self._database.read(
            f"SELECT {COLUMNS} FROM site_profile WHERE site IN (SELECT value FROM json_each(?))",  # noqa: S608
            (json.dumps(list(sites)),),
        )
        return {profile.site: profile for profile in map(profile_of, rows)}

    async def find_all(self, states: Collection[SiteState]) -> AsyncIterator[SiteProfile]:
        last = ""
        while rows := await self._database.read(
            f"SELECT {COLUMNS} FROM site_profile WHERE site > ?"  # noqa: S608 - columns only
            " AND state IN (SELECT value FROM json_each(?)) ORDER BY site LIMIT ?",
            (last, json.dumps(list(states)), _PAGE),
        ):
            for row in rows:
                yield profile_of(row)
            last = rows[-1][0]

    async def save(self, profile: SiteProfile) -> bool:
        return bool(
            await self._database.write(
                "UPDATE site_profile SET state = ?3, outcome = ?4, detail = ?5, facts = ?6, category = ?7,"
                " confidence = ?8, evidence = ?9 WHERE site = ?1 AND visited_at = ?2",
                [
                    (
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
                ],
            )
        )


def profile_of(row: Sequence[Any]) -> SiteProfile:
    site, visited_at, state, outcome, detail, facts, category, confidence, evidence = row
    return SiteProfile(
        site,
        visited_at,
        SiteState(state),
        VisitOutcome(outcome) if outcome else None,
        detail,
        facts_of(json.loads(facts)),
        category,
        confidence,
        tuple(SiteEvidence(EvidenceKind(kind), *rest) for kind, *rest in json.loads(evidence)),
    )
