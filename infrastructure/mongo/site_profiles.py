"""SiteProfileRepositoryPort on MongoDB, in a collection that Spring does not use."""

from collections.abc import AsyncIterator, Collection
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from domains.siteProfile.model import (
    EvidenceKind,
    SiteEvidence,
    SiteProfile,
    SiteState,
    VisitOutcome,
    facts_of,
)
from infrastructure.mongo.client import Document, translated_errors

SITE_PROFILE = "site_profile"


class SiteProfileRepositoryAdapter:
    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._collection = database[SITE_PROFILE]

    async def begin_visit(self, site: str, now: float, visited_before: float) -> bool:
        begun = {"visitedAt": now, "state": SiteState.VISITING.value}
        with translated_errors():
            again = await self._collection.update_one(
                {"_id": site, "visitedAt": {"$lte": visited_before}}, {"$set": begun}
            )
            if again.modified_count:
                return True
            try:  # not an upsert: of two callers one would get an error in place of an answer
                await self._collection.insert_one({"_id": site, **begun})
            except DuplicateKeyError:
                return False
        return True

    async def find(self, sites: Collection[str]) -> dict[str, SiteProfile]:
        with translated_errors():
            found = self._collection.find({"_id": {"$in": list(sites)}})
            return {document["_id"]: _profile_of(document) async for document in found}

    async def find_all(self, states: Collection[SiteState]) -> AsyncIterator[SiteProfile]:
        wanted = {"state": {"$in": [state.value for state in states]}}
        with translated_errors():
            async for document in self._collection.find(wanted).sort("_id", 1):
                yield _profile_of(document)

    async def save(self, profile: SiteProfile) -> bool:
        values = {
            "state": profile.state.value,
            "outcome": profile.outcome.value if profile.outcome else None,
            "detail": profile.detail,
            "facts": profile.facts.as_document(),
            "category": profile.category,
            "confidence": profile.confidence,
            "evidence": [{**each._asdict(), "kind": each.kind.value} for each in profile.evidence],
        }
        with translated_errors():
            done = await self._collection.update_one(
                {"_id": profile.site, "visitedAt": profile.visited_at}, {"$set": values}
            )
        return bool(done.matched_count)


def _profile_of(document: Document) -> SiteProfile:
    evidence: list[Any] = document.get("evidence") or []
    return SiteProfile(
        document["_id"],
        document["visitedAt"],
        SiteState(document["state"]),
        VisitOutcome(outcome) if (outcome := document.get("outcome")) else None,
        document.get("detail", ""),
        facts_of(document.get("facts") or {}),
        document.get("category", ""),
        document.get("confidence", 0.0),
        tuple(SiteEvidence(**{**each, "kind": EvidenceKind(each["kind"])}) for each in evidence),
    )
