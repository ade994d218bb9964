"""SiteProfileRepositoryPort on every store."""

import asyncio
from dataclasses import replace

from domains.siteProfile.model import (
    EvidenceKind,
    PageFacts,
    SiteEvidence,
    SiteProfile,
    SiteState,
    VisitOutcome,
)
from tests.contract.conftest import MongoStores, Stores

DAYS = 86_400.0
NOW = 1_790_000_000.25
MONTH_AGO = NOW - 30 * DAYS
KNOWN = SiteProfile(
    "은행.한국",
    NOW,
    SiteState.CONCLUDED,
    VisitOutcome.PAGE,
    "",
    PageFacts("새솔 '\"$ 은행 🏦", "예금", "a.$b", "website", ("Thing",), ("FinanceApplication",), ("finance",)),
    "Finance",
    0.875,
    (
        SiteEvidence(EvidenceKind.MANIFEST, "finance", "Finance", 0.85),
        SiteEvidence(EvidenceKind.LLM, "", "Game", 0.5),
    ),
)


async def all_sites(stores: Stores, *states: SiteState) -> list[str]:
    return [profile.site async for profile in stores.profiles.find_all(states or tuple(SiteState))]


async def test_a_new_store_has_no_profiles(stores: Stores) -> None:
    assert await stores.profiles.find({"a.com"}) == {}
    assert await all_sites(stores) == []


async def test_a_first_visit_is_noted_once(stores: Stores) -> None:
    assert await stores.profiles.begin_visit("a.com", NOW, MONTH_AGO)
    assert not await stores.profiles.begin_visit("a.com", NOW, MONTH_AGO)
    assert not await stores.profiles.begin_visit("a.com", NOW + 1, MONTH_AGO + 1)

    assert await stores.profiles.find({"a.com", "b.com"}) == {"a.com": SiteProfile("a.com", NOW)}


async def test_of_many_who_begin_at_once_one_visits(stores: Stores) -> None:
    begun = await asyncio.gather(*(stores.profiles.begin_visit("a.com", NOW, MONTH_AGO) for _ in range(8)))

    assert begun.count(True) == 1


async def test_a_profile_comes_back_as_it_was_saved(stores: Stores) -> None:
    await stores.profiles.begin_visit(KNOWN.site, NOW, MONTH_AGO)

    assert await stores.profiles.save(KNOWN)
    assert await stores.profiles.save(KNOWN)

    assert await stores.profiles.find([KNOWN.site]) == {KNOWN.site: KNOWN}


async def test_the_next_visit_is_due_later_and_keeps_what_is_known_until_its_end(stores: Stores) -> None:
    await stores.profiles.begin_visit(KNOWN.site, NOW, MONTH_AGO)
    await stores.profiles.save(KNOWN)
    later = NOW + 31 * DAYS

    assert not await stores.profiles.begin_visit(KNOWN.site, NOW + 29 * DAYS, NOW - DAYS)
    assert await stores.profiles.begin_visit(KNOWN.site, later, NOW + DAYS)

    again = replace(KNOWN, visited_at=later, state=SiteState.VISITING)
    assert await stores.profiles.find([KNOWN.site]) == {KNOWN.site: again}


async def test_what_an_earlier_visit_found_is_too_late(stores: Stores) -> None:
    await stores.profiles.begin_visit(KNOWN.site, NOW + 31 * DAYS, NOW + DAYS)

    assert not await stores.profiles.save(KNOWN)
    assert not await stores.profiles.save(replace(KNOWN, site="never.com"))

    assert await stores.profiles.find([KNOWN.site, "never.com"]) == {
        KNOWN.site: SiteProfile(KNOWN.site, NOW + 31 * DAYS)
    }


async def test_profiles_are_found_by_their_state_in_the_order_of_sites(stores: Stores) -> None:
    for site, state in {"c.com": SiteState.OPEN, "a.com": SiteState.CONCLUDED, "b.com": SiteState.VISITING}.items():
        await stores.profiles.begin_visit(site, NOW, MONTH_AGO)
        await stores.profiles.save(SiteProfile(site, NOW, state))

    assert await all_sites(stores) == ["a.com", "b.com", "c.com"]
    assert await all_sites(stores, SiteState.OPEN, SiteState.CONCLUDED) == ["a.com", "c.com"]


async def test_mongodb_keeps_them_in_a_collection_of_their_own(mongo: MongoStores) -> None:
    await mongo.profiles.begin_visit("a.com", NOW, MONTH_AGO)

    assert list(mongo.raw.site_profile.find()) == [{"_id": "a.com", "visitedAt": NOW, "state": "visiting"}]
