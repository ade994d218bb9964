"""CorrectionRepositoryPort on every store, and what corrections ask of the others."""

from dataclasses import replace

import pytest

from domains.kernel.window import Window
from domains.patternClassifier.corrections import Correction, CorrectionState
from tests.contract.conftest import MongoStores, Stores
from tests.messages import categorized, data_id, log_id, spring_data, usage_log

ODD = Window("a'b\"c$.{}", "https://zyzzyva.example/?q=1", "제목 🍅\n")
FIRST = Correction("1" * 24, "ann", ODD, "Education", "min", 1756771234.5)
SECOND = Correction("2" * 24, "", Window("App", "", ""), "E-commerce & Shopping", "admin", 1756771235.25)


async def test_what_was_saved_is_found_the_latest_first(stores: Stores) -> None:
    await stores.corrections.save(FIRST)
    await stores.corrections.save(SECOND)
    assert await stores.corrections.find_all() == [SECOND, FIRST]

    again = replace(FIRST, category="SNS", by="other", time=1756771236.0)
    await stores.corrections.save(again)

    assert await stores.corrections.find_all() == [again, SECOND]


async def test_what_is_settled_says_how_much_it_has_decided(stores: Stores) -> None:
    await stores.corrections.save(FIRST)
    applied = replace(FIRST, state=CorrectionState.APPLIED, logs=3, seconds=90.5)

    assert await stores.corrections.settle(applied)

    assert await stores.corrections.find_all() == [applied]


@pytest.mark.parametrize("state", [CorrectionState.APPLIED, CorrectionState.UNDOING])
async def test_what_was_changed_meanwhile_is_not_settled(stores: Stores, state: CorrectionState) -> None:
    changed = replace(FIRST, category="SNS", time=FIRST.time + 1)
    await stores.corrections.save(changed)

    assert not await stores.corrections.settle(replace(FIRST, state=state))
    assert not await stores.corrections.settle(replace(SECOND, state=state))

    assert await stores.corrections.find_all() == [changed]


async def test_what_was_undone_is_gone_once_it_is_settled(stores: Stores) -> None:
    await stores.corrections.save(SECOND)
    await stores.corrections.save(undone := replace(FIRST, state=CorrectionState.UNDOING))

    assert await stores.corrections.settle(undone)

    assert await stores.corrections.find_all() == [SECOND]


async def test_corrections_are_deleted(stores: Stores) -> None:
    await stores.corrections.save(FIRST)

    assert await stores.corrections.delete([FIRST.id, SECOND.id]) == 1
    assert await stores.corrections.find_all() == []


async def test_all_documents_of_a_window_are_found(stores: Stores) -> None:
    same = [categorized(n, *ODD) for n in (1, 2)]
    await stores.categorized.save_all([*same, categorized(3, ODD.app, ODD.url, "other"), categorized(4, ODD.app)])

    assert sorted(await stores.categorized.find_of_window(ODD), key=lambda data: data.id) == same
    assert await stores.categorized.find_of_window(Window("none", "", "")) == []


async def test_documents_of_spring_without_a_url_are_found(mongo: MongoStores) -> None:
    mongo.raw["categorized_data"].insert_one(spring_data(1, "App", title=None))

    (found,) = await mongo.categorized.find_of_window(Window("App", "", ""))

    assert found.id == data_id(1)


async def test_the_logs_of_windows_are_found(stores: Stores) -> None:
    logs = [usage_log(n, user_id=user, categorized_data_id=data_id(n % 3)) for n, user in enumerate("ababab")]
    await stores.logs.save_all(logs)

    async def ids_of(ids: list[str], user: str | None) -> set[str]:
        return {log.id for page in [p async for p in stores.logs.find_of_windows(ids, user)] for log in page}

    assert await ids_of([data_id(0), data_id(1)], None) == {log_id(n) for n in (0, 3, 1, 4)}
    assert await ids_of([data_id(0), data_id(1)], "a") == {log_id(n) for n in (0, 4)}
    assert await ids_of([data_id(9)], None) == set()
    assert await ids_of([], None) == set()


async def test_more_logs_than_a_page_are_found(stores: Stores) -> None:
    await stores.logs.save_all([usage_log(n, categorized_data_id=data_id(1)) for n in range(1, 1102)])

    pages = [page async for page in stores.logs.find_of_windows([data_id(1)])]

    assert len({log.id for page in pages for log in page}) == sum(map(len, pages)) == 1101
