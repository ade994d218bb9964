"""CategorizedDataRepositoryPort on every store."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from domains.kernel.errors import StoreOutage, StoreRefused
from domains.kernel.window import Window
from domains.pomodoro.model import CategorizedData, CategoryUpdate
from infrastructure.composition.container import running_container
from infrastructure.memory.repositories import InMemoryCategorizedDataRepository
from infrastructure.mongo.repositories import CategorizedDataRepositoryAdapter
from infrastructure.settings import Settings
from tests.contract.conftest import NOWHERE, MongoStores, Stores
from tests.contract.refusing import NOT_WRITABLE_PRIMARY, REASON, RefusingDatabase
from tests.messages import DEVELOPMENT, DOCUMENTATION, SNS, categorized, data_id, spring_data

SLACK = Window("Slack", "", "")
KNOWN_KEY = Window("Chrome", "https://github.com/a", "a")


async def find(stores: Stores, *keys: Window) -> dict[Window, CategorizedData]:
    return await stores.categorized.find_many_by_app_url_title_batch(list(keys))


# Looking up


async def test_no_keys_find_nothing(stores: Stores) -> None:
    await stores.categorized.save_all([categorized(1)])

    assert await find(stores) == {}


async def test_a_key_without_a_document_is_left_out_of_the_answer(stores: Stores) -> None:
    await stores.categorized.save_all([categorized(1)])

    assert await find(stores, SLACK, Window("Zoom", "", "")) == {SLACK: categorized(1)}


@pytest.mark.parametrize(
    "key",
    [
        Window("Slack", "https://app.slack.com/client/T1", "general (Channel) - Slack"),
        Window("카카오톡", "", "김민수 — 점심 어디서? 🍜"),
        Window("Chrome", "https://ko.wikipedia.org/wiki/한글", "한글 - 위키백과"),
        Window("$where", "{$ne: null}", "'; DROP TABLE categorized_data; --"),
        Window("a.b", "line\nbreak\ttab", 'quote " and \\ and \u200b'),
        Window("", "", ""),
        Window("", "https://example.com", ""),
        Window("x" * 1000, "https://example.com/" + "y" * 5000, "제목 " * 3000),
    ],
    ids=["all_parts", "emoji", "hangul_url", "injection", "controls", "all_empty", "url_only", "long"],
)
async def test_a_document_is_found_by_its_key_as_it_was_saved(stores: Stores, key: Window) -> None:
    document = CategorizedData(data_id(1), key, SNS, is_llm_based=True)
    await stores.categorized.save_all([document])

    assert await find(stores, key) == {key: document}


@pytest.mark.parametrize(
    "other",
    [
        Window("slack", "", "general"),
        Window("Slack ", "", "general"),
        Window("Slack", "general", ""),
        Window("Slack", "", "genera"),
        Window("Slack", "", ""),
        Window("", "", "general"),
    ],
    ids=["case", "space", "parts_swapped", "prefix", "no_title", "no_app"],
)
async def test_only_the_very_key_is_found(stores: Stores, other: Window) -> None:
    await stores.categorized.save_all([categorized(1, "Slack", "", "general")])

    assert await find(stores, other) == {}


async def test_composed_and_decomposed_hangul_are_different_keys(stores: Stores) -> None:
    await stores.categorized.save_all([categorized(1, "카톡"), categorized(2, "\u110f\u1161\u1110\u1169\u11a8")])

    assert await find(stores, Window("카톡", "", "")) == {Window("카톡", "", ""): categorized(1, "카톡")}


@pytest.mark.parametrize(
    ("documents", "best"),
    [
        ([(1, None), (2, SNS)], 2),
        ([(2, None), (1, None)], 1),
        ([(3, SNS), (2, DEVELOPMENT)], 2),
        ([(9, None), (5, DEVELOPMENT), (7, SNS), (1, None)], 5),
    ],
    ids=["category_before_none", "lowest_id", "lowest_id_of_categorised", "both_rules"],
)
async def test_of_several_documents_of_a_key_the_best_is_answered(
    stores: Stores, documents: list[tuple[int, str | None]], best: int
) -> None:
    saved = [categorized(number, category_id=category) for number, category in documents]
    for document in saved:
        await stores.categorized.save_all([document])

    found = await find(stores, SLACK)

    assert found == {SLACK: next(document for document in saved if document.id == data_id(best))}


async def test_hundreds_of_keys_are_answered_at_once(stores: Stores) -> None:
    documents = [categorized(number, "Chrome", f"https://example.com/{number}") for number in range(300)]
    await stores.categorized.save_all(documents)
    absent = [Window("Chrome", f"https://absent.example/{number}", "") for number in range(50)]

    found = await find(stores, *(document.window for document in documents), *absent)

    assert found == {document.window: document for document in documents}


# What is classified


async def test_documents_of_some_categories_are_found_the_highest_ids_first(stores: Stores) -> None:
    await stores.categorized.save_all(
        [
            categorized(2, "b", category_id=SNS, is_llm_based=True),
            categorized(1, "a", category_id=SNS),
            categorized(4, "카카오톡", "https://a.b", "제목", category_id=DEVELOPMENT),
            categorized(3, "none"),
            categorized(5, "other", category_id=DOCUMENTATION),
        ]
    )

    assert await stores.categorized.find_classified([SNS, DEVELOPMENT], 10) == [
        categorized(4, "카카오톡", "https://a.b", "제목", category_id=DEVELOPMENT),
        categorized(2, "b", category_id=SNS, is_llm_based=True),
        categorized(1, "a", category_id=SNS),
    ]


async def test_no_more_classified_documents_are_found_than_wanted(stores: Stores) -> None:
    await stores.categorized.save_all([categorized(number, category_id=SNS) for number in range(300)])

    found = await stores.categorized.find_classified([SNS], 150)

    assert [data.id for data in found] == [data_id(number) for number in range(299, 149, -1)]


async def test_no_categories_have_no_documents(stores: Stores) -> None:
    await stores.categorized.save_all([categorized(1, category_id=SNS), categorized(2)])

    assert await stores.categorized.find_classified([], 10) == []


# Provisional categories


async def test_a_provisional_category_is_set_where_there_is_none(stores: Stores) -> None:
    apps = ["a", "b", "c", "d"]
    known = [
        categorized(number, app, category_id=(None, SNS)[number % 2], is_llm_based=bool(number % 2))
        for number, app in enumerate(apps)
    ]
    await stores.categorized.save_all(known)
    updates = [CategoryUpdate([data_id(number)], DEVELOPMENT, False, provisional=number < 2) for number in range(4)]

    assert await stores.categorized.update_category_all(updates) == {}

    found = await find(stores, *(document.window for document in known))
    assert {key.app: (data.category_id, data.is_llm_based) for key, data in found.items()} == {
        "a": (DEVELOPMENT, False),
        "b": (SNS, True),
        "c": (DEVELOPMENT, False),
        "d": (DEVELOPMENT, False),
    }


async def test_a_provisional_category_is_set_where_spring_has_stored_none(mongo: MongoStores) -> None:
    mongo.raw.categorized_data.insert_many([spring_data(1), spring_data(2, categoryId=None)])
    updates = [CategoryUpdate([data_id(number)], DEVELOPMENT, False, provisional=True) for number in (1, 2)]
    await mongo.categorized.update_category_all(updates)

    assert {str(row["categoryId"]) for row in mongo.raw.categorized_data.find()} == {DEVELOPMENT}


async def test_documents_are_found_by_their_ids(stores: Stores) -> None:
    await stores.categorized.save_all([categorized(number, f"app {number}") for number in range(3)])

    found = await stores.categorized.find_by_ids({data_id(0), data_id(2), data_id(404)})

    assert found == {data_id(number): categorized(number, f"app {number}") for number in (0, 2)}


# Saving


async def test_saving_again_keeps_what_is_there_and_is_no_failure(stores: Stores) -> None:
    await stores.categorized.save_all([categorized(1, category_id=SNS, is_llm_based=True)])

    failures = await stores.categorized.save_all([categorized(1, category_id=DEVELOPMENT), categorized(2, "Zoom")])

    assert failures == {}
    assert await find(stores, SLACK, Window("Zoom", "", "")) == {
        SLACK: categorized(1, category_id=SNS, is_llm_based=True),
        Window("Zoom", "", ""): categorized(2, "Zoom"),
    }


async def test_an_id_that_stands_twice_in_one_call_is_saved_once_and_is_no_failure(stores: Stores) -> None:
    failures = await stores.categorized.save_all([categorized(1), categorized(1), categorized(2, "Zoom")])

    assert failures == {}
    assert (await find(stores, Window("Zoom", "", "")))[Window("Zoom", "", "")] == categorized(2, "Zoom")
    assert (await find(stores, SLACK))[SLACK] == categorized(1)


async def test_saving_nothing_is_no_failure(stores: Stores) -> None:
    assert await stores.categorized.save_all([]) == {}


# Categories


async def test_categories_are_set_by_id(stores: Stores) -> None:
    keys = [Window(app, "", "") for app in ("a", "b", "c", "d")]
    await stores.categorized.save_all([categorized(n, key.app) for n, key in enumerate(keys)])

    failures = await stores.categorized.update_category_all(
        [
            CategoryUpdate([data_id(0)], SNS, False),
            CategoryUpdate([data_id(1)], SNS, True),
            CategoryUpdate([data_id(2)], DEVELOPMENT, False),
        ]
    )

    assert failures == {}
    assert await find(stores, *keys) == {
        keys[0]: categorized(0, "a", category_id=SNS),
        keys[1]: categorized(1, "b", category_id=SNS, is_llm_based=True),
        keys[2]: categorized(2, "c", category_id=DEVELOPMENT),
        keys[3]: categorized(3, "d"),
    }


async def test_a_category_is_replaced_by_a_later_one(stores: Stores) -> None:
    await stores.categorized.save_all([categorized(1, category_id=SNS, is_llm_based=True)])

    await stores.categorized.update_category_all([CategoryUpdate([data_id(1)], DOCUMENTATION, False)])

    assert await find(stores, SLACK) == {SLACK: categorized(1, category_id=DOCUMENTATION)}


async def test_setting_the_same_category_again_changes_nothing(stores: Stores) -> None:
    await stores.categorized.save_all([categorized(1)])
    update = CategoryUpdate([data_id(1)], SNS, True)

    failures = [await stores.categorized.update_category_all([update, update]) for _ in range(2)]

    assert failures == [{}, {}]
    assert await find(stores, SLACK) == {SLACK: categorized(1, category_id=SNS, is_llm_based=True)}


async def test_an_unknown_id_is_no_failure_and_creates_nothing(stores: Stores) -> None:
    await stores.categorized.save_all([categorized(1)])

    failures = await stores.categorized.update_category_all(
        [CategoryUpdate([data_id(404)], SNS, False), CategoryUpdate([data_id(1)], SNS, False)]
    )

    assert failures == {}
    assert await find(stores, SLACK, Window("", "", "")) == {SLACK: categorized(1, category_id=SNS)}


async def test_updating_nothing_is_no_failure(stores: Stores) -> None:
    assert await stores.categorized.update_category_all([]) == {}


# What the LLM named


async def test_all_documents_that_the_llm_named_are_found(stores: Stores) -> None:
    named = [
        categorized(number, "Foo", "https://a.com/?q", "제목 🍜", category_id=SNS, is_llm_based=True)
        for number in range(1, 2501)
    ]
    await stores.categorized.save_all([*named, categorized(3000, category_id=SNS), categorized(3001)])

    found = [document async for document in stores.categorized.find_llm_based()]

    assert sorted(found, key=lambda document: document.id) == named


async def test_what_spring_left_out_of_a_document_is_empty(mongo: MongoStores) -> None:
    document = spring_data(1, IsLLMBased=True)
    mongo.raw.categorized_data.insert_one(document)

    (found,) = [each async for each in mongo.categorized.find_llm_based()]

    assert (found.window.url, found.category_id) == ("", None)
    assert list(mongo.raw.categorized_data.index_information()) == ["_id_"]


# In memory and SQLite


async def test_the_embedded_store_answers_the_largest_batch_that_may_be_set(tmp_path: Path) -> None:
    keys = [Window("Chrome", f"https://example.com/{number}", "") for number in range(10_000)]
    async with running_container(Settings(redis_addr=NOWHERE, data_dir=tmp_path)) as container:
        for repository in (container.categorized_data(), InMemoryCategorizedDataRepository()):
            await repository.save_all([categorized(number, *key) for number, key in enumerate(keys)])

            assert len(await repository.find_many_by_app_url_title_batch(set(keys))) == 10_000


# MongoDB's documents


async def test_mongodb_documents_have_the_fields_and_types_of_the_contract(mongo: MongoStores) -> None:
    await mongo.categorized.save_all([categorized(1, "카카오톡", "https://a.b", "제목 🍜", category_id=SNS)])

    (document,) = mongo.raw.categorized_data.find()

    assert document == {
        "_id": ObjectId(data_id(1)),
        "app": "카카오톡",
        "url": "https://a.b",
        "title": "제목 🍜",
        "categoryId": ObjectId(SNS),
        "IsLLMBased": False,
    }
    assert type(document["IsLLMBased"]) is bool


async def test_mongodb_documents_without_a_category_have_no_category_field(mongo: MongoStores) -> None:
    await mongo.categorized.save_all([categorized(1, is_llm_based=True)])

    (document,) = mongo.raw.categorized_data.find()

    assert document == {
        "_id": ObjectId(data_id(1)),
        "app": "Slack",
        "url": "",
        "title": "",
        "IsLLMBased": True,
    }


ABSENT: Any = object()


@pytest.mark.parametrize("part", ["app", "url", "title"])
@pytest.mark.parametrize("value", [ABSENT, None, ""], ids=["absent", "null", "empty"])
async def test_mongodb_takes_absent_null_and_empty_parts_for_the_same(
    mongo: MongoStores, part: str, value: Any
) -> None:
    document = spring_data(1, "Chrome", url="https://github.com/a", title="a") | {part: value}
    mongo.raw.categorized_data.insert_one({name: held for name, held in document.items() if held is not ABSENT})
    key = KNOWN_KEY._replace(**{part: ""})

    assert await find(mongo, key, KNOWN_KEY) == {key: CategorizedData(data_id(1), key, None)}


async def test_mongodb_chooses_among_documents_whose_empty_parts_are_spelled_differently(mongo: MongoStores) -> None:
    spellings = list(product([{}, {"url": None}, {"url": ""}], [{}, {"title": None}, {"title": ""}]))
    for number, (url, title) in enumerate(spellings, 1):
        mongo.raw.categorized_data.insert_one({"_id": ObjectId(data_id(number)), "app": "Slack", **url, **title})
    mongo.raw.categorized_data.update_one(
        {"_id": ObjectId(data_id(5))}, {"$set": {"categoryId": ObjectId(SNS), "IsLLMBased": True}}
    )

    assert await find(mongo, SLACK) == {SLACK: categorized(5, category_id=SNS, is_llm_based=True)}


async def test_mongodb_reads_a_null_category_as_none(mongo: MongoStores) -> None:
    mongo.raw.categorized_data.insert_one(
        {"_id": ObjectId(data_id(1)), "app": "Slack", "categoryId": None, "IsLLMBased": None}
    )

    assert await find(mongo, SLACK) == {SLACK: categorized(1)}


async def test_mongodb_updates_set_two_fields_of_springs_document_and_no_other(mongo: MongoStores) -> None:
    inserted = spring_data(1)
    mongo.raw.categorized_data.insert_many([inserted, spring_data(2)])

    await mongo.categorized.update_category_all([CategoryUpdate([data_id(1)], DEVELOPMENT, True)])

    assert list(mongo.raw.categorized_data.find().sort("_id", 1)) == [
        inserted | {"categoryId": ObjectId(DEVELOPMENT), "IsLLMBased": True},
        spring_data(2),
    ]


async def test_mongodb_keeps_room_for_springs_documents_of_the_same_key(mongo: MongoStores) -> None:
    await mongo.categorized.save_all([categorized(1)])
    await find(mongo, SLACK)  # which makes the index

    await mongo.categorized.save_all([categorized(2), categorized(3)])

    assert mongo.raw.categorized_data.count_documents({"app": "Slack"}) == 3
    indexes = mongo.raw.categorized_data.index_information()
    assert [name for name, index in indexes.items() if index.get("unique") and name != "_id_"] == []


async def test_mongodb_has_an_index_that_the_look_up_can_use(mongo: MongoStores) -> None:
    await find(mongo, SLACK)

    indexes = mongo.raw.categorized_data.index_information().values()
    assert [field for field, _ in next(index["key"] for index in indexes if len(index["key"]) == 3)] == [
        "app",
        "url",
        "title",
    ]


# Refusals


async def test_mongodb_reports_a_refused_document_and_inserts_the_others(mongo: MongoStores) -> None:
    repository = CategorizedDataRepositoryAdapter(RefusingDatabase(mongo.database, {ObjectId(data_id(2))}))

    failures = await repository.save_all([categorized(1), categorized(2), categorized(3)])

    assert failures == {data_id(2): REASON}
    assert {str(document["_id"]) for document in mongo.raw.categorized_data.find()} == {data_id(1), data_id(3)}


async def test_mongodb_reports_all_ids_of_a_refused_update_and_makes_the_others(mongo: MongoStores) -> None:
    await mongo.categorized.save_all([categorized(number) for number in (1, 2, 3)])
    repository = CategorizedDataRepositoryAdapter(RefusingDatabase(mongo.database, {ObjectId(data_id(2))}))

    failures = await repository.update_category_all(
        [
            CategoryUpdate([data_id(1)], SNS, False),
            CategoryUpdate([data_id(2)], SNS, False),
            CategoryUpdate([data_id(3)], DEVELOPMENT, False),
        ]
    )

    assert failures == {data_id(1): REASON, data_id(2): REASON}
    assert mongo.raw.categorized_data.find_one({"_id": ObjectId(data_id(3))})["categoryId"] == ObjectId(DEVELOPMENT)


UNHEARD_OF = 99_999


async def test_a_refusal_with_an_unknown_code_of_nearly_all_is_an_outage(mongo: MongoStores) -> None:
    """Throttling, a quota, whatever a service answers: nobody can list all codes."""
    documents = [categorized(number) for number in range(1, 21)]
    refused = {ObjectId(document.id) for document in documents[1:]}
    repository = CategorizedDataRepositoryAdapter(RefusingDatabase(mongo.database, refused, UNHEARD_OF))

    with pytest.raises(StoreOutage, match=str(UNHEARD_OF)):
        await repository.save_all(documents)
    refused.clear()
    assert await repository.save_all(documents) == {}


async def test_a_refusal_with_an_unknown_code_of_one_among_others_is_its_own_fault(mongo: MongoStores) -> None:
    database = RefusingDatabase(mongo.database, {ObjectId(data_id(2))}, UNHEARD_OF)
    repository = CategorizedDataRepositoryAdapter(database)

    assert await repository.save_all([categorized(1), categorized(2), categorized(3)]) == {data_id(2): REASON}
    assert await repository.save_all([categorized(2)]) == {data_id(2): REASON}
    assert await repository.save_all([categorized(4)]) == {}
    assert await repository.save_all([categorized(2)]) == {data_id(2): REASON}


async def test_two_refusals_in_a_row_with_nothing_accepted_between_are_an_outage(mongo: MongoStores) -> None:
    database = RefusingDatabase(mongo.database, {ObjectId(data_id(n)) for n in (1, 2)}, UNHEARD_OF)
    repository = CategorizedDataRepositoryAdapter(database)
    assert await repository.save_all([categorized(1)]) == {data_id(1): REASON}

    with pytest.raises(StoreOutage):
        await repository.save_all([categorized(2)])


async def test_documents_that_a_validator_refuses_are_no_outage_however_many(mongo: MongoStores) -> None:
    documents = [categorized(number) for number in range(1, 6)]
    refused = {ObjectId(document.id) for document in documents}
    repository = CategorizedDataRepositoryAdapter(RefusingDatabase(mongo.database, refused))

    assert (await repository.save_all(documents)).keys() == {document.id for document in documents}


@pytest.mark.parametrize("write", ["save", "update"])
async def test_mongodb_takes_a_primary_that_steps_down_for_an_outage(mongo: MongoStores, write: str) -> None:
    database = RefusingDatabase(mongo.database, {ObjectId(data_id(2))}, code=NOT_WRITABLE_PRIMARY)
    repository = CategorizedDataRepositoryAdapter(database)

    if write == "save":
        writing = repository.save_all([categorized(1), categorized(2)])
    else:
        writing = repository.update_category_all([CategoryUpdate([data_id(2)], SNS, False)])

    with pytest.raises(StoreOutage):
        await writing


async def test_a_document_that_fits_no_request_is_refused_and_no_outage(mongo: MongoStores) -> None:
    with pytest.raises(StoreRefused):
        await mongo.categorized.save_all([categorized(1), categorized(2, title="x" * 49_000_000)])
