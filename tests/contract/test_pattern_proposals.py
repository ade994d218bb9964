"""PatternProposalRepositoryPort on every store."""

from dataclasses import replace

import pytest
from bson import ObjectId

from domains.categoryPattern.model import Evidence, PatternKind, PatternProposal, ProposalStatus
from domains.kernel.errors import StoreRefused
from infrastructure.mongo.repositories import PatternProposalRepositoryAdapter
from tests.contract.conftest import MongoStores, Stores
from tests.contract.refusing import REASON, RefusingDatabase

FOO = PatternProposal(
    "0a" * 6,
    PatternKind.APP,
    "푸 '\"$ 💬",
    "E-commerce & Shopping",
    Evidence(40, 12, {"Game.$x": 1, "게임": 1}, ("푸", "Foo")),
)
STUDY = PatternProposal(
    "0b" * 6, PatternKind.DOMAIN, "study.com", "Education", Evidence(20, 1, {}), ProposalStatus.REJECTED
)


async def test_a_new_store_has_no_proposals(stores: Stores) -> None:
    assert await stores.proposals.find_all() == []


async def test_proposals_come_back_as_they_were_saved_by_id(stores: Stores) -> None:
    await stores.proposals.save_all([STUDY, FOO])

    assert await stores.proposals.find_all() == [FOO, STUDY]


async def test_evidence_of_a_site_comes_back(stores: Stores) -> None:
    of_page = replace(STUDY, evidence=Evidence(0, 0, {}, ("study.com",), 0.875))
    await stores.proposals.save_all([of_page])

    assert await stores.proposals.find_all() == [of_page]


async def test_saving_replaces_what_has_the_same_id(stores: Stores) -> None:
    await stores.proposals.save_all([FOO, STUDY])
    accepted = replace(FOO, status=ProposalStatus.ACCEPTED, category="Game", evidence=Evidence(80, 20, {}, ("F",)))
    third = replace(STUDY, id="0c" * 6)

    await stores.proposals.save_all([accepted, third])

    assert await stores.proposals.find_all() == [accepted, STUDY, third]


async def test_proposals_are_deleted_by_id(stores: Stores) -> None:
    await stores.proposals.save_all([FOO, STUDY])

    await stores.proposals.delete_all({FOO.id, "unknown"})

    assert await stores.proposals.find_all() == [STUDY]


async def test_nothing_changes_nothing(stores: Stores) -> None:
    await stores.proposals.save_all([FOO])

    await stores.proposals.save_all([])
    await stores.proposals.delete_all([])

    assert await stores.proposals.find_all() == [FOO]


async def test_mongodb_keeps_them_in_a_collection_of_their_own(mongo: MongoStores) -> None:
    await mongo.proposals.save_all([FOO])

    assert list(mongo.raw.pattern_proposal.find()) == [
        {
            "_id": FOO.id,
            "kind": "app",
            "pattern": FOO.pattern,
            "category": "E-commerce & Shopping",
            "answers": 40,
            "windows": 12,
            "others": [{"category": "Game.$x", "answers": 1}, {"category": "게임", "answers": 1}],
            "examples": ["푸", "Foo"],
            "status": "proposed",
        }
    ]
    assert [name for name in mongo.raw.list_collection_names() if not name.startswith("system.")] == [
        "pattern_proposal"
    ]


async def test_a_proposal_that_mongodb_refuses_is_no_success(mongo: MongoStores) -> None:
    refusing = PatternProposalRepositoryAdapter(RefusingDatabase(mongo.database, {FOO.id}))

    with pytest.raises(StoreRefused, match=REASON):
        await refusing.save_all([FOO])


async def test_mongodb_adds_patterns_where_spring_left_a_null(mongo: MongoStores) -> None:
    low, high = ObjectId("1" * 24), ObjectId("2" * 24)
    mongo.raw.category_pattern.insert_many(
        [
            {"_id": high, "category": "SNS", "appPatterns": ["b"]},
            {"_id": low, "category": "SNS", "appPatterns": None, "_class": "com.pomocore.CategoryPattern"},
        ]
    )

    await mongo.patterns.add_patterns("SNS", ["a"], ["a.com"])

    assert list(mongo.raw.category_pattern.find().sort("_id", 1)) == [
        {
            "_id": low,
            "category": "SNS",
            "appPatterns": ["a"],
            "domainPatterns": ["a.com"],
            "_class": "com.pomocore.CategoryPattern",
        },
        {"_id": high, "category": "SNS", "appPatterns": ["b"]},
    ]
